"""MUL int8: the exact product of both operands, rescaled once."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import broadcast
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.base import (
    CStruct,
    KernelCall,
    KernelId,
    Monotone,
    Operands,
    Operator,
    Tflm,
    Traits,
)
from mcu_hybrid.ops.broadcast import ArithmeticAttrs
from mcu_hybrid.ops.checks import require_left_shift
from mcu_hybrid.quant import multiplier_shift, multiply_by_quantized_multiplier


def check(graph: Graph, op: Op[ArithmeticAttrs]) -> None:
    """Two int8 tensors that broadcast to the output, with scales that 32 bits can hold."""
    broadcast.check_binary(graph, op)
    require_left_shift(op, rescaling(graph, op)[1], limit=14)  # products have 16 bits and a sign


def rescaling(graph: Graph, op: Op[ArithmeticAttrs]) -> tuple[int, int]:
    """(multiplier, shift) of the product."""
    a, b, out = (graph.tensor(i).require_quant().scale for i in (*op.inputs, *op.outputs))
    return multiplier_shift(a * b / out)


def reference(graph: Graph, op: Op[ArithmeticAttrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    a, b = broadcast.numpy_operands(graph, op, inputs)
    quant = graph.tensor(op.outputs[0]).require_quant()
    scaled = multiply_by_quantized_multiplier(a * b, *rescaling(graph, op)) + quant.zero_point
    lo, hi = activation_range(op.attrs.activation, quant)
    return (np.clip(scaled, lo, hi).astype(np.int8),)


def lower(graph: Graph, op: Op[ArithmeticAttrs]) -> KernelCall:
    """The call of mh_mul_s8."""
    a, b = (graph.tensor(i).require_quant() for i in op.inputs)
    out = graph.tensor(op.outputs[0]).require_quant()
    mult, shift = rescaling(graph, op)
    lo, hi = activation_range(op.attrs.activation, out)
    fields = (
        ("a_offset", -a.zero_point),
        ("b_offset", -b.zero_point),
        ("out_offset", out.zero_point),
        ("mult", mult),
        ("shift", shift),
        ("lo", lo),
        ("hi", hi),
        ("loops", broadcast.loop_table(graph, op)),
    )
    params = CStruct("mh_mul_params", fields)
    return KernelCall(KernelId("mul"), params, "binary", op.inputs, op.outputs, "mul_s8")


MUL = Operator(
    "MUL",
    attrs=ArithmeticAttrs,
    read=broadcast.read_attrs,
    check=check,
    reference=reference,
    lower=lower,
    inplace=broadcast.inplace_binary,
    traits=Traits(
        pointwise=True,
        clamps=True,
        monotone=Monotone.EACH,
        tflm=Tflm("AddMul", has_int8=True),
    ),
    shapes=broadcast.shapes,
    ties=broadcast.ties,
)
