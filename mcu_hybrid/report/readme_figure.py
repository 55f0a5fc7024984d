"""The accuracy-coverage figure as a file of its own, for a README: no page around it, no script."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from mcu_hybrid.report.data import Routing
from mcu_hybrid.report.draw import draw, shape
from mcu_hybrid.report.palette import FIGURE_CSS, color_css
from mcu_hybrid.report.routing_figures import legend, routing_figures

WIDTH, HEIGHT, HEAD = 800, 400, 80
_LEFT, _GAP_PX = 12.0, 16
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif"


def accuracy_coverage_svg(routing: Routing, title: str = "") -> str:
    """The figure as text, from the same data as the report's (curves, rows, oracles)."""
    title = title or "Accuracy over the share of inputs answered on the device"
    figure = routing_figures(routing)[0]
    chart = draw(figure.chart, WIDTH, HEIGHT, "coverage", tips=False)
    chart = chart.replace("<svg ", f'<svg y="{HEAD}" width="{WIDTH}" height="{HEIGHT}" ', 1)
    css = color_css("svg") + FIGURE_CSS + ".ground { fill: var(--c-paper); }\n"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + HEAD}" '
            f'width="{WIDTH}" height="{HEIGHT + HEAD}" role="img" aria-label="{escape(title)}" '
            f'font-family="{_FONT}">',
            f"<title>{escape(title)}</title>",
            f"<style>{css}</style>",
            f'<rect class="ground" width="{WIDTH}" height="{HEIGHT + HEAD}"/>',
            f'<text class="c-ink label" x="12" y="24" style="font-size: 15px; font-weight: 600">'
            f"{escape(title)}</text>",
            *_legend(legend(routing)),
            chart,
            "</svg>",
            "",
        ]
    )


def write_accuracy_coverage_svg(routing: Routing, path: Path, title: str = "") -> None:
    """Write the figure."""
    path.write_text(accuracy_coverage_svg(routing, title), encoding="utf-8")


def _legend(entries: list[dict[str, str]]) -> list[str]:
    x, y, parts = _LEFT, 46.0, []
    for entry in entries:
        wide = 30 + 6.4 * len(entry["name"])
        if x + wide > WIDTH:
            x, y = _LEFT, y + 20
        key = shape(entry["mark"], x + 9, y, 5) if entry["dash"] == "none" else _stroke(x, y, entry)
        parts.append(
            f'<g class="c-{entry["color"]}">{key}</g>'
            f'<text class="tick" x="{x + 26:.0f}" y="{y + 4:.0f}">{escape(entry["name"])}</text>'
        )
        x += wide + _GAP_PX
    return parts


def _stroke(x: float, y: float, entry: Mapping[str, str]) -> str:
    dash = f' stroke-dasharray="{entry["dash"]}"' if entry["dash"] else ""
    place = f'x1="{x:.0f}" x2="{x + 20:.0f}" y1="{y:.0f}" y2="{y:.0f}"'
    return f'<line class="ln" {place} stroke-width="2.5"{dash}/>'
