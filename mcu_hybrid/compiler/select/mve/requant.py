"""Requantisation of the MVE kernels: constants per channel, and which ties need care.

The kernels compute TFLite's two roundings as they are, so that any factor is exact; the cheapest
form that a layer may take is chosen here (kernels/include/mh_nn_mve.h describes them).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.weighted import bias_of, factors

UP, AWAY, ANY = "up", "away", "any"


@dataclass(frozen=True)
class Requant:
    """Arrays [channels] of a layer; ``right`` is negative, ``left`` only counts in form any."""

    form: str
    bias: np.ndarray
    left: np.ndarray
    mul: np.ndarray
    right: np.ndarray
    out_zp: int
    lo: int
    hi: int

    @property
    def constants(self) -> tuple[np.ndarray, ...]:
        """In the order in which the kernels read them."""
        if self.form == ANY:
            return self.bias, self.left, self.mul, self.right
        return self.bias, self.mul, self.right


def requant_of(graph: Graph, op: Op, weight_sums: np.ndarray) -> Requant:
    """The form of a layer whose weights of each output channel add up to ``weight_sums``."""
    channels = weight_sums.size
    mult, shift = factors(graph, op, channels)
    quant = graph.tensor(op.outputs[0]).require_quant()
    lo, hi = activation_range(op.attrs.activation, quant)
    own = bias_of(graph, op)
    bias = -graph.tensor(op.inputs[0]).require_quant().zero_point * weight_sums.astype(np.int64)
    if own is not None:
        bias = bias + own.reshape(-1)
    # Sums wrap at 32 bits on both ways to the true accumulator, which fits.
    bias = (bias + (1 << 31)) % (1 << 32) - (1 << 31)
    left, right = np.maximum(shift, 0), np.minimum(shift, 0)
    if left.any():
        form = ANY
    elif lo >= quant.zero_point:
        form = UP
    else:
        form = AWAY if right.all() else ANY
    return Requant(form, bias, left, mult, right, quant.zero_point, lo, hi)
