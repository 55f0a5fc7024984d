"""The figures of one run: accuracy over coverage and over mean latency.

The axis of coverage is the same on every page: left the cloud answers everything, right the
device does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcu_hybrid.artifacts.table import Curve, Row
from mcu_hybrid.report.chart import Axis, Chart, Item, Line, Mark
from mcu_hybrid.report.data import Operating, Routing
from mcu_hybrid.report.figures import (
    HALF_PX,
    Figure,
    column,
    csv_text,
    from_zero,
    number,
    padded,
    percent,
)
from mcu_hybrid.report.palette import BOUNDS, SINGLE, style_of

COVERAGE_TITLE = "share of inputs that the device answers (coverage), set by the threshold"


def coverage_axis() -> Axis:
    """Coverage from left to right, on every page alike."""
    return Axis(COVERAGE_TITLE, 0.0, 1.0, percent)


def legend(routing: Routing) -> list[dict[str, str]]:
    """Name, colour and line style of each series, for one legend beside both figures."""
    names = [*routing.curves, *(row.method for row in routing.rows)]
    entries = []
    for i, name in enumerate(dict.fromkeys(names)):
        color, mark, dash = style_of(name, i)
        entries.append({"name": name, "color": color, "dash": dash, "mark": mark})
        if name in SINGLE:
            entries[-1]["dash"] = "none"
    entries += [
        {"name": title, "color": color, "dash": dash, "mark": ""}
        for title, color, dash in (BOUNDS[name] for name in _bounds(routing))
    ]
    if routing.operating:
        entries.append({"name": "as deployed", "color": "ink", "dash": "none", "mark": "ring"})
    return entries


def routing_figures(routing: Routing) -> list[Figure]:
    """Accuracy over coverage and, where times are known, over mean latency."""
    coverage = _figure(
        routing,
        "accuracy-coverage",
        "coverage",
        coverage_axis(),
        "Accuracy of the hybrid over the share of inputs that the device answers itself.",
    )
    if not _has_times(routing):
        return [coverage]
    estimate = ", estimate" if routing.rests and routing.rests.latency_is_estimate else ""
    title = f"mean latency per input, ms ({_link_name(routing)} link model{estimate})"
    limits = from_zero(_values(routing, "latency_ms"))
    latency = _figure(
        routing,
        "accuracy-latency",
        "latency_ms",
        Axis(title, *limits, number),
        "Accuracy of the hybrid over the mean latency under the stated link model.",
    )
    return [coverage, latency]


def _has_times(routing: Routing) -> bool:
    known = [row.latency_ms for row in routing.rows]
    known += [value for curve in routing.curves.values() for value in curve.latency_ms or (None,)]
    return bool(known) and all(value is not None for value in known)


def _link_name(routing: Routing) -> str:
    return routing.link.name if routing.link else "stated"


def _bounds(routing: Routing) -> dict[str, Curve]:
    oracles = routing.oracles
    return {name: getattr(oracles, name) for name in BOUNDS} if oracles else {}


def _values(routing: Routing, key: str) -> list[float]:
    curves = [*routing.curves.values(), *_bounds(routing).values()]
    found = [value for curve in curves for value in getattr(curve, key)]
    for row in routing.rows:
        if row.accuracy is not None:
            found += row.accuracy_ci if key == "accuracy" else [getattr(row, key)]
    return [value for value in found if value is not None]


def _figure(routing: Routing, name: str, key: str, x_axis: Axis, alt: str) -> Figure:
    curves, rows = routing.curves, routing.rows
    items: list[Item] = []
    for bound, points in _bounds(routing).items():
        title, color, dash = BOUNDS[bound]
        items.append(_line(points, key, title, color, dash, 1.5))
    for i, (method, points) in enumerate(curves.items()):
        color, _, dash = style_of(method, i)
        items.append(_line(points, key, f"{method}, every threshold", color, dash, 2.5))
    methods = list(dict.fromkeys(row.method for row in rows))
    items += [
        _mark(row, row.accuracy, key, methods.index(row.method))
        for row in rows
        if row.accuracy is not None
    ]
    if operating := routing.operating:
        items.append(_operating(operating, key))
    low, high = padded(_values(routing, "accuracy"))
    return Figure(
        name,
        Chart(x_axis, Axis("accuracy", low, min(high, 1.005), percent), items, alt),
        HALF_PX,
        400,
        _csv(routing),
    )


def _line(points: Curve, key: str, title: str, color: str, dash: str, width: float) -> Line:
    x, y = _column(points, key), _column(points, "accuracy")
    coverage, times = _column(points, "coverage"), _column(points, "latency_ms")
    tips = [_tip(title, *row) for row in zip(y, coverage, times, strict=True)]
    return Line(list(zip(x, y, strict=True)), color, dash, width, tips)


def _column(points: Curve, key: str) -> list[Any]:
    """A column, thinned like the others; of times that are not known as many None."""
    values = vars(points) | {"latency_ms": points.latency_ms or (None,) * len(points.accuracy)}
    return column(values, key)


def _tip(title: str, accuracy: float, coverage: float, latency_ms: float | None) -> str:
    time = "" if latency_ms is None else f", {latency_ms:.4g} ms"
    return f"{title}: accuracy {accuracy:.2%} at coverage {coverage:.1%}{time}"


def _mark(row: Row, accuracy: float, key: str, number_: int) -> Mark:
    """A row of the table: threshold from the calibration split, 95 % intervals as bars."""
    color, mark, _ = style_of(row.method, number_)
    single = row.method in SINGLE
    coverage = row.coverage_ci if key == "coverage" and not single else None
    ends = row.accuracy_ci
    return Mark(
        getattr(row, key),
        accuracy,
        color,
        mark,
        _tip(row.method, accuracy, row.coverage, row.latency_ms),
        5.5 if single else 4.5,
        (coverage[0], coverage[1]) if coverage else None,
        (ends[0], ends[1]) if ends else None,
    )


def _operating(point: Operating, key: str) -> Mark:
    at_left = key != "coverage" or point.coverage < 0.5
    return Mark(
        getattr(point, key),
        point.accuracy,
        "ink",
        "ring",
        _tip("as deployed", point.accuracy, point.coverage, point.latency_ms),
        9.0,
        label=f"deployed: {point.router}",
        anchor="start" if at_left else "end",
        below=True,
    )


def _csv(routing: Routing) -> str:
    """All series with both axes: the same file under both figures."""
    series = [*routing.curves.items(), *_bounds(routing).items()]
    table: list[Sequence[Any]] = []
    for name, points in series:
        keys = ("coverage", "accuracy", "latency_ms")
        columns = (_column(points, key) for key in keys)
        table += [(name, *row) for row in zip(*columns, strict=True)]
    for row in routing.rows:
        values = (row.coverage, row.accuracy, row.latency_ms)
        table.append((f"{row.method} (table)", *values))
    return csv_text(("series", "coverage", "accuracy", "latency_ms"), table)
