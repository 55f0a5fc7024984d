"""How the report writes a time: measured, or an estimate with its range; never one for the other.

Folders of earlier versions say less than today's: what is not there is not made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcu_hybrid.machines.price import digits_of

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


def time_of(facts: Mapping[str, Any], *, is_virtual: bool, key: str = "latency") -> Time | None:
    """The time among the facts of a bench, a build's estimate or a layer; None where there is none.

    A virtual board measures no time whatever its folder says: earlier versions called it so. A
    kind that is there and None says that the time is no board's.
    """
    us = facts.get(f"{key}_us")
    kind = facts.get(f"{key}_kind", _kind_of_old(facts, key))
    if us is None or kind is None:
        return None
    if is_virtual:
        kind = ESTIMATE
    return Time(
        float(us),
        facts.get(f"{key}_low_us"),
        facts.get(f"{key}_high_us"),
        MEASURED if kind == MEASURED else ESTIMATE,
        str(facts.get(f"{key}_basis") or ""),
    )


def _kind_of_old(facts: Mapping[str, Any], key: str) -> str:
    return ESTIMATE if facts.get(f"{key}_is_estimate", True) else MEASURED


def edge_time(routing: Mapping[str, Any], *, is_virtual: bool) -> Time | None:
    """The device's part of an answer, as a run has it (in ms)."""
    if routing.get("edge_ms") is None:
        return None
    kind = routing.get("latency_kind", _kind_of_old(routing, "latency"))
    if kind is None:
        return None
    if is_virtual:
        kind = ESTIMATE
    ends = (routing.get("edge_low_ms"), routing.get("edge_high_ms"))
    low, high = (None if end is None else 1e3 * end for end in ends)
    return Time(1e3 * routing["edge_ms"], low, high, kind, str(routing.get("latency_basis") or ""))
