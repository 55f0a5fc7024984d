"""Charts as SVG text. The browser needs no script; what is under the pointer is told by <title>.

A chart is drawn once per width, because text that is scaled down to a phone cannot be read. Colours
are classes of the page's style sheet (palette.py).
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from mcu_hybrid.report.chart import Axis, Box, Chart, Item, Line, Mark, Point, Rule

CHAR_PX = 6.7  # of an average character at the size of the ticks
_RIGHT_PX = 22.0  # half of the last tick's text
HITS = 40  # places on a line that tell their values


@dataclass(frozen=True)
class _Frame:
    """Where the plot lies in the picture, in pixels, and how values become pixels."""

    chart: Chart
    left: float
    right: float
    top: float
    bottom: float
    tips: bool

    def x(self, value: float) -> float:
        return self._place(value, self.chart.x, self.left, self.right)

    def y(self, value: float) -> float:
        return self._place(value, self.chart.y, self.bottom, self.top)

    @staticmethod
    def _place(value: float, axis: Axis, begin: float, end: float) -> float:
        return round(begin + (value - axis.low) / (axis.high - axis.low) * (end - begin), 1)


def draw(chart: Chart, width: int, height: int, name: str, *, tips: bool = True) -> str:
    """The chart as an <svg> element of this size; ``name`` makes its ids unique in the page."""
    rows = max(2, int((height - 90) / 48))
    y_ticks = _ticks(chart.y, rows)
    left = 12 + CHAR_PX * max((len(text) for _, text in y_ticks), default=0)
    right = width - _RIGHT_PX
    plot_px = right - left
    titles = textwrap.wrap(chart.x.title, max(12, int(plot_px / 6.9))) or [""]
    bottom = height - 26 - 17 * len(titles)
    frame = _Frame(chart, left, right, 28, bottom, tips)
    wide = max((len(text) for _, text in chart.x.ticks), default=6)
    x_ticks = _ticks(chart.x, max(2, int(plot_px / max(52, CHAR_PX * wide + 14))))
    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(chart.alt)}" xmlns="http://www.w3.org/2000/svg">',
        *_grid(frame, x_ticks, y_ticks),
        *(
            f'<text class="name" text-anchor="middle" x="{(left + right) / 2:.1f}" '
            f'y="{bottom + 38 + 17 * i:.1f}">{escape(line)}</text>'
            for i, line in enumerate(titles)
        ),
        f'<text class="name" x="2" y="14">{escape(chart.y.title)}</text>',
        f'<clipPath id="clip-{name}"><rect x="{left - 8:.1f}" y="22" width="{plot_px + 16:.1f}" '
        f'height="{bottom - 16:.1f}"/></clipPath><g clip-path="url(#clip-{name})">',
        *(_item(frame, item) for item in chart.items),
        *(_box_label(frame, item) for item in chart.items if isinstance(item, Box)),
        "</g></svg>",
    ]
    return "\n".join(parts)


def nice_step(span: float, most: int) -> float:
    """A round distance between ticks: at most ``most`` steps in ``span``."""
    raw = max(span, 1e-12) / max(1, most)
    size = 10.0 ** math.floor(math.log10(raw))
    return next(f * size for f in (1.0, 2.0, 5.0, 10.0) if f * size >= raw * (1 - 1e-9))


def _ticks(axis: Axis, most: int) -> list[tuple[float, str]]:
    if axis.ticks:
        step = max(1, -(-len(axis.ticks) // most))
        last = axis.ticks[-1]
        kept = [tick for i, tick in enumerate(axis.ticks) if i % step == 0]
        return kept if kept[-1] == last or step > 1 else [*kept, last]
    step_ = nice_step(axis.high - axis.low, most)
    if axis.is_whole:
        step_ = max(1.0, step_)
    first = math.ceil(axis.low / step_ - 1e-9)
    count = math.floor(axis.high / step_ + 1e-9) - first + 1
    values = [(first + i) * step_ for i in range(count)]
    return [(value, axis.form(value, step_)) for value in values]


def _grid(
    frame: _Frame, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]
) -> list[str]:
    lines = []
    for value, text in y_ticks:
        y = frame.y(value)
        lines.append(
            f'<line class="grid" x1="{frame.left:.1f}" x2="{frame.right:.1f}" y1="{y}" y2="{y}"/>'
            f'<text class="tick" text-anchor="end" x="{frame.left - 6:.1f}" y="{y + 4:.1f}">'
            f"{escape(text)}</text>"
        )
    for value, text in x_ticks:
        x = frame.x(value)
        lines.append(
            f'<line class="grid" x1="{x}" x2="{x}" y1="{frame.top}" y2="{frame.bottom:.1f}"/>'
            f'<text class="tick" text-anchor="middle" x="{x}" y="{frame.bottom + 18:.1f}">'
            f"{escape(text)}</text>"
        )
    return lines


def _item(frame: _Frame, item: Item) -> str:
    if isinstance(item, Line):
        return _line(frame, item)
    if isinstance(item, Mark):
        return _mark(frame, item)
    return _box(frame, item) if isinstance(item, Box) else _rule(frame, item)


def _line(frame: _Frame, line: Line) -> str:
    pairs = [(frame.x(x), frame.y(y)) for x, y in line.points]
    path = " ".join(f"{x:g},{y:g}" for x, y in _thinned(pairs))
    kind = "polygon" if line.is_area else "polyline"
    look = "area" if line.is_area else "ln"
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    stroke = "" if line.is_area else f' stroke-width="{line.width:g}"{dash}'
    hits = _hits(pairs, line.tips) if frame.tips else ""
    group = f' data-group="{line.group}"' if line.group else ""
    hidden = "" if line.shown else ' style="display:none"'
    return (
        f'<g class="c-{line.color}"{group}{hidden}><{kind} class="{look}" points="{path}"{stroke}/>'
        f"{hits}</g>"
    )


def _thinned(pairs: Sequence[Point]) -> list[Point]:
    """Without the points that lie nearer than a pixel to the one before."""
    path: list[Point] = []
    for n, pair in enumerate(pairs):
        if not path or n == len(pairs) - 1 or math.dist(pair, path[-1]) >= 1.0:
            path.append(pair)
    return path


def _hits(pairs: Sequence[Point], tips: Sequence[str]) -> str:
    if not tips:
        return ""
    chosen: list[int] = []
    gap = (pairs[-1][0] - pairs[0][0]) / HITS
    for n, (x, _) in enumerate(pairs):
        if not chosen or abs(x - pairs[chosen[-1]][0]) >= abs(gap):
            chosen.append(n)
    return "".join(
        f'<circle class="hit" cx="{pairs[n][0]:g}" cy="{pairs[n][1]:g}" r="7">{_tip(tips[n])}'
        "</circle>"
        for n in chosen
    )


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


def _mark(frame: _Frame, mark: Mark) -> str:
    x, y = frame.x(mark.x), frame.y(mark.y)
    bars = ""
    if mark.x_range is not None:
        low, high = (frame.x(value) for value in mark.x_range)
        bars += f'<line class="err" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
    if mark.y_range is not None:
        low, high = (frame.y(value) for value in mark.y_range)
        bars += f'<line class="err" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>'
    label = ""
    if mark.label:
        side = 1 if mark.anchor == "start" else -1
        label = (
            f'<text class="label" text-anchor="{mark.anchor}" x="{x + side * (mark.size + 5):.1f}" '
            f'y="{y + (17 if mark.below else -9):.1f}">{escape(mark.label)}</text>'
        )
    return (
        f'<g class="c-{mark.color}">{bars}{shape(mark.shape, x, y, mark.size, mark.tip)}{label}</g>'
    )


def shape(kind: str, x: float, y: float, size: float, tip: str = "") -> str:
    """A marker around (x, y) as SVG; of the colour of the group that it stands in."""
    s = size
    paths = {
        "square": f"M{x - s:g} {y - s:g}h{2 * s:g}v{2 * s:g}h{-2 * s:g}z",
        "diamond": f"M{x:g} {y - 1.4 * s:g}l{1.4 * s:g} {1.4 * s:g}-{1.4 * s:g} {1.4 * s:g}"
        f"-{1.4 * s:g}-{1.4 * s:g}z",
        "triangle": f"M{x:g} {y - 1.3 * s:g}l{1.2 * s:g} {2.1 * s:g}h{-2.4 * s:g}z",
    }
    if kind == "ring":
        return f'<circle class="open" cx="{x:g}" cy="{y:g}" r="{s:g}">{_tip(tip)}</circle>'
    if kind in ("cross", "x"):
        turn = f' transform="rotate(45 {x:g} {y:g})"' if kind == "x" else ""
        a, b = 0.42 * s, 1.25 * s
        path = (
            f"M{x - a:g} {y - b:g}h{2 * a:g}v{b - a:g}h{b - a:g}v{2 * a:g}h{a - b:g}v{b - a:g}"
            f"h{-2 * a:g}v{a - b:g}h{a - b:g}v{-2 * a:g}h{b - a:g}z"
        )
        return f'<path class="mk" d="{path}"{turn}>{_tip(tip)}</path>'
    if kind in paths:
        return f'<path class="mk" d="{paths[kind]}">{_tip(tip)}</path>'
    return f'<circle class="mk" cx="{x:g}" cy="{y:g}" r="{s:g}">{_tip(tip)}</circle>'


def _corners(frame: _Frame, box: Box) -> tuple[float, float, float, float]:
    top, bottom = (
        (frame.top, frame.bottom) if box.is_band else (frame.y(box.y[1]), frame.y(box.y[0]))
    )
    return frame.x(box.x[0]), top, frame.x(box.x[1]), bottom


def _box(frame: _Frame, box: Box) -> str:
    left, top, right, bottom = _corners(frame, box)
    return (
        f'<rect class="c-{box.color} {"area" if box.is_band else "box"}" x="{left:g}" y="{top:g}" '
        f'width="{right - left:.1f}" height="{bottom - top:.1f}">{_tip(box.tip)}</rect>'
    )


def _box_label(frame: _Frame, box: Box) -> str:
    """The name in a box, where it fits; drawn after all boxes, which may overlap."""
    left, top, right, bottom = _corners(frame, box)
    if not box.label or bottom - top < 13 or right - left < 8 + 6.2 * len(box.label):
        return ""
    return (
        f'<text class="inbox" text-anchor="middle" x="{(left + right) / 2:.1f}" '
        f'y="{(top + bottom) / 2 + 4:.1f}">{escape(box.label)}</text>'
    )


def _rule(frame: _Frame, rule: Rule) -> str:
    y = frame.y(rule.y)
    x = min(max(frame.x(rule.x), frame.left + 4), frame.right - 4)
    return (
        f'<g class="c-{rule.color}"><line class="err" stroke-dasharray="6 4" '
        f'x1="{frame.left:.1f}" x2="{frame.right:.1f}" y1="{y}" y2="{y}"/>'
        f'<text class="label" text-anchor="{rule.anchor}" x="{x:.1f}" y="{y - 5:.1f}">'
        f"{escape(rule.label)}</text></g>"
    )
