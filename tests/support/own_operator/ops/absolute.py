"""ABS int8, an operator that the engine does not have: copied into a folder of the user's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import (
    CStruct,
    KernelCall,
    KernelId,
    Operands,
    Operator,
    RawOp,
    Tflm,
    Traits,
)
from mcu_hybrid.ops.checks import require_left_shift
from mcu_hybrid.ops.lut import check_unary, inplace_unary, to_int8
from mcu_hybrid.quant import multiplier_shift, multiply_by_quantized_multiplier


@dataclass(frozen=True)
class Attrs:
    """ABS has no options."""


def read(raw: RawOp) -> Attrs:
    """There is nothing to read."""
    return Attrs()


def _factor(graph: Graph, op: Op[Attrs]) -> tuple[int, int]:
    source, target = (graph.tensor(i).require_quant() for i in (*op.inputs, *op.outputs))
    return multiplier_shift(source.scale / target.scale)


def check(graph: Graph, op: Op[Attrs]) -> None:
    """One int8 tensor in, one of the same shape out."""
    check_unary(graph, op)
    require_left_shift(op, _factor(graph, op)[1], limit=22)


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The distance from the zero point, rescaled once."""
    source, target = (graph.tensor(i).require_quant() for i in (*op.inputs, *op.outputs))
    size = np.abs(np.asarray(inputs[0]).astype(np.int64) - source.zero_point)
    scaled = multiply_by_quantized_multiplier(size, *_factor(graph, op))
    return (to_int8(scaled + target.zero_point),)


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The call of mh_own_abs_s8."""
    source, target = (graph.tensor(i).require_quant() for i in (*op.inputs, *op.outputs))
    mult, shift = _factor(graph, op)
    fields = (
        ("size", graph.tensor(op.outputs[0]).elements),
        ("in_zp", source.zero_point),
        ("out_zp", target.zero_point),
        ("mult", mult),
        ("shift", shift),
    )
    params = CStruct("own_abs_params", fields)
    return KernelCall(KernelId("own_abs"), params, "unary", op.inputs, op.outputs, "abs_s8")


ABS = Operator(
    "ABS",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    inplace=inplace_unary,
    traits=Traits(bytewise=True, pointwise=True, tflm=Tflm("AddAbs")),
)
