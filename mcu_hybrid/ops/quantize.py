"""QUANTIZE int8 to int8: another scale and zero point for the same values.

Not here: QUANTIZE of a float input, which the reader takes off at the model's edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import Operands, RawOp, Tflm
from mcu_hybrid.ops.checks import require_left_shift
from mcu_hybrid.ops.lut import check_unary, table_operator, to_int8
from mcu_hybrid.quant import multiplier_shift, multiply_by_quantized_multiplier

DEQUANTIZE = "DEQUANTIZE"  # none of ours: the reader takes it off, or makes a table of it


@dataclass(frozen=True)
class Attrs:
    """QUANTIZE has no options: the tensors say it all."""


def read(raw: RawOp) -> Attrs:
    """There is nothing to read."""
    return Attrs()


def _factor(graph: Graph, op: Op[Attrs]) -> float:
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    return source.require_quant().scale / target.require_quant().scale


def check(graph: Graph, op: Op[Attrs]) -> None:
    """One int8 tensor in, one of the same shape out."""
    check_unary(graph, op)
    require_left_shift(op, multiplier_shift(_factor(graph, op))[1], limit=22)


def compute(graph: Graph, op: Op[Attrs], x: np.ndarray) -> np.ndarray:
    """The operator on int8 values."""
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    value = x.astype(np.int64) - source.require_quant().zero_point
    scaled = multiply_by_quantized_multiplier(value, *multiplier_shift(_factor(graph, op)))
    return to_int8(scaled + target.require_quant().zero_point)


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    return (compute(graph, op, np.asarray(inputs[0])),)


QUANTIZE = table_operator(
    "QUANTIZE",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    tflm=Tflm("AddQuantize"),
)
