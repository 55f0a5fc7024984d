"""How the report writes a time: measured, or an estimate with its range; never one for the other.

Folders of earlier versions say less than today's: what is not there is not made up.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcu_hybrid.artifacts.times import UNSAID, Latency, Rests, Span
from mcu_hybrid.machines.price import digits_of
from mcu_hybrid.report.data import Routing

MEASURED, ESTIMATE = "measured", "estimate"


@dataclass(frozen=True)
class Time:
    """A time in microseconds with its range, and whether a board's counter measured it."""

    us: float
    low_us: float | None
    high_us: float | None
    kind: str
    basis: str = ""

    unit = "ms"

    @property
    def value(self) -> str:
        """The number without its unit."""
        return self._number(self.us)

    @property
    def range(self) -> str:
        """``5.4-7.0``; "" where no range is known, or the time was measured."""
        if self.kind == MEASURED or self.low_us is None or self.high_us is None:
            return ""
        return f"{self._number(self.low_us)}-{self._number(self.high_us)}"

    def text(self) -> str:
        """As in: about 5.9 ms (5.4-7.0), estimate."""
        if self.kind == MEASURED:
            return f"{self.value} {self.unit}, measured"
        among = f" ({self.range})" if self.range else ""
        return f"about {self.value} {self.unit}{among}, estimate"

    def _number(self, us: float) -> str:
        """Milliseconds; a range has the digits of its value."""
        return f"{us / 1e3:,.{digits_of(self.us)}f}"


def latency_of(said: Latency, *, is_virtual: bool) -> Time | None:
    """The time of a bench or of a build's estimate; None where there is none.

    A virtual board measures no time whatever its folder says: earlier versions called it so. A
    kind that is there and None says that the time is no board's.
    """
    kind = kind_of(said)
    return time_of(said, ESTIMATE if is_virtual and kind else kind, said.latency_basis)


def time_of(span: Span, kind: str | None, basis: str = "") -> Time | None:
    """A time of this kind; None where there is none, or it is no board's."""
    us = span.latency_us
    if us is None or kind is None:
        return None
    ends = span.latency_low_us, span.latency_high_us
    return Time(us, *ends, MEASURED if kind == MEASURED else ESTIMATE, basis)


def kind_of(said: Rests) -> str | None:
    """Measured, an estimate, or None; older versions said only whether it was an estimate."""
    if said.latency_kind == UNSAID:
        return ESTIMATE if said.latency_is_estimate else MEASURED
    return said.latency_kind


def edge_time(routing: Routing, *, is_virtual: bool) -> Time | None:
    """The device's part of an answer, as a run has it (in ms)."""
    us, low, high = (
        None if ms is None else 1e3 * ms
        for ms in (routing.edge_ms, routing.edge_low_ms, routing.edge_high_ms)
    )
    said = routing.basis
    span = Span(latency_us=us, latency_low_us=low, latency_high_us=high)
    kind = kind_of(said)
    return time_of(span, ESTIMATE if is_virtual and kind else kind, said.latency_basis)
