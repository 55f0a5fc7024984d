"""LEAKY_RELU int8: one multiplier for values above zero, another for those below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import Operands, RawOp, Tflm
from mcu_hybrid.ops.checks import require_left_shift
from mcu_hybrid.ops.lut import check_unary, table_operator, to_int8
from mcu_hybrid.quant import multiplier_shift, multiply_by_quantized_multiplier


@dataclass(frozen=True)
class Attrs:
    """The slope below zero, a float32 value; it may be negative or above 1."""

    alpha: float


def read(raw: RawOp) -> Attrs:
    """Reads alpha."""
    return Attrs(alpha=float(raw.options.get("alpha", 0.0)))


def _factors(graph: Graph, op: Op[Attrs]) -> tuple[float, float]:
    """Real factors above and below zero, in double precision: see ``weighted.factors``."""
    source = graph.tensor(op.inputs[0]).require_quant().scale
    target = graph.tensor(op.outputs[0]).require_quant().scale
    return source / target, source * float(np.float32(op.attrs.alpha)) / target


def check(graph: Graph, op: Op[Attrs]) -> None:
    """One int8 tensor in, one of the same shape out."""
    check_unary(graph, op)
    for factor in _factors(graph, op):
        require_left_shift(op, multiplier_shift(abs(factor))[1], limit=22)


def compute(graph: Graph, op: Op[Attrs], x: np.ndarray) -> np.ndarray:
    """The operator on int8 values."""
    above, below = _factors(graph, op)
    value = x.astype(np.int64) - graph.tensor(op.inputs[0]).require_quant().zero_point
    high = multiply_by_quantized_multiplier(value, *multiplier_shift(above))
    # A negative slope is applied as its size with the sign afterwards: multipliers are positive.
    low = multiply_by_quantized_multiplier(value, *multiplier_shift(abs(below)))
    low = -low if below < 0 else low
    zero_point = graph.tensor(op.outputs[0]).require_quant().zero_point
    return to_int8(np.where(value >= 0, high, low) + zero_point)


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    return (compute(graph, op, np.asarray(inputs[0])),)


LEAKY_RELU = table_operator(
    "LEAKY_RELU",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    tflm=Tflm("AddLeakyRelu"),
)
