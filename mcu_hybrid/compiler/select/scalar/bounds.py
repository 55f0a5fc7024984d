"""What all scalar kernels may end with: bounds tighter than int8, and their terms."""

from __future__ import annotations

from mcu_hybrid.compiler.select.loops import Terms, Values
from mcu_hybrid.quant import INT8_MAX, INT8_MIN


def clamped(v: Values, outputs: int) -> Terms:
    """mh_scalar_clamp."""
    is_bounded = (v["lo"], v["hi"]) != (INT8_MIN, INT8_MAX)
    quads, rest = divmod(outputs * is_bounded, 4)
    return {"clamp": is_bounded, "clamp's quads": quads, "clamp's rest": rest}
