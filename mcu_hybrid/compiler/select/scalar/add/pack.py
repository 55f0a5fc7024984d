"""ADD and SUB as one line in both operands, where a search finds one that gives TFLite's output for
all 65,536 pairs.
"""

from __future__ import annotations

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.sub import SUB

_BYTES = np.arange(-128, 128, dtype=np.int64)
_INT32 = 1 << 31
_MAX_SHIFT = 30
_TRIES = (0, *(sign * n for n in range(1, 9) for sign in (1, -1)))


def add_line(graph: Graph, op: Op) -> tuple[int, int, int, int] | None:
    """(mul_a, mul_b, addend, shift) with TFLite's output on every pair of bytes, or None."""
    (wanted,) = operator(op.kind).reference(graph, op, [_BYTES[:, None], _BYTES[None, :]])
    a, b, out = (graph.tensor(i).require_quant() for i in (*op.inputs, *op.outputs))
    bounds = activation_range(op.attrs.activation, out)
    slope_a, slope_b = a.scale / out.scale, b.scale / out.scale
    if SUB.serves(op):
        slope_b = -slope_b
    real = slope_a * (_BYTES - a.zero_point)[:, None] + slope_b * (_BYTES - b.zero_point)[None, :]
    room = _INT32 / (np.abs(real + out.zero_point).max() + 2)
    widest = min(int(np.log2(room)), _MAX_SHIFT, int(30 - np.log2(max(slope_a, abs(slope_b)))))
    for shift in range(widest, max(widest - 3, 0), -1):
        for delta_a in _TRIES:
            for delta_b in _TRIES:
                mul_a = round(slope_a * 2.0**shift) + delta_a
                mul_b = round(slope_b * 2.0**shift) + delta_b
                addend = _addend(wanted.astype(np.int64), mul_a, mul_b, shift, bounds)
                if addend is not None:
                    return mul_a, mul_b, addend, shift
    return None


def _addend(
    wanted: np.ndarray, mul_a: int, mul_b: int, shift: int, bounds: tuple[int, int]
) -> int | None:
    """An addend with which the line gives all outputs, or None."""
    line = _BYTES[:, None] * mul_a + _BYTES[None, :] * mul_b
    # At the bounds the line may be anywhere beyond.
    low = ((wanted << shift) - line)[wanted > bounds[0]].max(initial=-_INT32)
    high = (((wanted + 1) << shift) - 1 - line)[wanted < bounds[1]].min(initial=_INT32 - 1)
    addend = int(low + (high - low) // 2)
    fits = low <= high and np.abs(line + addend).max() < _INT32 and abs(addend) < _INT32
    return addend if fits else None
