"""LOGISTIC int8: TFLM's integer sigmoid; the output is fixed to scale 1/256, zero point -128."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import fixed_point
from mcu_hybrid.ops.base import Operands, RawOp, Tflm
from mcu_hybrid.ops.lut import check_unary, table_operator, to_int8
from mcu_hybrid.ops.sigmoid import SigmoidInput, require_output_quant, sigmoid_input


@dataclass(frozen=True)
class Attrs:
    """LOGISTIC has no options."""


def read(raw: RawOp) -> Attrs:
    """There is nothing to read."""
    return Attrs()


def check(graph: Graph, op: Op[Attrs]) -> None:
    """One int8 tensor in, one of the same shape out, with the output's fixed quantisation."""
    check_unary(graph, op)
    require_output_quant(graph, op, scale=1 / 256, zero_point=-128)
    sigmoid_input(graph, op)


def compute(params: SigmoidInput, x: np.ndarray) -> np.ndarray:
    """The operator on int8 values."""
    inside = round_to_output(fixed_point.logistic(params.rescale(x), integer_bits=4))
    return params.saturate(x, inside)


def round_to_output(value: np.ndarray) -> np.ndarray:
    """From no integer bits (1.0 = 2**31) to 1.0 = 256, less 128."""
    return to_int8(fixed_point.round_shift(value, 31 - 8) - 128)


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    return (compute(sigmoid_input(graph, op), np.asarray(inputs[0])),)


LOGISTIC = table_operator(
    "LOGISTIC",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    tflm=Tflm("AddLogistic"),
    squashes=True,
)
