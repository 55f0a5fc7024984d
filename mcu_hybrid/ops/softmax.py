"""SOFTMAX int8 over the last dimension, to scale 1/256 and zero point -128.

TFLM computes exp(beta * scale * (q - max)) in fixed point for each element; as q - max has only 256
values, the kernel reads them from a table that this module computes with the same integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import fixed_point
from mcu_hybrid.ops.base import (
    CStruct,
    CTable,
    KernelCall,
    KernelId,
    Operands,
    Operator,
    RawOp,
    Tflm,
    Traits,
)
from mcu_hybrid.ops.checks import require_int8, require_operands, require_same_shape, where
from mcu_hybrid.ops.lut import inplace_unary
from mcu_hybrid.quant import INT8_MIN, multiplier_shift, multiply_by_quantized_multiplier

MAX_DEPTH = 4095  # the sum of exponentials has 12 integer bits
_DIFF_INTEGER_BITS = 5


@dataclass(frozen=True)
class Attrs:
    """Factor on the input before the exponential (1 in all usual networks)."""

    beta: float


def read(raw: RawOp) -> Attrs:
    """Read beta."""
    return Attrs(float(raw.options["beta"]))


def check(graph: Graph, op: Op[Attrs]) -> None:
    """Same shape, TFLM's fixed output scale, and a depth whose sum fits 32 bits."""
    require_operands(graph, op, inputs=1)
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    require_int8(op, source, target)
    require_same_shape(op, source, target)
    quant = target.require_quant()
    if quant.scale != 1 / 256 or quant.zero_point != INT8_MIN:
        raise ModelError(
            f"the output has scale {quant.scale:.9g} and zero point {quant.zero_point}; an int8 "
            "softmax has 1/256 and -128",
            "export with the TFLite converter, which gives the output this scale",
            key=where(op),
        )
    if source.shape[-1] > MAX_DEPTH:
        raise UnsupportedOp(
            f"{source.shape[-1]} classes are too many; the kernel takes at most {MAX_DEPTH}",
            "leave the softmax out: the largest logit is the same class",
            key=where(op),
        )
    product = op.attrs.beta * source.require_quant().scale
    if not product * (1 << 26) > 1:  # TFLM aborts: its multiplier must be greater than one
        raise ModelError(
            f"beta {op.attrs.beta:g} times the input's scale {source.require_quant().scale:.9g} is "
            "not a sensible factor (at least 2**-26)",
            "export the model again; beta is 1 in all usual networks",
            key=where(op),
        )


def exp_table(scale: float, beta: float) -> np.ndarray:
    """exp(-beta * scale * i) for i in 0..255 as int32 without integer bits, TFLM's integers.

    0 stands where TFLM leaves the element out (it adds nothing and its probability is 0).
    """
    fraction_bits = 31 - _DIFF_INTEGER_BITS
    real = min(beta * scale * (1 << fraction_bits), float((1 << 31) - 1))
    multiplier, shift = multiplier_shift(real)
    smallest = -(((1 << _DIFF_INTEGER_BITS) - 1) * (1 << fraction_bits) >> shift)
    diff = -np.arange(256, dtype=np.int64)
    counted = diff >= smallest
    rescaled = multiply_by_quantized_multiplier(np.where(counted, diff, 0), multiplier, shift)
    exponential = fixed_point.exp_on_negative_values(rescaled, _DIFF_INTEGER_BITS)
    return np.where(counted, exponential, 0).astype(np.int32)


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    x = np.asarray(inputs[0]).astype(np.int64)
    table = exp_table(graph.tensor(op.inputs[0]).require_quant().scale, op.attrs.beta)
    exponential = table[x.max(axis=-1, keepdims=True) - x].astype(np.int64)
    total = fixed_point.round_shift(exponential, 12).sum(axis=-1, keepdims=True)
    # total = 2**(31 - headroom) * (1 + fraction), fraction in [0, 1) without integer bits.
    headroom = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)  # leading zeros
    fraction = (total << headroom) - (1 << 31)
    reciprocal = fixed_point.one_over_one_plus(fraction)
    # 12 integer bits of the sum, and from 31 fraction bits to 8.
    exponent = 12 - headroom + 23
    out = _round_shift_each(fixed_point.high_mul(reciprocal, exponential), exponent) + INT8_MIN
    return (np.clip(out, INT8_MIN, 127).astype(np.int8),)


def _round_shift_each(x: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """fixed_point.round_shift of x >= 0 with an exponent per row."""
    mask = (np.int64(1) << exponent) - 1
    return np.asarray((x >> exponent) + ((x & mask) > (mask >> 1)))


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The call of mh_softmax_s8."""
    source = graph.tensor(op.inputs[0])
    table = exp_table(source.require_quant().scale, op.attrs.beta)
    depth = source.shape[-1]
    fields = (
        ("exp_table", CTable("exp_table", "int32_t", table)),
        ("rows", source.elements // depth),
        ("depth", depth),
    )
    params = CStruct("mh_softmax_params", fields)
    return KernelCall(KernelId("softmax"), params, "unary", op.inputs, op.outputs, "softmax_s8")


SOFTMAX = Operator(
    "SOFTMAX",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    inplace=inplace_unary,
    traits=Traits(squashes=True, tflm=Tflm("AddSoftmax", has_int8=True)),
)
