"""What calls of the DSP kernels share: numbers that their params can hold, parts linked on demand.

Params are int16 where they can be, for a model has one of them per layer. Not here: the params.
"""

from __future__ import annotations

from collections.abc import Iterable

from mcu_hybrid.quant import INT8_MAX, INT8_MIN

INT16_MAX = (1 << 15) - 1


def fit_int16(values: Iterable[int]) -> bool:
    """True where every value fits the int16 fields of the params."""
    return all(-INT16_MAX <= value <= INT16_MAX for value in values)


def bound_sources(lo: int, hi: int) -> tuple[str, ...]:
    """The kernel file of outputs whose bounds are tighter than int8, where they are."""
    return () if (lo, hi) == (INT8_MIN, INT8_MAX) else ("bound_s8",)
