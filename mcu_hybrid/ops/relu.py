"""RELU and RELU6 int8 as operators of their own (mostly they are fused into the layer before).

RELU_N1_TO_1 is not here: TFLM has no kernel for it, so there is nothing to be exact with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mcu_hybrid.errors import UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.activation import round_half_away
from mcu_hybrid.ops.base import Operands, RawOp, Tflm
from mcu_hybrid.ops.checks import require_left_shift, where
from mcu_hybrid.ops.lut import check_unary, table_operator
from mcu_hybrid.quant import INT8_MAX, multiplier_shift, multiply_by_quantized_multiplier


@dataclass(frozen=True)
class Attrs:
    """RELU and RELU6 have no options."""


def read(raw: RawOp) -> Attrs:
    """There is nothing to read."""
    return Attrs()


def check(graph: Graph, op: Op[Attrs]) -> None:
    """One int8 tensor in, one of the same shape out; RELU6 also with the same quantisation."""
    check_unary(graph, op)
    if op.kind == "RELU":
        require_left_shift(op, _relu_multiplier(graph, op)[1], limit=22)
        return
    source = graph.tensor(op.inputs[0]).require_quant()
    target = graph.tensor(op.outputs[0]).require_quant()
    if (source.scale, source.zero_point) != (target.scale, target.zero_point):
        # TFLM copies the clamped input bytes, whatever the output's scale says: wrong values.
        raise UnsupportedOp(
            f"RELU6 with another output quantisation (scale {source.scale:.9g} -> "
            f"{target.scale:.9g}, zero point {source.zero_point} -> {target.zero_point}); "
            "TFLM ignores it and computes wrong values, so there is no reference to match",
            "let the converter fuse the RELU6 into the layer before it, or use RELU here",
            key=where(op),
        )


def _relu_multiplier(graph: Graph, op: Op[Attrs]) -> tuple[int, int]:
    """in_scale / out_scale, divided in double precision: see ``weighted.factors``."""
    source = graph.tensor(op.inputs[0]).require_quant().scale
    target = graph.tensor(op.outputs[0]).require_quant().scale
    return multiplier_shift(source / target)


def compute(graph: Graph, op: Op[Attrs], x: np.ndarray) -> np.ndarray:
    """The operator on int8 values."""
    source = graph.tensor(op.inputs[0]).require_quant()
    if op.kind == "RELU6":
        six = source.zero_point + round_half_away(np.float32(6) / np.float32(source.scale))
        return np.clip(x, source.zero_point, min(six, INT8_MAX)).astype(np.int8)
    zero_point = graph.tensor(op.outputs[0]).require_quant().zero_point
    value = x.astype(np.int64) - source.zero_point
    scaled = multiply_by_quantized_multiplier(value, *_relu_multiplier(graph, op)) + zero_point
    return np.clip(scaled, zero_point, INT8_MAX).astype(np.int8)


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    return (compute(graph, op, np.asarray(inputs[0])),)


RELU = table_operator(
    "RELU",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    tflm=Tflm("AddRelu"),
)
RELU6 = replace(RELU, kind="RELU6", traits=replace(RELU.traits, tflm=Tflm("AddRelu6")))
