"""Figures that compare ways to route: accuracy over coverage, latency, energy and bytes.

One series per method with the interval of its mean over the seeds as a band; the page's legend
switches a method on and off in all four figures at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcu_hybrid.report.figures import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PINK,
    RED,
    SKY,
    Figure,
    axis,
    csv_text,
    layout,
    text,
)

# name, key of the curve, title of the axis, axis options, what the figure tells without eyes
FIGURES: tuple[tuple[str, str, str, dict[str, Any], str], ...] = (
    (
        "methods-coverage",
        "coverage",
        "share of inputs that the device answers (coverage)",
        {"tickformat": ".0%", "autorange": "reversed"},
        "Accuracy of each method over the share of inputs that the device answers itself.",
    ),
    (
        "methods-latency",
        "latency_ms",
        "mean latency per input, ms",
        {"rangemode": "tozero"},
        "Accuracy of each method over the mean latency of an input.",
    ),
    (
        "methods-energy",
        "energy_mj",
        "mean energy of the device, mJ",
        {"rangemode": "tozero"},
        "Accuracy of each method over the device's mean energy for an input.",
    ),
    (
        "methods-bytes",
        "bytes",
        "mean bytes sent per input",
        {"rangemode": "tozero"},
        "Accuracy of each method over the mean number of bytes that an input sends.",
    ),
)
_COLORS = (BLUE, ORANGE, RED, GREEN, PINK, SKY, "#8a6d00", "#7a4fa3", "#44606e", "#b03060")
_DASHES = ("solid", "dash", "dot", "dashdot")
_UNITS = {"coverage": ":.1%", "latency_ms": ":.4g", "energy_mj": ":.4g", "bytes": ":,.0f"}
_BOUND = "bound"


def styles(methods: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry of the legend per series: key, title, colour, dash, shown at first."""
    entries = [
        {
            "key": f"m{i}",
            "title": str(series["title"]),
            "color": _COLORS[i % len(_COLORS)],
            "dash": _DASHES[i // len(_COLORS) % len(_DASHES)],
            "first": bool(series["first"]),
        }
        for i, series in enumerate(methods.get("series") or [])
    ]
    bound = methods.get("bound")
    if bound:
        entries.append(
            # Hidden at first: it lies far above all others and would press them together.
            {"key": _BOUND, "title": bound["title"], "color": MUTED, "dash": "dot", "first": False}
        )
    return entries


def method_figures(methods: Mapping[str, Any]) -> list[Figure]:
    """The four figures from harness.methods' curves, each with its data as CSV."""
    return [_figure(methods, *about) for about in FIGURES]


def _figure(
    methods: Mapping[str, Any],
    name: str,
    key: str,
    title: str,
    options: dict[str, Any],
    alt: str,
) -> Figure:
    entries = styles(methods)
    curves = [series["curve"] for series in methods.get("series") or []]
    bound = methods.get("bound")
    curves += [bound["curve"]] if bound else []
    pairs = list(zip(entries, curves, strict=True))
    bands = [_band(entry, curve, key) for entry, curve in pairs if "low" in curve]
    lines = [_line(entry, curve, key) for entry, curve in pairs]
    single = methods.get("single") or []
    furthest = _furthest([curve for entry, curve in pairs if entry["first"] is True], key)
    # Bands first: no band may hide a line.
    return Figure(
        name,
        [*bands, *lines, *(_single(row, key, furthest) for row in single)],
        layout(
            xaxis=axis(title, **options),
            yaxis=axis("accuracy", tickformat=".0%"),
            showlegend=False,
            margin={"l": 56, "r": 16, "t": 12, "b": 48},
        ),
        440 if key == "coverage" else 320,
        csv_text(
            ("method", "coverage", key, "accuracy", "low", "high")
            if key != "coverage"
            else ("method", "coverage", "accuracy", "low", "high"),
            _csv_rows(pairs, single, key),
        ),
        alt,
    )


def _csv_rows(
    pairs: Sequence[tuple[dict[str, Any], Mapping[str, Any]]],
    single: Sequence[Mapping[str, Any]],
    key: str,
) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for entry, curve in pairs:
        low, high = (curve.get(k, [None] * len(curve["accuracy"])) for k in ("low", "high"))
        for i, accuracy in enumerate(curve["accuracy"]):
            x = () if key == "coverage" else (curve[key][i],)
            rows.append((entry["title"], curve["coverage"][i], *x, accuracy, low[i], high[i]))
    for row in single:
        x = () if key == "coverage" else (row[key],)
        rows.append((row["title"], row["coverage"], *x, row["accuracy"], *row["accuracy_ci"]))
    return rows


def _line(entry: Mapping[str, Any], curve: Mapping[str, Any], key: str) -> dict[str, Any]:
    other = "latency_ms" if key == "coverage" else "coverage"
    shown = {"coverage": "coverage", "latency_ms": "latency, ms"}
    hover = (
        f"<b>{text(entry['title'])}</b><br>accuracy %{{y:.2%}}<br>{shown.get(key, key)} "
        f"%{{x{_UNITS[key]}}}<br>{shown[other]} %{{customdata{_UNITS[other]}}}<extra></extra>"
    )
    return {
        "type": "scatter",
        "mode": "lines",
        "name": text(entry["title"]),
        "legendgroup": entry["key"],
        "x": curve[key],
        "y": curve["accuracy"],
        "customdata": curve[other],
        "line": {
            "color": entry["color"],
            "width": 3 if entry["key"] == "m0" else 1.5 if entry["key"] == _BOUND else 2,
            "dash": entry["dash"],
        },
        "hovertemplate": hover,
        "visible": entry["first"],
    }


def _band(entry: Mapping[str, Any], curve: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The interval as a closed outline: there along the upper edge, back along the lower one."""
    color = entry["color"]
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{text(entry['title'])}, 95 % interval",
        "legendgroup": entry["key"],
        "x": [*curve[key], *curve[key][::-1]],
        "y": [*curve["high"], *curve["low"][::-1]],
        "fill": "toself",
        "fillcolor": f"rgba({red}, {green}, {blue}, 0.12)",
        "line": {"width": 0, "color": color},
        "hoverinfo": "skip",
        "visible": entry["first"],
    }


def _furthest(curves: Sequence[Mapping[str, Any]], key: str) -> float:
    return max((x for curve in curves for x in curve[key]), default=1.0)


def _single(row: Mapping[str, Any], key: str, furthest: float) -> dict[str, Any]:
    """One answer for all inputs: a mark, its name on the side where there is room."""
    low, high = row["accuracy_ci"]
    at_left = (row[key] > furthest / 2) == (key == "coverage")
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": text(row["title"]),
        "x": [row[key]],
        "y": [row["accuracy"]],
        "text": [text(row["title"])],
        "textposition": "bottom right" if at_left else "top left",
        "cliponaxis": False,
        "textfont": {"size": 11.5, "color": MUTED},
        "marker": {"color": INK, "symbol": "diamond", "size": 10},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [high - row["accuracy"]],
            "arrayminus": [row["accuracy"] - low],
            "thickness": 1,
            "width": 0,
            "color": INK,
        },
        "hovertemplate": f"<b>{text(row['title'])}</b><br>accuracy %{{y:.2%}}<extra></extra>",
    }
