"""Requantisation of one channel at a time: a slope and a start, both of the channel.

slope  out = sat8(hi32(((raw << prescale) + start) * mul) >> shift)
       Two instructions and a store. ``start`` is where the accumulator begins: bias, both zero
       points and the rounding, in units finer than a product, so that the line can be placed
       between the steps. ``shift`` is the layer's and part of the function's name.

Like the lines of ``requant`` it is exact where each step of TFLite's staircase is in its place, and
proved by those steps. Its own number here is ``prescale``: what kernels shift sums by for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.compiler.exact.breakpoints import Channels, thresholds
from mcu_hybrid.compiler.exact.memo import by_content
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

# One copy of a kernel each. A shift serves factors below 2^(prescale - 1 - shift), which must leave
# the multiplier 31 bits; the larger it is, the finer is the multiplier.
SHIFTS = (8, 12, 16)
_TRIES = (0, *(sign * n for n in range(1, 257) for sign in (1, -1)))
_TURN = 256  # tries to turn the line by one accumulator over the outputs' range
_CONSTANT_MUL = 1 << 24  # any would do: with this one each level's start fits 32 bits, at shift 16
_INT32 = 1 << 31
_FAR = np.int64(1) << 62  # stands for no bound


@dataclass(frozen=True)
class Slope:
    """Constants per channel of a layer; ``constant`` channels need weights of zero."""

    mul: np.ndarray
    start: np.ndarray
    constant: np.ndarray
    shift: int
    prescale: int

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """What the kernels compute from raw sums [..., channels]."""
        value = (np.asarray(raw, np.int64) << self.prescale) + self.start
        return np.clip((value * self.mul) >> (32 + self.shift), INT8_MIN, INT8_MAX)


@by_content
def fit_slope(
    channels: Channels, prescale: int, shifts: Sequence[int] = SHIFTS
) -> tuple[Slope, np.ndarray]:
    """The slopes at the shift that fits most channels, and which it fits."""
    steps = _steps(channels)
    best: tuple[Slope, np.ndarray] | None = None
    for shift in shifts:
        found = _fit(channels, steps, prescale, shift)
        if best is None or found[1].sum() > best[1].sum():
            best = found
        if found[1].all():
            break
    assert best is not None
    return best


@dataclass(frozen=True)
class _Steps:
    """The staircases of a layer: first sums of each output, and what is seen at both ends."""

    first: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    count: np.ndarray
    begin: np.ndarray  # the first step that is reached
    reach: np.ndarray  # from the first to the last one


def _steps(ch: Channels) -> _Steps:
    first = thresholds(ch)
    inside = (first > ch.acc_min[:, None]) & (first <= ch.acc_max[:, None])
    begin = np.where(inside, first, _FAR).min(1, initial=_FAR)
    reach = np.where(inside, first, -_FAR).max(1, initial=-_FAR) - begin
    ends = ch.outputs(ch.acc_min), ch.outputs(ch.acc_max)
    return _Steps(first, *ends, inside.sum(1), begin, reach)


def _natural(ch: Channels, steps: _Steps, bits: int) -> np.ndarray:
    """TFLite's factor with so many bits behind the point; for a single step a steeper slope.

    One step does not tell the slope: the steeper, the smaller the start. A saturated side bounds
    nothing.
    """
    real = ch.mult * np.exp2(ch.shift.astype(np.float64) - 31)
    below = np.where(steps.lowest == INT8_MIN, 0, steps.begin - ch.acc_min)
    above = np.where(steps.highest == INT8_MAX, 0, ch.acc_max - steps.begin)
    # Three quarters: the start takes its part of the range, too.
    steep = np.floor(2.0**bits / np.maximum(np.maximum(below, above), 1) * 0.75)
    return np.where(steps.count == 1, np.minimum(steep, _INT32 - 1), np.round(real * 2.0**bits))


def _fit(ch: Channels, steps: _Steps, prescale: int, shift: int) -> tuple[Slope, np.ndarray]:
    natural = _natural(ch, steps, 32 + shift - prescale)
    turn = np.maximum(np.floor(natural / np.maximum(steps.reach, 1) / _TURN), 1)
    constant = steps.count == 0
    mul = np.where(constant, _CONSTANT_MUL, 0)
    start = np.where(constant, ((2 * steps.lowest + 1) << (31 + shift)) // _CONSTANT_MUL, 0)
    fits, hopeless = constant.copy(), natural >= _INT32
    for delta in _TRIES:
        todo = np.flatnonzero(~fits & ~hopeless)
        if not todo.size:
            break
        wide = natural[todo] + delta * turn[todo]
        legal = (wide > 0) & (wide < _INT32)
        slope = np.where(legal, wide, 1).astype(np.int64)
        low, high = _starts(ch, todo, steps.first[todo], slope, prescale, shift)
        middle = low + (high - low) // 2
        in_range = _in_range(ch, todo, slope, middle, prescale)
        good = legal & (low <= high) & in_range
        mul[todo[good]], start[todo[good]] = slope[good], middle[good]
        fits[todo[good]] = True
        if delta == 0:  # turning the line by one sum does not close wider gaps
            hopeless[todo] |= ~in_range | (low - high > 3 << (prescale - 1))
    return Slope(mul, start, constant, shift, prescale), fits


def _starts(
    ch: Channels,
    todo: np.ndarray,
    first: np.ndarray,
    mul: np.ndarray,
    prescale: int,
    shift: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest start with which every step is in its place.

    The line gives at least k where (raw << prescale) + start >= ceil((k << (shift + 32)) / mul).
    """
    target = np.arange(ch.lo + 1, ch.hi + 1)[None, :] << (shift + 32)
    reach = -(-target // mul[:, None])
    at = (first - ch.offset[todo, None]) << prescale
    reached = first <= ch.acc_max[todo, None]
    later = first > ch.acc_min[todo, None]
    low = np.where(reached, reach - at, -_FAR).max(1, initial=-_FAR)
    high = np.where(later, reach - 1 - (at - (1 << prescale)), _FAR).min(1, initial=_FAR)
    # A channel of one value only has no bounds on one side or both.
    low = np.where(low == -_FAR, np.minimum(high, 0), low)
    high = np.where(high == _FAR, np.maximum(low, 0), high)
    return low, high


def _in_range(
    ch: Channels, todo: np.ndarray, mul: np.ndarray, start: np.ndarray, prescale: int
) -> np.ndarray:
    """True where no 32-bit register overflows within the reachable range."""
    fine = np.abs(start) < _INT32
    for acc in (ch.acc_min, ch.acc_max):
        value = ((acc - ch.offset)[todo] << prescale) + start
        fine &= np.abs(value) < _INT32
    return fine
