"""The report's routing figures as plotly specifications (plain dicts), each with its data as CSV.

Plain dicts keep plotly out of the import path and out of the page's Python; tests validate them
against plotly's own schema. The figures of board and model are in board_figures.py.
"""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

# Okabe and Ito's palette, told apart with every common colour vision; shapes and dashes repeat it.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK = "#56B4E9", "#CC79A7"
INK, MUTED, GRID, FAINT = "#1b1f24", "#5b6470", "#e6e9ed", "#9aa3ad"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
METHOD_STYLE: dict[str, dict[str, str]] = {
    "router": {"color": BLUE, "symbol": "circle", "dash": "solid"},
    "entropy": {"color": ORANGE, "symbol": "square", "dash": "solid"},
    "max-prob": {"color": PINK, "symbol": "cross", "dash": "dash"},
    "margin": {"color": SKY, "symbol": "x", "dash": "dashdot"},
    "on-device only": {"color": RED, "symbol": "triangle-up", "dash": "solid"},
    "cloud only": {"color": GREEN, "symbol": "diamond", "dash": "solid"},
}
OTHER_STYLES = (
    {"color": INK, "symbol": "star", "dash": "dot"},
    {"color": MUTED, "symbol": "hexagon", "dash": "longdash"},
)
# name in route_eval.oracles -> title, colour, line style in the page's legend
BOUNDS = {
    "best": ("oracle (best possible)", MUTED, "dotted"),
    "random": ("blind routing", FAINT, "dashed"),
}
SINGLE = ("on-device only", "cloud only")


@dataclass(frozen=True)
class Figure:
    """One figure: plotly data and layout, height in pixels, its data as CSV, and a text for it."""

    name: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int
    csv: str
    alt: str

    @property
    def csv_uri(self) -> str:
        """The CSV as a data URI, for a download link."""
        return "data:text/csv;charset=utf-8;base64," + base64.b64encode(self.csv.encode()).decode()

    def spec(self) -> dict[str, Any]:
        """What the page's script draws."""
        return {"name": self.name, "data": self.data, "layout": self.layout}


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV with a header line."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return stream.getvalue()


def finite(value: float | None) -> float | None:
    """The value, or None for NaN and infinity, which JSON does not have."""
    return value if value is not None and math.isfinite(value) else None


def text(value: object) -> str:
    """A label or hover text: plotly reads tags in them, so names from models are escaped."""
    return escape(str(value), quote=False)


def axis(title: str, **changes: Any) -> dict[str, Any]:
    """An axis in the house style."""
    return {
        "title": {"text": title, "font": {"size": 13, "color": MUTED}, "standoff": 10},
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GRID,
        "ticks": "",
        "tickfont": {"size": 12, "color": MUTED},
        "automargin": True,
    } | changes


def layout(**changes: Any) -> dict[str, Any]:
    """A figure's layout in the house style."""
    return {
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 56, "r": 16, "t": 8, "b": 48},
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": "#c9ced6", "font": {"size": 12.5}},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": FAINT, "activecolor": BLUE},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"size": 12.5},
            "traceorder": "normal",
        },
    } | changes


def style_of(method: str, number: int = 0) -> dict[str, str]:
    """Colour, marker and dash of a method; unknown ones get the remaining styles in turn."""
    return METHOD_STYLE.get(method, OTHER_STYLES[number % len(OTHER_STYLES)])


def legend(routing: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name, colour and line style of each series, for one legend beside both figures."""
    names = [*(routing.get("curves") or {}), *(row["method"] for row in routing.get("rows") or [])]
    entries = [
        {
            "name": name,
            "color": style_of(name, i)["color"],
            "style": "point" if name in SINGLE else "solid",
        }
        for i, name in enumerate(dict.fromkeys(names))
    ]
    oracles = routing.get("oracles") or {}
    bounds = {name: BOUNDS[name] for name in BOUNDS if name in oracles}
    return entries + [{"name": t, "color": c, "style": s} for t, c, s in bounds.values()]


def routing_figures(routing: Mapping[str, Any]) -> list[Figure]:
    """Accuracy over coverage and over mean latency, from route_eval's rows, curves and oracles."""
    coverage = _routing_figure(
        routing,
        "accuracy-coverage",
        "coverage",
        "answered on the device (coverage)",
        {"tickformat": ".0%", "range": [-0.02, 1.02]},
        "Accuracy of the hybrid over the share of inputs that the device answers itself.",
    )
    if routing.get("edge_ms", 0.0) is None:
        return [coverage]  # the board has no time
    estimate = ", estimate" if routing.get("latency_is_estimate") else ""
    latency = _routing_figure(
        routing,
        "accuracy-latency",
        "latency_ms",
        f"mean latency per input, ms ({_link_name(routing)} link model{estimate})",
        {"rangemode": "tozero"},
        "Accuracy of the hybrid over the mean latency under the stated link model.",
    )
    return [coverage, latency]


def _link_name(routing: Mapping[str, Any]) -> str:
    return str((routing.get("link") or {}).get("name", "stated"))


def _routing_figure(
    routing: Mapping[str, Any],
    name: str,
    key: str,
    x_title: str,
    x_axis: dict[str, Any],
    alt: str,
) -> Figure:
    curves, rows = routing.get("curves") or {}, routing.get("rows") or []
    oracles = routing.get("oracles") or {}
    traces = [_bound(oracles[n], key, n) for n in ("best", "random") if n in oracles]
    traces += [_line(curves[m], key, m, i) for i, m in enumerate(curves)]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    traces += [_points(rows, key, m, i) for i, m in enumerate(methods)]
    table = [
        (series, c, a, ms)
        for series, points in [*curves.items(), *((n, oracles.get(n)) for n in ("best", "random"))]
        if points
        for c, a, ms in zip(
            points["coverage"], points["accuracy"], points["latency_ms"], strict=True
        )
    ]
    table += [
        (f"{r['method']} (table)", r["coverage"], r["accuracy"], r["latency_ms"]) for r in rows
    ]
    return Figure(
        name,
        traces,
        layout(
            xaxis=axis(x_title, **x_axis),
            yaxis=axis("accuracy", tickformat=".0%"),
            showlegend=False,
            margin={"l": 56, "r": 16, "t": 28, "b": 48},
        ),
        400,
        csv_text(("series", "coverage", "accuracy", "latency_ms"), table),
        alt,
    )


def _line(points: Mapping[str, Any], key: str, method: str, number: int) -> dict[str, Any]:
    style = style_of(method, number)
    other = "latency_ms" if key == "coverage" else "coverage"
    return {
        "type": "scatter",
        "mode": "lines",
        "name": text(method),
        "x": points[key],
        "y": points["accuracy"],
        "customdata": points[other],
        "line": {"color": style["color"], "width": 2.5, "dash": style["dash"]},
        "hovertemplate": _hover(key, f"{text(method)}, swept on the test split"),
    }


def _hover(key: str, head: str) -> str:
    cells = {"coverage": "coverage %{{{}:.1%}}", "latency_ms": "latency %{{{}:.4g}} ms"}
    other = "latency_ms" if key == "coverage" else "coverage"
    parts = (f"<b>{head}</b>", "accuracy %{y:.2%}", cells[key].format("x"))
    return "<br>".join((*parts, cells[other].format("customdata"))) + "<extra></extra>"


def _bound(points: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    title, color, style = BOUNDS[name]
    other = "latency_ms" if key == "coverage" else "coverage"
    return {
        "type": "scatter",
        "mode": "lines",
        "name": title,
        "x": points[key],
        "y": points["accuracy"],
        "customdata": points[other],
        "line": {"color": color, "width": 1.5, "dash": {"dotted": "dot", "dashed": "dash"}[style]},
        "hovertemplate": _hover(key, title),
    }


def _points(
    rows: Sequence[Mapping[str, Any]], key: str, method: str, number: int
) -> dict[str, Any]:
    """The table's rows: thresholds from the calibration split, 95 % intervals as bars."""
    mine = [row for row in rows if row["method"] == method]
    style = style_of(method, number)
    other = "latency_ms" if key == "coverage" else "coverage"
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": text(method),
        "x": [row[key] for row in mine],
        "y": [row["accuracy"] for row in mine],
        "customdata": [row[other] for row in mine],
        "marker": {
            "color": style["color"],
            "symbol": style["symbol"],
            "size": 11 if method in SINGLE else 9,
            "line": {"color": "#ffffff", "width": 1.5},
        },
        "cliponaxis": False,
        "hovertemplate": _hover(key, text(method)),
    }
    bars = {"thickness": 1, "width": 0, "color": style["color"]}
    if all("accuracy_ci" in row for row in mine):
        trace["error_y"] = bars | _bars(mine, "accuracy")
    if key == "coverage" and method not in SINGLE and all("coverage_ci" in row for row in mine):
        trace["error_x"] = bars | _bars(mine, "coverage")
    return trace


def _bars(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [row[f"{key}_ci"][1] - row[key] for row in rows],
        "arrayminus": [row[key] - row[f"{key}_ci"][0] for row in rows],
    }
