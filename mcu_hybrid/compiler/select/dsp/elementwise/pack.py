"""ADD and SUB as one linear form, proved over all 65,536 pairs of inputs.

    out = sat8((hi(a) + hi(b) + start) >> 16),  hi(x) = ((x << 8) * mul) >> 16

TFLite rounds three times on the way, but with 20 bits of headroom: a line with 16 bits behind the
point has room to pass between all its steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.broadcast import ArithmeticAttrs
from mcu_hybrid.ops.mul import rescaling
from mcu_hybrid.ops.sub import SUB
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

FRACTION = 16
_VALUES = np.arange(INT8_MIN, INT8_MAX + 1)
_TRIES = (0, *(sign * n for n in range(1, 7) for sign in (1, -1)))
_STEPS = (1, 16, 256, 4096)  # of the multipliers, which turn the line by 2**-24 per input step
_INT32 = 1 << 31
_MAX_RIGHT = 23  # of a product: (zero point << right) must fit 31 bits


@dataclass(frozen=True)
class Linear:
    """Multipliers of both operands and where the sum starts; all fit int32."""

    a_mul: int
    b_mul: int
    start: int

    def apply(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """What the kernel computes from int8 values."""
        total = _high(a, self.a_mul) + _high(b, self.b_mul) + self.start
        return np.clip(total >> FRACTION, INT8_MIN, INT8_MAX)


def _high(x: np.ndarray, mul: int) -> np.ndarray:
    return ((np.asarray(x, np.int64) << 8) * mul) >> 16


def find_linear(graph: Graph, op: Op) -> Linear | None:
    """The linear form that equals the operator on all pairs; None where the search finds none."""
    own = operator(op.kind)
    a, b = (graph.tensor(i).require_quant() for i in op.inputs)
    out = graph.tensor(op.outputs[0]).require_quant()
    (wanted,) = own.reference(graph, op, [_VALUES[:, None], _VALUES[None, :]])
    wanted = wanted.astype(np.int64)
    sign = -1 if SUB.serves(op) else 1
    ideal_a = a.scale / out.scale * (1 << FRACTION + 8)
    ideal_b = sign * b.scale / out.scale * (1 << FRACTION + 8)
    lo, hi = activation_range(op.attrs.activation, out)
    if max(abs(ideal_a), abs(ideal_b)) * 4 >= _INT32:
        return None
    for step in _STEPS:
        for delta_a in _TRIES:
            for delta_b in _TRIES:
                a_mul = round(ideal_a) + delta_a * step
                b_mul = round(ideal_b) + delta_b * step
                start = _start(wanted, a_mul, b_mul, lo, hi)
                if start is not None:
                    return Linear(a_mul, b_mul, start)
    return None


def _start(wanted: np.ndarray, a_mul: int, b_mul: int, lo: int, hi: int) -> int | None:
    """Where the sum must start so that every pair gets its output; None where nowhere."""
    total = _high(_VALUES, a_mul)[:, None] + _high(_VALUES, b_mul)[None, :]
    least = ((wanted << FRACTION) - total)[wanted > lo].max(initial=-_INT32)
    most = (((wanted + 1) << FRACTION) - 1 - total)[wanted < hi].min(initial=_INT32 - 1)
    middle = int(least + (most - least) // 2)
    largest = int(np.abs(total).max()) + abs(middle)
    return middle if least <= most and largest < _INT32 else None


def product_fields(graph: Graph, op: Op[ArithmeticAttrs]) -> tuple[tuple[str, int], ...] | None:
    """The constants of a MUL: TFLite's own two roundings, rearranged (exact/requant.py: exact).

    None for a factor of 1/2 or more, and for one of next to nothing.
    """
    mult, shift = rescaling(graph, op)
    right = -shift
    if not 1 <= right <= _MAX_RIGHT:
        return None
    a, b, out = (graph.tensor(i).require_quant().zero_point for i in (*op.inputs, *op.outputs))
    return (
        ("a_offset", -a),
        ("b_offset", -b),
        ("mult", mult),
        ("addend", (out << right) + (1 << (right - 1))),
        ("right", right),
    )
