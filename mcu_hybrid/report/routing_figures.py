"""The figures of one run: accuracy over coverage and over mean latency.

The axis of coverage is the same on every page: left the cloud answers everything, right the
device does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcu_hybrid.report.chart import Axis, Chart, Item, Line, Mark
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


def legend(routing: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name, colour and line style of each series, for one legend beside both figures."""
    names = [*(routing.get("curves") or {}), *(row["method"] for row in routing.get("rows") or [])]
    entries = []
    for i, name in enumerate(dict.fromkeys(names)):
        color, mark, dash = style_of(name, i)
        entries.append({"name": name, "color": color, "dash": dash, "mark": mark})
        if name in SINGLE:
            entries[-1]["dash"] = "none"
    oracles = routing.get("oracles") or {}
    entries += [
        {"name": title, "color": color, "dash": dash, "mark": ""}
        for name, (title, color, dash) in BOUNDS.items()
        if name in oracles
    ]
    if routing.get("operating"):
        entries.append({"name": "as deployed", "color": "ink", "dash": "none", "mark": "ring"})
    return entries


def routing_figures(routing: Mapping[str, Any]) -> list[Figure]:
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
    estimate = ", estimate" if routing.get("latency_is_estimate") else ""
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


def _has_times(routing: Mapping[str, Any]) -> bool:
    rows, curves = routing.get("rows") or [], routing.get("curves") or {}
    known = [row.get("latency_ms") for row in rows]
    known += [value for curve in curves.values() for value in curve.get("latency_ms") or [None]]
    return bool(known) and all(value is not None for value in known)


def _link_name(routing: Mapping[str, Any]) -> str:
    return str((routing.get("link") or {}).get("name", "stated"))


def _bounds(routing: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    oracles = routing.get("oracles") or {}
    return {name: oracles[name] for name in BOUNDS if name in oracles}


def _values(routing: Mapping[str, Any], key: str) -> list[float]:
    curves = [*(routing.get("curves") or {}).values(), *_bounds(routing).values()]
    found = [value for curve in curves for value in curve.get(key) or []]
    for row in routing.get("rows") or []:
        if row["accuracy"] is None:
            continue
        ends = row.get("accuracy_ci") if key == "accuracy" else None
        found += ends or [row[key]]
    return [value for value in found if value is not None]


def _figure(routing: Mapping[str, Any], name: str, key: str, x_axis: Axis, alt: str) -> Figure:
    curves, rows = routing.get("curves") or {}, routing.get("rows") or []
    items: list[Item] = []
    for bound, points in _bounds(routing).items():
        title, color, dash = BOUNDS[bound]
        items.append(_line(points, key, title, color, dash, 1.5))
    for i, (method, points) in enumerate(curves.items()):
        color, _, dash = style_of(method, i)
        items.append(_line(points, key, f"{method}, every threshold", color, dash, 2.5))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    known = [row for row in rows if row["accuracy"] is not None]
    items += [_mark(row, key, methods.index(row["method"])) for row in known]
    if operating := routing.get("operating"):
        items.append(_operating(operating, key))
    low, high = padded(_values(routing, "accuracy"))
    return Figure(
        name,
        Chart(x_axis, Axis("accuracy", low, min(high, 1.005), percent), items, alt),
        HALF_PX,
        400,
        _csv(routing),
    )


def _line(
    points: Mapping[str, Any], key: str, title: str, color: str, dash: str, width: float
) -> Line:
    x, y = column(points, key), column(points, "accuracy")
    coverage = column(points, "coverage")
    times = column(points, "latency_ms") if points.get("latency_ms") else [None] * len(y)
    tips = [_tip(title, *row) for row in zip(y, coverage, times, strict=True)]
    return Line(list(zip(x, y, strict=True)), color, dash, width, tips)


def _tip(title: str, accuracy: float, coverage: float, latency_ms: float | None) -> str:
    time = "" if latency_ms is None else f", {latency_ms:.4g} ms"
    return f"{title}: accuracy {accuracy:.2%} at coverage {coverage:.1%}{time}"


def _mark(row: Mapping[str, Any], key: str, number_: int) -> Mark:
    """A row of the table: threshold from the calibration split, 95 % intervals as bars."""
    color, mark, _ = style_of(row["method"], number_)
    single = row["method"] in SINGLE
    coverage = row.get("coverage_ci") if key == "coverage" and not single else None
    accuracy = row.get("accuracy_ci")
    return Mark(
        row[key],
        row["accuracy"],
        color,
        mark,
        _tip(row["method"], row["accuracy"], row["coverage"], row.get("latency_ms")),
        5.5 if single else 4.5,
        (coverage[0], coverage[1]) if coverage else None,
        (accuracy[0], accuracy[1]) if accuracy else None,
    )


def _operating(point: Mapping[str, Any], key: str) -> Mark:
    at_left = key != "coverage" or point["coverage"] < 0.5
    return Mark(
        point[key],
        point["accuracy"],
        "ink",
        "ring",
        _tip("as deployed", point["accuracy"], point["coverage"], point.get("latency_ms")),
        9.0,
        label=f"deployed: {point['router']}",
        anchor="start" if at_left else "end",
        below=True,
    )


def _csv(routing: Mapping[str, Any]) -> str:
    """All series with both axes: the same file under both figures."""
    series = [*(routing.get("curves") or {}).items(), *_bounds(routing).items()]
    table: list[Sequence[Any]] = []
    for name, points in series:
        times = points.get("latency_ms") or [None] * len(points["accuracy"])
        columns = points | {"latency_ms": times}
        keys = ("coverage", "accuracy", "latency_ms")
        rows = zip(*(column(columns, key) for key in keys), strict=True)
        table += [(name, *row) for row in rows]
    for row in routing.get("rows") or []:
        values = (row["coverage"], row["accuracy"], row.get("latency_ms"))
        table.append((f"{row['method']} (table)", *values))
    return csv_text(("series", "coverage", "accuracy", "latency_ms"), table)
