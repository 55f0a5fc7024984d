"""Affine int8 quantisation: parameters, and TFLite's fixed-point multiplier arithmetic.

real = scale * (q - zero_point). The multiplier form is that of TFLite's quantization_util and
gemmlowp: a real factor is m * 2**(shift - 31) with m an int32 in [2**30, 2**31), applied with a
rounding doubling high multiply and then a rounding right shift ("double rounding").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

INT8_MIN, INT8_MAX = -128, 127


@dataclass(frozen=True)
class QuantParams:
    """Scales and zero points of a tensor: one entry per tensor, or one per channel of ``axis``."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def scale(self) -> float:
        """The per-tensor scale (float32 value); for a per-channel tensor, the first one."""
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point."""
        return self.zero_points[0]

    @property
    def per_channel(self) -> bool:
        """True where each channel of ``axis`` has its own scale."""
        return len(self.scales) > 1


def multiplier_shift(real: float) -> tuple[int, int]:
    """Return (multiplier, shift) of TFLite's QuantizeMultiplier: real = m * 2**(shift - 31)."""
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)  # std::round, for positive factors
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return (1 << 31) - 1, 30
    return multiplier, shift


def multiply_by_quantized_multiplier(
    x: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int
) -> np.ndarray:
    """TFLite's MultiplyByQuantizedMultiplier with double rounding; arrays broadcast, int64 out.

    Args:
        x: int32 values (any integer dtype).
        multiplier: int32 in [2**30, 2**31), or 0.
        shift: left shift where positive, right shift where negative.
    """
    x = np.asarray(x, np.int64)
    shift = np.asarray(shift, np.int64)
    left = np.maximum(shift, 0)
    right = np.maximum(-shift, 0)
    product = (x << left) * np.asarray(multiplier, np.int64)
    # gemmlowp SaturatingRoundingDoublingHighMul: nudge away from zero, then truncating division.
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    # gemmlowp RoundingDivideByPOT: ties away from zero.
    mask = (np.int64(1) << right) - 1
    remainder = high & mask
    threshold = (mask >> 1) + (high < 0)
    return (high >> right) + (remainder > threshold)
