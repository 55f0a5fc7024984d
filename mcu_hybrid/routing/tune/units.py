"""Values with units: '400ms', '91%', '5mJ', '2KB', '112M' to numbers, and numbers to text.

Inside, latency is in ms, energy in mJ, size in bytes and a share in 0..1; a K of bytes is 1,024,
as on a memory map, a k of MACs 1,000.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mcu_hybrid.errors import InputError

_TIME = {"s": 1e3, "ms": 1.0, "us": 1e-3, "µs": 1e-3, "ns": 1e-6}
_ENERGY = {"J": 1e3, "mJ": 1.0, "uJ": 1e-3, "µJ": 1e-3, "nJ": 1e-6}
_BYTES = {"": 1.0, "B": 1.0, "K": 1024.0, "KB": 1024.0, "KiB": 1024.0, "M": 1024.0**2}
_BYTES |= {"kB": 1024.0, "k": 1024.0, "MB": 1024.0**2, "MiB": 1024.0**2}
_COUNT = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_SHARE = {"%": 0.01, "": 1.0}


@dataclass(frozen=True)
class Metric:
    """A quantity that a target can name: its units, and whether a target is a least value."""

    name: str
    title: str
    unit: str
    units: Mapping[str, float]
    is_minimum: bool
    example: str

    @property
    def is_share(self) -> bool:
        """True for shares 0..1, written in percent."""
        return self.units is _SHARE

    def parse(self, text: str) -> float:
        """The value in the metric's unit (ms, mJ, B, a share 0..1); raises InputError."""
        found = re.fullmatch(r"([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([a-zA-Zµ%]*)", text.strip())
        scale = self.units.get(found[2]) if found else None
        if found is None or scale is None:
            raise InputError(f"'{text}' is no {self.title}", f"for example {self.example}")
        value = float(found[1]) / 100 if found[2] == "%" else float(found[1]) * scale
        if self.is_share and value > 1.0:
            raise InputError(
                f"'{text}' is more than everything", f"write {self.example}, or a share 0 to 1"
            )
        return value

    def text(self, value: float) -> str:
        """A value for people."""
        if self.is_share:
            return f"{100 * value:.4g} %"
        unit = "" if self.unit == self.title else f" {self.unit}"
        if value < 100:
            return f"{value:.3g}{unit}"
        return f"{value:,.1f}{unit}" if self.unit in ("ms", "mJ") else f"{value:,.0f}{unit}"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy", "", _SHARE, True, "91% or 0.91"),
        Metric("query_rate", "query rate", "", _SHARE, False, "20% or 0.2"),
        Metric("latency", "latency", "ms", _TIME, False, "400ms or 0.4s"),
        Metric("energy", "energy", "mJ", _ENERGY, False, "5mJ"),
        Metric("bytes", "bytes sent", "B", _BYTES, False, "2KB (of 1,024) or 300B"),
        Metric("macs", "MACs", "MACs", _COUNT, False, "112M"),
        Metric("instructions", "instructions", "instructions", _COUNT, False, "3.5M"),
    )
}

CONFIDENCE = Metric("confidence", "confidence", "", _SHARE, True, "95%")


@dataclass(frozen=True)
class Target:
    """A bound on a metric's mean per input: at least ``value`` for accuracy, else at most."""

    metric: Metric
    value: float

    def text(self) -> str:
        """For messages: accuracy >= 91 %."""
        sign = ">=" if self.metric.is_minimum else "<="
        return f"{self.metric.title} {sign} {self.metric.text(self.value)}"

    def option(self, value: float) -> str:
        """The command line's option for this target with another value, rounded to hold."""
        name = f"--{'min' if self.metric.is_minimum else 'max'}-{self.metric.name}"
        name = name.replace("_", "-")
        if self.metric.is_share:
            hundredths = value * 1e4
            down, up = math.floor(hundredths + 1e-6), math.ceil(hundredths - 1e-6)
            whole = down if self.metric.is_minimum else up
            return f"{name} {whole / 100:g}%"
        unit = self.metric.unit if self.metric.unit in self.metric.units else ""
        return f"{name} {_rounded_up(value):.10g}{unit}"


def target(metric: str, text: str) -> Target:
    """A target from text with its unit, as 400ms or 91%; raises InputError."""
    return Target(METRICS[metric], METRICS[metric].parse(text))


def _rounded_up(value: float) -> float:
    """To four digits, never down."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 3)
    return float(math.ceil(value / step - 1e-9) * step)
