"""HARD_SWISH int8: x * relu6(x + 3) / 6 in TFLM's 16-bit fixed point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import Operands, RawOp, Tflm
from mcu_hybrid.ops.checks import where
from mcu_hybrid.ops.fixed_point import round_shift
from mcu_hybrid.ops.lut import check_unary, table_operator, to_int8
from mcu_hybrid.quant import multiplier_shift

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1


@dataclass(frozen=True)
class Attrs:
    """HARD_SWISH has no options."""


@dataclass(frozen=True)
class _Params:
    """16-bit multipliers (1.0 = 2**15) and exponents: to the output, and to 3.0 = 2**15."""

    in_zero_point: int
    out_zero_point: int
    out_multiplier: int
    out_exponent: int
    reluish_multiplier: int
    reluish_exponent: int


def read(raw: RawOp) -> Attrs:
    """There is nothing to read."""
    return Attrs()


def check(graph: Graph, op: Op[Attrs]) -> None:
    """One int8 tensor in, one of the same shape out, scales within the fixed-point range."""
    check_unary(graph, op)
    _params(graph, op)


def _params(graph: Graph, op: Op[Attrs]) -> _Params:
    source = graph.tensor(op.inputs[0]).require_quant()
    target = graph.tensor(op.outputs[0]).require_quant()
    # TFLM computes these in float32: the order of the operations matters.
    hires_scale = np.float32(1 / 128) * np.float32(source.scale)
    reluish_scale = np.float32(3) / np.float32(32768)
    out_multiplier, out_exponent = multiplier_shift(float(hires_scale / np.float32(target.scale)))
    reluish, reluish_exponent = multiplier_shift(float(hires_scale / reluish_scale))
    if not (-15 <= out_exponent <= 0 and -15 <= reluish_exponent <= 15):
        raise ModelError(
            f"scales {source.scale:.9g} -> {target.scale:.9g} are outside the fixed-point range "
            "(TFLM refuses an output scale below 1/128 of the input's)",
            "check the representative data set: one of the two ranges is not sensible",
            key=where(op),
        )
    return _Params(
        source.zero_point,
        target.zero_point,
        _to_16_bit(out_multiplier),
        out_exponent,
        _to_16_bit(reluish),
        reluish_exponent,
    )


def _to_16_bit(multiplier: int) -> int:
    return min((multiplier + (1 << 15)) >> 16, INT16_MAX)


def _high_mul16(a: np.ndarray, b: int) -> np.ndarray:
    """Rounding doubling high multiply on int16 values; b > 0, so it cannot saturate."""
    product = a * b
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.where(nudged >= 0, nudged >> 15, -((-nudged) >> 15))


def compute(p: _Params, x: np.ndarray) -> np.ndarray:
    """The operator on int8 values."""
    hires = (x.astype(np.int64) - p.in_zero_point) << 7
    reluish = hires
    if p.reluish_exponent > 0:
        # One bit of the left shift comes after the multiplication, where saturation is meant.
        reluish = np.clip(reluish << (p.reluish_exponent - 1), INT16_MIN, INT16_MAX)
    reluish = _high_mul16(reluish, p.reluish_multiplier)
    if p.reluish_exponent > 0:
        reluish = np.clip(reluish << 1, INT16_MIN, INT16_MAX)
    elif p.reluish_exponent < 0:
        reluish = round_shift(reluish, -p.reluish_exponent)
    unit = (reluish + (1 << 15)) >> 1  # from [-1, 1] to [0, 1]
    product = unit * _high_mul16(hires, p.out_multiplier)
    # Truncating here cancels the bias of the two roundings above.
    truncated = np.where(product >= 0, product >> 15, -((-product) >> 15))
    return to_int8(round_shift(truncated, -p.out_exponent) + p.out_zero_point)


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    return (compute(_params(graph, op), np.asarray(inputs[0])),)


HARD_SWISH = table_operator(
    "HARD_SWISH",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    tflm=Tflm("AddHardSwish"),
)
