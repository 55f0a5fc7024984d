"""ADD and SUB of equal shapes on MVE: one linear form, proved over all 65,536 pairs of inputs.

    out = sat8((a * a_mul + b * b_mul + start) >> (16 + right))

TFLite rounds three times on the way, but with 20 bits of headroom: a line with as many bits behind
the point as 32 bits have room for passes between all its steps. Not here: broadcasting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.sub import SUB
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

_VALUES = np.arange(INT8_MIN, INT8_MAX + 1)
_TRIES = (0, 1, -1, 2, -2, 3, -3)
_STEPS = (1, 8, 64, 512)  # of the multipliers, which turn the line
_INT32 = 1 << 31
_FRACTIONS = range(24, 16, -1)


@dataclass(frozen=True)
class Line:
    """Multipliers of both operands, where the sum starts, and bits behind the point."""

    a_mul: int
    b_mul: int
    start: int
    fraction: int

    def apply(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """What the kernel computes from int8 values."""
        total = np.asarray(a, np.int64) * self.a_mul + np.asarray(b, np.int64) * self.b_mul
        return np.clip((total + self.start) >> self.fraction, INT8_MIN, INT8_MAX)


def find_line(graph: Graph, op: Op) -> Line | None:
    """A line that equals the operator on all pairs; None where the search finds none."""
    (wanted,) = operator(op.kind).reference(graph, op, [_VALUES[:, None], _VALUES[None, :]])
    a, b = (graph.tensor(i).require_quant().scale for i in op.inputs)
    out = graph.tensor(op.outputs[0]).require_quant()
    bounds = activation_range(op.attrs.activation, out)
    ratios = a / out.scale, (-b if SUB.serves(op) else b) / out.scale
    fraction = next((f for f in _FRACTIONS if _fits(*ratios, f)), None)
    if fraction is None:
        return None
    for step in _STEPS:
        for delta_a in _TRIES:
            for delta_b in _TRIES:
                a_mul = round(ratios[0] * 2**fraction) + delta_a * step
                b_mul = round(ratios[1] * 2**fraction) + delta_b * step
                start = _start(wanted.astype(np.int64), a_mul, b_mul, fraction, bounds)
                if start is not None:
                    return Line(a_mul, b_mul, start, fraction)
    return None


def _fits(a_ratio: float, b_ratio: float, fraction: int) -> bool:
    """True where sums, and where they start, leave room in 32 bits."""
    return 258 * (abs(a_ratio) + abs(b_ratio) + 1) * 2**fraction < _INT32


def _start(
    wanted: np.ndarray, a_mul: int, b_mul: int, fraction: int, bounds: tuple[int, int]
) -> int | None:
    """Where the sum must start so that every pair gets its output; None where nowhere."""
    total = _VALUES[:, None] * a_mul + _VALUES[None, :] * b_mul
    low = ((wanted << fraction) - total)[wanted > bounds[0]].max(initial=-_INT32)
    high = (((wanted + 1) << fraction) - 1 - total)[wanted < bounds[1]].min(initial=_INT32 - 1)
    middle = int(low + (high - low) // 2)
    largest = int(np.abs(total).max()) + abs(middle)
    return middle if low <= high and largest < _INT32 else None
