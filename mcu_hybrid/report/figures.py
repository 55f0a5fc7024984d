"""What the report calls a figure: a drawing for wide and for narrow pages, and its data as CSV.

Texts of axes, hints and CSV are made here for all figures; what each shows is in its own file.
"""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcu_hybrid.report.chart import Chart
from mcu_hybrid.report.draw import draw

# Of the page's column, of two and of three figures beside each other, of a phone.
WIDE_PX, HALF_PX, THIRD_PX, NARROW_PX = 1000, 490, 320, 330
CURVE_POINTS = 400  # more than a figure has pixels for, and than a CSV in the page should hold


@dataclass(frozen=True)
class Figure:
    """A chart that is drawn ``width`` and NARROW_PX wide; the data as CSV."""

    name: str
    chart: Chart
    width: int
    height: int
    csv: str

    @property
    def alt(self) -> str:
        """What the figure shows, for those who do not see it."""
        return self.chart.alt

    @property
    def csv_uri(self) -> str:
        """The CSV as a data URI, for a download link."""
        return csv_uri(self.csv)

    def wide(self, suffix: str = "") -> str:
        """The drawing for a wide page; ``suffix`` tells the ids of several parts apart."""
        return draw(self.chart, self.width, self.height, f"{self.name}{suffix}-wide")

    def narrow(self, suffix: str = "") -> str:
        """The drawing for a phone: without hints, there is no pointer."""
        height = min(self.height, 330)
        return draw(self.chart, NARROW_PX, height, f"{self.name}{suffix}-narrow", tips=False)


def csv_uri(text: str) -> str:
    """A CSV file as a data URI."""
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV with a header line; six digits of a number are enough for a figure."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def finite(value: float | None) -> float | None:
    """The value, or None for NaN and infinity."""
    return value if value is not None and math.isfinite(value) else None


def percent(value: float, step: float = 0.01) -> str:
    """A share as a tick's text, with the digits that the distance between ticks needs."""
    digits = max(0, -math.floor(math.log10(max(step, 1e-6)) + 1e-9) - 2)
    return f"{100 * value:.{digits}f} %"


def number(value: float, step: float = 1.0) -> str:
    """A number as a tick's text."""
    digits = max(0, -math.floor(math.log10(max(step, 1e-9)) + 1e-9))
    return f"{value:,.{digits}f}"


def padded(values: Iterable[float], pad: float = 0.04) -> tuple[float, float]:
    """Limits of an axis around the values, with a little room; never without extent."""
    known = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(known), max(known)
    room = pad * (high - low) or max(abs(high) * 0.02, 0.01)
    return low - room, high + room


def from_zero(values: Iterable[float], pad: float = 0.04) -> tuple[float, float]:
    """Limits of an axis that begins at 0."""
    high = max((v for v in values if math.isfinite(v)), default=0.0) or 1.0
    return 0.0, high * (1 + pad)


def thinned(count: int, most: int = CURVE_POINTS) -> list[int]:
    """At most ``most`` places of ``count``, evenly spread, both ends among them."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def column(points: Mapping[str, Any], key: str) -> list[float]:
    """A curve's column, thinned like every other column of it."""
    values = points[key]
    return [values[i] for i in thinned(len(values))]
