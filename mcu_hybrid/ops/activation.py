"""Activations fused into another operator: their numbers in TFLite and their int8 bounds."""

from __future__ import annotations

import math

import numpy as np

from mcu_hybrid.errors import UnsupportedOp
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.quant import INT8_MAX, INT8_MIN, QuantParams

NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)  # TFLite's ActivationFunctionType

# Real bounds; None is no bound.
_BOUNDS: dict[int, tuple[float | None, float | None]] = {
    NONE: (None, None),
    RELU: (0.0, None),
    RELU_N1_TO_1: (-1.0, 1.0),
    RELU6: (0.0, 6.0),
}


def read_activation(raw: RawOp) -> int:
    """Read the fused activation; raises UnsupportedOp for one that int8 kernels do not have."""
    activation = int(raw.options.get("fused_activation_function", NONE))
    if activation not in _BOUNDS:
        raise UnsupportedOp(
            f"fused activation number {activation} has no int8 form",
            "use RELU, RELU6 or no activation here, or put TANH after it as a layer of its own",
            key=f"{raw.kind} '{raw.name}'",
        )
    return activation


def round_half_away(value: np.floating) -> int:
    """std::round of a float32."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), float(value)))


def activation_range(activation: int, quant: QuantParams) -> tuple[int, int]:
    """The int8 bounds of a fused activation: TFLM's CalculateActivationRangeQuantized."""

    def quantised(real: float) -> int:
        return quant.zero_point + round_half_away(np.float32(real) / np.float32(quant.scale))

    low, high = _BOUNDS[activation]
    lo = INT8_MIN if low is None else max(INT8_MIN, quantised(low))
    hi = INT8_MAX if high is None else min(INT8_MAX, quantised(high))
    return lo, hi
