"""The report's figure of the arena over time."""

from __future__ import annotations

from collections.abc import Sequence

from mcu_hybrid.artifacts.build import BufferRow, Plan, PlanRow
from mcu_hybrid.report.chart import Axis, Box, Chart, Item, Line, Rule
from mcu_hybrid.report.figures import WIDE_PX, Figure, csv_text, number

COLORS = {"input": "green", "activation": "sky", "output": "pink", "scratch": "orange"}


def memory_figure(plan: Plan) -> Figure:
    """The arena over time: a rectangle per buffer, from its first to its last operator."""
    ops, buffers = plan.ops, plan.buffers
    peak, arena = plan.peak_op, plan.arena_bytes
    items: list[Item] = [
        Box((peak - 0.5, peak + 0.5), (0, arena), "red", is_band=True),
        *(_box(row, len(ops) - 1) for row in buffers),
        Line(_steps(ops), "ink", width=1.5),
        Rule(arena, "red", _peak_text(ops, peak, arena), *_beside(peak, len(ops))),
    ]
    header = ("name", "first_op", "last_op", "offset", "bytes")
    ticks = [(-1.0, "in"), *((float(i), str(i)) for i in range(len(ops)))]
    ticks.append((float(len(ops)), "out"))
    chart = Chart(
        Axis("operator (time)", -1.6, len(ops) + 0.6, number, ticks=ticks),
        Axis("offset in the arena, bytes", 0.0, 1.12 * max(arena, 1), number),
        items,
        f"Arena of {arena:,} bytes; fullest at operator {peak}.",
    )
    table = csv_text(header, [[getattr(row, key) for key in header] for row in buffers])
    return Figure("memory", chart, WIDE_PX, 440, table)


def memory_legend(plan: Plan) -> list[dict[str, str]]:
    """The kinds of buffers that the plan has, with their colours."""
    last = len(plan.ops) - 1
    there = {_role(row, last) for row in plan.buffers}
    entries = [
        {"name": role, "color": color, "dash": "none", "mark": "square"}
        for role, color in COLORS.items()
        if role in there
    ]
    return [*entries, {"name": "bytes in use", "color": "ink", "dash": "", "mark": ""}]


def _steps(ops: Sequence[PlanRow]) -> list[tuple[float, float]]:
    return [(edge, float(op.live_bytes)) for i, op in enumerate(ops) for edge in (i - 0.5, i + 0.5)]


def _peak_text(ops: Sequence[PlanRow], peak: int, arena: int) -> str:
    kind = ops[peak].op.lower() if 0 <= peak < len(ops) else ""
    return f"peak at operator {peak} · {kind} · {arena:,} B"


def _beside(peak: int, count: int) -> tuple[float, str]:
    """The text begins at the left edge, or ends at the right one: it never leaves the figure."""
    return (-1.6, "start") if peak < count / 2 else (count + 0.6, "end")


def _role(row: BufferRow, last: int) -> str:
    if row.tensor is None:
        return "scratch"
    if row.first_op < 0:
        return "input"
    return "output" if row.last_op > last else "activation"


def _box(row: BufferRow, last: int) -> Box:
    role = _role(row, last)
    name = row.name
    tip = (
        f"{name} ({role}): {row.bytes:,} bytes at offset {row.offset:,}, "
        f"operators {row.first_op} to {row.last_op}"
    )
    return Box(
        (row.first_op - 0.5, row.last_op + 0.5),
        (row.offset, row.offset + row.bytes),
        COLORS[role],
        tip,
        name.rsplit("/", 1)[-1],
    )
