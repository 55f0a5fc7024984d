"""What kernels of the vector extension may end with: bounds tighter than int8, and their term."""

from __future__ import annotations

from mcu_hybrid.compiler.select.loops import Terms, Values
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

VECTOR = 16  # bytes


def clamped(v: Values, outputs: int) -> Terms:
    """mh_mve_clamp."""
    is_bounded = (v["lo"], v["hi"]) != (INT8_MIN, INT8_MAX)
    return {"clamp": is_bounded, "clamped": is_bounded * (outputs // VECTOR)}
