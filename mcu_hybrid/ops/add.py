"""ADD int8: both operands are brought to a common scale with 20 bits of headroom, then added."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import ModelError
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
from mcu_hybrid.ops.checks import where
from mcu_hybrid.quant import multiplier_shift, multiply_by_quantized_multiplier

LEFT_SHIFT = 20  # TFLM's headroom for 8-bit operands; the kernels have the same constant


@dataclass(frozen=True)
class Rescaling:
    """(multiplier, shift) of operand a, operand b and the output."""

    a: tuple[int, int]
    b: tuple[int, int]
    out: tuple[int, int]


def check(graph: Graph, op: Op[ArithmeticAttrs]) -> None:
    """Two int8 tensors that broadcast to the output, with scales that 32 bits can hold."""
    broadcast.check_binary(graph, op)
    check_rescaling(graph, op, rescaling(graph, op))


def check_rescaling(graph: Graph, op: Op[ArithmeticAttrs], factors: Rescaling) -> None:
    """Raise ModelError where a factor is 1 or more (TFLM aborts on it)."""
    if max(factors.a[1], factors.b[1], factors.out[1]) > 0:
        out = graph.tensor(op.outputs[0])
        raise ModelError(
            f"output '{out.name}' has scale {out.require_quant().scale:.9g}, more than 2**19 times "
            "finer than its operands",
            "check the representative data set: this layer's output has no sensible range",
            key=where(op),
        )


def rescaling(graph: Graph, op: Op[ArithmeticAttrs]) -> Rescaling:
    """TFLM's three factors, computed in double precision; also SUB's."""
    a, b, out = (graph.tensor(i).require_quant().scale for i in (*op.inputs, *op.outputs))
    twice = 2 * max(a, b)
    return Rescaling(
        multiplier_shift(a / twice),
        multiplier_shift(b / twice),
        multiplier_shift(twice / ((1 << LEFT_SHIFT) * out)),
    )


def combine(
    graph: Graph,
    op: Op[ArithmeticAttrs],
    inputs: Operands,
    factors: Rescaling,
    sign: int,
) -> np.ndarray:
    """a + sign * b in TFLM's integers; also SUB's."""
    a, b = broadcast.numpy_operands(graph, op, inputs)
    scaled_a = multiply_by_quantized_multiplier(a << LEFT_SHIFT, *factors.a)
    scaled_b = multiply_by_quantized_multiplier(b << LEFT_SHIFT, *factors.b)
    quant = graph.tensor(op.outputs[0]).require_quant()
    total = multiply_by_quantized_multiplier(scaled_a + sign * scaled_b, *factors.out)
    lo, hi = activation_range(op.attrs.activation, quant)
    return np.clip(total + quant.zero_point, lo, hi).astype(np.int8)


def reference(graph: Graph, op: Op[ArithmeticAttrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    return (combine(graph, op, inputs, rescaling(graph, op), sign=1),)


def lower(graph: Graph, op: Op[ArithmeticAttrs]) -> KernelCall:
    """The call of mh_add_s8."""
    return lower_sum(graph, op, rescaling(graph, op), "add")


def lower_sum(graph: Graph, op: Op[ArithmeticAttrs], factors: Rescaling, family: str) -> KernelCall:
    """The call of a kernel that takes mh_add_params: ADD's or SUB's."""
    a, b = (graph.tensor(i).require_quant() for i in op.inputs)
    out = graph.tensor(op.outputs[0]).require_quant()
    lo, hi = activation_range(op.attrs.activation, out)
    fields = (
        ("a_offset", -a.zero_point),
        ("b_offset", -b.zero_point),
        ("out_offset", out.zero_point),
        ("a_mult", factors.a[0]),
        ("a_shift", factors.a[1]),
        ("b_mult", factors.b[0]),
        ("b_shift", factors.b[1]),
        ("out_mult", factors.out[0]),
        ("out_shift", factors.out[1]),
        ("lo", lo),
        ("hi", hi),
        ("loops", broadcast.loop_table(graph, op)),
    )
    params = CStruct("mh_add_params", fields)
    return KernelCall(KernelId(family), params, "binary", op.inputs, op.outputs, f"{family}_s8")


ADD = Operator(
    "ADD",
    attrs=ArithmeticAttrs,
    read=broadcast.read_attrs,
    check=check,
    reference=reference,
    lower=lower,
    inplace=broadcast.inplace_binary,
    traits=Traits(
        pointwise=True, clamps=True, monotone=Monotone.ALL, tflm=Tflm("AddAdd", has_int8=True)
    ),
    shapes=broadcast.shapes,
    ties=broadcast.ties,
)
