"""Figures that compare ways to route: accuracy over coverage, latency, energy and bytes.

One series per method with the interval of its mean over the seeds as a band; the page's legend
switches a method on and off in all four figures at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcu_hybrid.report.chart import Axis, Chart, Item, Line, Mark
from mcu_hybrid.report.figures import (
    THIRD_PX,
    WIDE_PX,
    Figure,
    column,
    csv_text,
    from_zero,
    number,
    padded,
    percent,
)
from mcu_hybrid.report.palette import DASHDOT, DASHED, DOTTED, SOLID
from mcu_hybrid.report.routing_figures import coverage_axis

# name, key of the curve, title of the axis, what the figure tells without eyes
FIGURES: tuple[tuple[str, str, str, str], ...] = (
    (
        "methods-coverage",
        "coverage",
        "",
        "Accuracy of each method over the share of inputs that the device answers itself.",
    ),
    (
        "methods-latency",
        "latency_ms",
        "mean latency per input, ms, estimate",
        "Accuracy of each method over the mean latency of an input.",
    ),
    (
        "methods-energy",
        "energy_mj",
        "mean energy of the device, mJ, estimate",
        "Accuracy of each method over the device's mean energy for an input.",
    ),
    (
        "methods-bytes",
        "bytes",
        "mean bytes sent per input",
        "Accuracy of each method over the mean number of bytes that an input sends.",
    ),
)
_COLORS = ("blue", "orange", "red", "green", "pink", "sky", "olive", "purple", "slate", "rose")
_DASHES = (SOLID, DASHED, DOTTED, DASHDOT)
_BOUND = "bound"


@dataclass(frozen=True)
class Entry:
    """A series in the legend; ``first``: shown at once."""

    key: str
    title: str
    color: str
    dash: str
    first: bool = False
    is_control: bool = False


def styles(methods: Mapping[str, Any]) -> list[Entry]:
    """One entry of the legend per series: key, title, colour, dash, shown at first."""
    entries = [
        Entry(
            f"m{i}",
            str(series["title"]),
            _COLORS[i % len(_COLORS)],
            _DASHES[i // len(_COLORS) % len(_DASHES)],
            bool(series["first"]),
            str(series["title"]).startswith("control"),
        )
        for i, series in enumerate(methods.get("series") or [])
    ]
    bound = methods.get("bound")
    if bound:
        entries.append(Entry(_BOUND, bound["title"], "muted", DOTTED))
    return entries


def method_figures(methods: Mapping[str, Any]) -> list[Figure]:
    """The four figures from routing.methods' curves, each with its data as CSV."""
    return [_figure(methods, *about) for about in FIGURES]


def _figure(methods: Mapping[str, Any], name: str, key: str, title: str, alt: str) -> Figure:
    curves = [series["curve"] for series in methods.get("series") or []]
    bound = methods.get("bound")
    curves += [bound["curve"]] if bound else []
    pairs = list(zip(styles(methods), curves, strict=True))
    single = methods.get("single") or []
    shown = [curve for entry, curve in pairs if entry.first] or curves
    # Bands first: no band may hide a line. The first method last: no other may hide it.
    items: list[Item] = [_band(entry, curve, key) for entry, curve in pairs if "low" in curve]
    items += [_line(entry, curve, key) for entry, curve in pairs[::-1]]
    furthest = max((x for curve in shown for x in curve[key]), default=1.0)
    items += [_single(row, key, furthest) for row in single]
    values = [*shown, *({key: [row[key]]} for row in single)]
    x_axis = (
        coverage_axis()
        if key == "coverage"
        else Axis(title, *from_zero(x for curve in values for x in curve[key]), number)
    )
    is_first = key == "coverage"
    return Figure(
        name,
        Chart(x_axis, Axis("accuracy", *_limits(shown, curves, single), percent), items, alt),
        WIDE_PX if is_first else THIRD_PX,
        440 if is_first else 320,
        csv_text(
            ("method", "coverage", *(() if is_first else (key,)), "accuracy", "low", "high"),
            _csv_rows(pairs, single, key),
        ),
    )


def _limits(
    shown: Sequence[Mapping[str, Any]],
    curves: Sequence[Mapping[str, Any]],
    single: Sequence[Mapping[str, Any]],
) -> tuple[float, float]:
    """From the lowest that is shown at first to the highest of all.

    A hidden series that lies far below would press the others together; it leaves the figure at
    the lower edge.
    """
    low = [a for curve in shown for a in curve.get("low", curve["accuracy"])]
    low += [row["accuracy_ci"][0] for row in single]
    high = [a for curve in curves for a in curve.get("high", curve["accuracy"])]
    return padded([min(low, default=0.0), max([*high, *low], default=1.0)])


def _csv_rows(
    pairs: Sequence[tuple[Entry, Mapping[str, Any]]],
    single: Sequence[Mapping[str, Any]],
    key: str,
) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for entry, curve in pairs:
        low, high = (curve.get(k, [None] * len(curve["accuracy"])) for k in ("low", "high"))
        for i, accuracy in enumerate(curve["accuracy"]):
            x = () if key == "coverage" else (curve[key][i],)
            rows.append((entry.title, curve["coverage"][i], *x, accuracy, low[i], high[i]))
    for row in single:
        x = () if key == "coverage" else (row[key],)
        rows.append((row["title"], row["coverage"], *x, row["accuracy"], *row["accuracy_ci"]))
    return rows


def _line(entry: Entry, curve: Mapping[str, Any], key: str) -> Line:
    columns = zip(
        column(curve, "accuracy"), column(curve, "coverage"), column(curve, key), strict=True
    )
    tips = [
        f"{entry.title}: accuracy {accuracy:.2%} at coverage {coverage:.1%}"
        + ("" if key == "coverage" else f", {x:,.4g} {_UNITS[key]}")
        for accuracy, coverage, x in columns
    ]
    width = 3.0 if entry.key == "m0" else 1.5 if entry.key == _BOUND else 2.0
    return Line(
        list(zip(column(curve, key), column(curve, "accuracy"), strict=True)),
        entry.color,
        entry.dash,
        width,
        tips,
        group=entry.key,
        shown=entry.first,
    )


_UNITS = {"latency_ms": "ms", "energy_mj": "mJ", "bytes": "bytes"}


def _band(entry: Entry, curve: Mapping[str, Any], key: str) -> Line:
    """The interval as a closed outline: there along the upper edge, back along the lower one."""
    x = column(curve, key)
    upper = list(zip(x, column(curve, "high"), strict=True))
    lower = list(zip(x, column(curve, "low"), strict=True))
    return Line(
        [*upper, *lower[::-1]],
        entry.color,
        is_area=True,
        group=entry.key,
        shown=entry.first,
    )


def _single(row: Mapping[str, Any], key: str, furthest: float) -> Mark:
    """One answer for all inputs: a mark, its name on the side where there is room."""
    low, high = row["accuracy_ci"]
    at_right = row[key] > furthest / 2
    return Mark(
        row[key],
        row["accuracy"],
        "ink",
        "diamond",
        f"{row['title']}: accuracy {row['accuracy']:.2%}",
        y_range=(low, high),
        label=str(row["title"]),
        anchor="end" if at_right else "start",
        below=True,
    )
