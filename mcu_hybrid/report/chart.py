"""A chart over two axes as plain values: lines, bands, marks, boxes.

Knows nothing of what it shows, nor of pixels: draw.py makes it SVG.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """Title, limits, and the text of a tick from its value and the distance between ticks.

    ``ticks``: those and no others, as value and text.
    """

    title: str
    low: float
    high: float
    form: Callable[[float, float], str]
    is_whole: bool = False  # ticks at whole numbers only
    ticks: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True)
class Line:
    """A line, or with ``is_area`` a filled outline; ``tips`` has a text for each point or is empty.

    ``group`` names what a legend switches together; ``shown`` False begins hidden.
    """

    points: Sequence[Point]
    color: str
    dash: str = ""
    width: float = 2.5
    tips: Sequence[str] = ()
    is_area: bool = False
    group: str = ""
    shown: bool = True


@dataclass(frozen=True)
class Mark:
    """A marker with its intervals as bars; ``label`` stands beside it, on the side ``anchor``."""

    x: float
    y: float
    color: str
    shape: str
    tip: str = ""
    size: float = 5.0
    x_range: Point | None = None
    y_range: Point | None = None
    label: str = ""
    anchor: str = "start"  # "start": to the right of the mark, "end": to its left
    below: bool = False


@dataclass(frozen=True)
class Box:
    """A rectangle in the units of the axes; ``label`` only where it fits."""

    x: Point
    y: Point
    color: str
    tip: str = ""
    label: str = ""
    is_band: bool = False  # the whole height, faint, behind all


@dataclass(frozen=True)
class Rule:
    """A dashed level with a text on it, which begins (or ends) at ``x``."""

    y: float
    color: str
    label: str
    x: float
    anchor: str = "start"


Item = Line | Mark | Box | Rule


@dataclass(frozen=True)
class Chart:
    """Two axes and what is drawn over them, in this order."""

    x: Axis
    y: Axis
    items: Sequence[Item]
    alt: str
