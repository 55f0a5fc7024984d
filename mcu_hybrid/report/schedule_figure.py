"""The report's figure of schedules: RAM against instructions."""

from __future__ import annotations

from collections.abc import Sequence

from mcu_hybrid.artifacts.build import SchedulePoint
from mcu_hybrid.report.chart import Axis, Chart, Item, Line, Mark
from mcu_hybrid.report.figures import WIDE_PX, Figure, csv_text, from_zero, number, padded


def schedules_figure(front: Sequence[SchedulePoint]) -> Figure:
    """Each schedule that was compared: arena in KiB against predicted instructions, as a front.

    Args:
        front: fastest first.
    """
    fastest = front[0].instructions
    x = [point.arena_bytes / 1024 for point in front]
    y = [point.instructions / 1e6 for point in front]
    items: list[Item] = [Line(_stairs(x, y), "blue", width=2.0)]
    for point, at, height in zip(front, x, y, strict=True):
        more = 100 * (point.instructions / fastest - 1)
        tip = f"{at:.1f} KiB: {height:.3f} M instructions, {point.streams} streams, +{more:.1f} %"
        items.append(
            Mark(at, height, "orange", "diamond", f"built: {tip}", 7.0, label="built")
            if point.is_chosen
            else Mark(at, height, "blue", "circle", tip)
        )
    rows = [(p.arena_bytes, p.instructions, p.streams, int(p.is_chosen)) for p in front]
    return Figure(
        "schedules",
        Chart(
            Axis("arena, KiB", *from_zero(x, 0.12), number),
            Axis("predicted instructions, millions", *padded(y, 0.12), number),
            items,
            "Predicted instructions of each schedule over the arena that it needs.",
        ),
        WIDE_PX,
        320,
        csv_text(("arena_bytes", "instructions", "streams", "is_chosen"), rows),
    )


def _stairs(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    """A schedule serves every arena from its own up to the next faster one's."""
    points = [(x[0], y[0])]
    for n in range(1, len(x)):
        points += [(x[n - 1], y[n]), (x[n], y[n])]
    return points
