"""Where TFLite's requantisation steps: the staircase that every fitted form must have.

Here: the channels of a layer as arithmetic, and the first accumulator of each output value. Not
here: forms that reproduce the staircase (requant.py and its neighbours).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.quant import multiply_by_quantized_multiplier


@dataclass(frozen=True)
class Channels:
    """What is asked: arrays [channels] but for the output's zero point and bounds."""

    mult: np.ndarray
    shift: np.ndarray
    zp: int
    lo: int
    hi: int
    acc_min: np.ndarray  # true accumulators: bias and zero point included
    acc_max: np.ndarray
    offset: np.ndarray

    def outputs(self, acc: np.ndarray) -> np.ndarray:
        """TFLite's outputs of true accumulators [channels] or [channels, n]."""
        mult, shift = self.mult, self.shift
        if acc.ndim == 2:
            mult, shift = mult[:, None], shift[:, None]
        return np.clip(
            multiply_by_quantized_multiplier(acc, mult, shift) + self.zp, self.lo, self.hi
        )


def thresholds(ch: Channels) -> np.ndarray:
    """First true accumulator [channels, hi - lo] that gives at least lo + 1 .. hi.

    Unreachable ones are acc_min (always given) or acc_max + 1 (never given). Estimated in floating
    point, then put right and checked with the reference arithmetic itself.
    """
    levels = np.arange(ch.lo + 1, ch.hi + 1)
    scale = np.maximum(ch.mult, 1) * np.exp2(ch.shift.astype(np.float64) - 31)
    guess = np.ceil((levels[None, :] - ch.zp - 0.5) / scale[:, None])
    low, high = ch.acc_min[:, None], ch.acc_max[:, None] + 1
    first = np.clip(guess, low, high).astype(np.int64)
    for _ in range(64):
        # Both rounding steps move a step by at most a few accumulators: 64 are far more.
        down = (first > low) & (ch.outputs(np.maximum(first - 1, low)) >= levels)
        up = (first < high) & (ch.outputs(np.minimum(first, high - 1)) < levels)
        if not (down.any() or up.any()):
            return first
        first = first - down + up
    raise ArithmeticError("a breakpoint of the requantisation was not found")
