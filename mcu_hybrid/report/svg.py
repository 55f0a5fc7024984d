"""The accuracy-coverage figure as a small static SVG, for a README: no browser, no plotly.

The template draws; here points become pixels and numbers become texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcu_hybrid.report.figures import BOUNDS, SINGLE, style_of
from mcu_hybrid.templates import page_environment

WIDTH, HEIGHT = 800, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 64, 56
LABEL_GAP_PX = 16
DASH = {"solid": "", "dotted": "2 4", "dashed": "7 5"}


def accuracy_coverage_svg(routing: Mapping[str, Any], title: str = "") -> str:
    """The figure as text, from the same data as the report's (curves, rows, oracles)."""
    curves, rows = routing.get("curves") or {}, routing.get("rows") or []
    oracles = routing.get("oracles") or {}
    bounds = {name: oracles[name] for name in BOUNDS if name in oracles}
    values = [a for points in [*curves.values(), *bounds.values()] for a in points["accuracy"]]
    values += [end for row in rows for end in row.get("accuracy_ci", [row["accuracy"]])]
    low, high, step = _nice(min(values), max(values))
    series = [
        _series(points, low, high, BOUNDS[name][1], DASH[BOUNDS[name][2]], 1.5)
        for name, points in bounds.items()
    ]
    series += [
        _series(points, low, high, style_of(name, i)["color"], "", 2.5)
        for i, (name, points) in enumerate(curves.items())
    ]
    return (
        page_environment(Path(__file__).parent)
        .get_template("accuracy_coverage.svg.j2")
        .render(
            width=WIDTH,
            height=HEIGHT,
            left=LEFT,
            right=WIDTH - RIGHT,
            top=TOP,
            bottom=HEIGHT - BOTTOM,
            title=title or "Accuracy over the share of inputs answered on the device",
            x_ticks=[{"at": _x(c / 100), "text": f"{c} %"} for c in range(0, 101, 20)],
            y_ticks=_y_ticks(low, high, step),
            series=series,
            points=[_point(row, low, high, _number(rows, row)) for row in rows],
            legend=_legend(curves, rows, bounds),
        )
    )


def write_accuracy_coverage_svg(routing: Mapping[str, Any], path: Path, title: str = "") -> None:
    """Write the figure."""
    path.write_text(accuracy_coverage_svg(routing, title), encoding="utf-8")


def _x(coverage: float) -> float:
    return round(LEFT + coverage * (WIDTH - LEFT - RIGHT), 1)


def _y(accuracy: float, low: float, high: float) -> float:
    return round(HEIGHT - BOTTOM - (accuracy - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)


def _nice(low: float, high: float) -> tuple[float, float, float]:
    """Round limits and a round step, in at most seven steps."""
    steps = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    step = next((s for s in steps if (high - low) / s <= 6), 0.2)
    bottom = math.floor(low / step + 1e-9) * step
    top = math.ceil(high / step - 1e-9) * step
    return (bottom, top, step) if top > bottom else (bottom - step, bottom + step, step)


def _y_ticks(low: float, high: float, step: float) -> list[dict[str, Any]]:
    digits = 0 if step >= 0.01 else 1
    count = round((high - low) / step)
    values = (low + i * step for i in range(count + 1))
    return [{"at": _y(v, low, high), "text": f"{100 * v:.{digits}f} %"} for v in values]


def _series(
    points: Mapping[str, Sequence[float]],
    low: float,
    high: float,
    color: str,
    dash: str,
    width: float,
) -> dict[str, Any]:
    """A polyline; points nearer than a pixel to the one before are left out."""
    path: list[tuple[float, float]] = []
    pairs = [
        (_x(c), _y(a, low, high))
        for c, a in zip(points["coverage"], points["accuracy"], strict=True)
    ]
    for pair in pairs:
        if not path or pair is pairs[-1] or math.dist(pair, path[-1]) >= 1.0:
            path.append(pair)
    text = " ".join(f"{x:g},{y:g}" for x, y in path)
    return {"points": text, "color": color, "dash": dash, "width": width}


def _point(row: Mapping[str, Any], low: float, high: float, number: int) -> dict[str, Any]:
    ci = row.get("accuracy_ci", [row["accuracy"]] * 2)
    return {
        "x": _x(row["coverage"]),
        "y": _y(row["accuracy"], low, high),
        "low": _y(ci[0], low, high),
        "high": _y(ci[1], low, high),
        "color": style_of(row["method"], number)["color"],
        "shape": style_of(row["method"], number)["symbol"],
    }


def _number(rows: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> int:
    return list(dict.fromkeys(r["method"] for r in rows)).index(row["method"])


def _legend(
    curves: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], bounds: Mapping[str, Any]
) -> list[dict[str, Any]]:
    entries = [
        {
            "text": name,
            "color": style_of(name, i)["color"],
            "dash": "",
            "point": name in SINGLE,
            "shape": style_of(name, i)["symbol"],
        }
        for i, name in enumerate(dict.fromkeys([*curves, *(row["method"] for row in rows)]))
    ]
    entries += [
        {
            "text": BOUNDS[name][0],
            "color": BOUNDS[name][1],
            "dash": DASH[BOUNDS[name][2]],
            "point": False,
            "shape": "",
        }
        for name in bounds
    ]
    x = float(LEFT)
    for entry in entries:
        entry["x"] = round(x)
        x += 30 + 6.4 * len(str(entry["text"])) + LABEL_GAP_PX
    return entries
