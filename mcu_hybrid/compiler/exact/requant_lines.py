"""Straight lines through the staircases of a layer's channels (forms line and fine of requant.py).

A line is exact where each reachable step of its channel lies between the same accumulators. For a
multiplier, the steps bound the line's constant from both sides; a fit is a multiplier near the
factor's own whose bounds hold a constant that the form can express.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.compiler.exact.breakpoints import Channels

PRESCALE = 8  # the kernels hold 256 * raw for nothing: see compiler/select/dsp/matrix/pack.py
MAX_SHIFT = 20  # of the line form; 128 << (shift + 32) must fit 62 bits
# Kernels are compiled for some shifts only: layers share them, and multipliers have bits to spare.
SHIFT_STEP = 4
# Of the fine form: adds to try for a multiplier. Their products with it lie some 2^20 apart modulo
# 2^32; more would find more lines and take longer. Not tuned.
MAX_ADD = 4096
_MUL_LIMIT = 1 << 31  # multipliers are positive int32: SMMUL and SMMLA are signed


def _around(first: int, last: int) -> np.ndarray:
    return np.concatenate([np.arange(first, last), -np.arange(max(first, 1), last)])


# Multipliers to try for a line: (1, how far from the factor's own), (0, the multiplier itself).
# Most channels fit close by; those with few steps in reach fit many, if they are not too small.
_BLOCKS = (
    (1, _around(0, 9)),
    (0, 2 ** np.arange(16, 31)),
    (1, _around(9, 64)),
    (1, _around(64, 512)),
    (1, _around(512, 2048)),
)
_CHUNK = 400_000  # elements of an intermediate array: 3 MB, however wide the layer is
# Distances from the factor's own multiplier: each one near it, thinning out to 1,055.
_FINE_TRIES = (0, *(sign * (n + n * n // 4) for n in range(1, 64) for sign in (1, -1)))
_FAR = np.int64(1) << 62  # stands for no bound; two of them still have a difference


@dataclass(frozen=True)
class Lines:
    """Constants of the line form [channels]."""

    mul: np.ndarray
    add: np.ndarray
    addend: np.ndarray


def line_shift(ch: Channels) -> int:
    """The largest shift of the kernels at which every multiplier of the layer has up to 31 bits."""
    live = ch.outputs(ch.acc_min) != ch.outputs(ch.acc_max)
    if not live.any():
        return MAX_SHIFT
    real = (ch.mult * np.exp2(ch.shift.astype(np.float64) - 31))[live].max()
    found = int(np.floor(7 - np.log2(real)))
    if real * 2.0 ** (32 - PRESCALE + found) >= _MUL_LIMIT - 64:
        found -= 1
    return max(min(found, MAX_SHIFT), 0) // SHIFT_STEP * SHIFT_STEP


def fit_lines(ch: Channels, first: np.ndarray, shift: int) -> tuple[Lines, np.ndarray]:
    """Lines of all channels that need no addend, and which channels have one."""
    natural = _natural(ch, shift)
    lines = Lines(*(np.zeros_like(ch.mult) for _ in range(3)))
    fits = np.zeros(ch.mult.size, bool)
    for anchor, block in _BLOCKS:
        count = max(1, _CHUNK // (block.size * (ch.hi - ch.lo + 1)))
        left = np.flatnonzero(~fits)
        for todo in np.split(left, range(count, left.size, count)):
            mul, legal = _legal(anchor * natural[todo, None] + block)
            low, high = _constant_interval(ch, todo, first[todo], mul, shift)
            add, found = _common(low, high, mul, ch, todo)
            good = legal & found
            hit, column = good.any(1), good.argmax(1)
            at = todo[hit]
            lines.mul[at] = mul[hit, column[hit]]
            lines.add[at] = add[hit, column[hit]]
            fits[at] = True
        if fits.all():
            break
    return lines, fits


def _common(
    low: np.ndarray, high: np.ndarray, mul: np.ndarray, ch: Channels, todo: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``add`` [todo, tries] in the middle of what is exact and fits 32 bits; and where one is."""
    limit = (1 << 31) - 1
    raw_low = (ch.acc_min - ch.offset)[todo, None] << PRESCALE
    raw_high = (ch.acc_max - ch.offset)[todo, None] << PRESCALE
    least = np.maximum(-(-low // mul), -limit - np.minimum(raw_low, 0))
    most = np.minimum(high // mul, limit - np.maximum(raw_high, 0))
    return (least + most) >> 1, least <= most


def fit_fine_lines(ch: Channels, first: np.ndarray, shift: int) -> tuple[Lines, np.ndarray]:
    """Lines of all channels with an addend, and which channels have one."""
    natural = _natural(ch, shift)
    lines = Lines(*(np.zeros_like(ch.mult) for _ in range(3)))
    fits = np.zeros(ch.mult.size, bool)
    for delta in _FINE_TRIES:
        todo = np.flatnonzero(~fits)
        if not todo.size:
            break
        mul, legal = _legal(natural[todo, None] + delta)
        low, high = _constant_interval(ch, todo, first[todo], mul, shift)
        add, addend, found = _split(low[:, 0], high[:, 0], mul[:, 0])
        good = found & legal[:, 0]
        good &= _in_range(ch, todo, mul, add[:, None], addend[:, None])[:, 0]
        at = todo[good]
        lines.mul[at], lines.add[at], lines.addend[at] = mul[good, 0], add[good], addend[good]
        fits[at] = True
    return lines, fits


def _natural(ch: Channels, shift: int) -> np.ndarray:
    """The multiplier of a line with just the layer's factor."""
    return np.round(ch.mult * np.exp2(ch.shift.astype(np.float64) + 1 - PRESCALE + shift))


def _legal(wide: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers as int64 (1 where illegal), and which are legal."""
    legal = (wide > 0) & (wide < _MUL_LIMIT)
    return np.where(legal, wide, 1).astype(np.int64), legal


def _constant_interval(
    ch: Channels, todo: np.ndarray, first: np.ndarray, mul: np.ndarray, shift: int
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest ``add * mul + (addend << 32)`` with which each line is exact.

    ``mul`` is [todo, tries], as are both results; ``first`` is [todo, levels].

    The line gives at least k where (raw << PRESCALE) * mul + constant >= k << (shift + 32).
    """
    target = np.arange(ch.lo + 1, ch.hi + 1) << (shift + 32)
    slope = mul[:, :, None] << PRESCALE
    at = (first - ch.offset[todo, None])[:, None, :] * slope
    # A step up to acc_max must be reached at its place, a step above acc_min not one before.
    reached = (first <= ch.acc_max[todo, None])[:, None, :]
    later = (first > ch.acc_min[todo, None])[:, None, :]
    low = np.where(reached, target - at, -_FAR).max(2, initial=-_FAR)
    high = np.where(later, target - 1 - (at - slope), _FAR).min(2, initial=_FAR)
    return low, high


def _split(
    low: np.ndarray, high: np.ndarray, mul: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(add, addend, found): the smallest ``add`` whose constant falls between the bounds."""
    add, addend = np.zeros_like(mul), np.zeros_like(mul)
    found = np.zeros(mul.size, bool)
    for adds in (np.arange(64), np.arange(64, MAX_ADD)):
        todo = np.flatnonzero(~found & (low <= high))
        step = adds[None, :] * mul[todo, None]
        middle = (low[todo] >> 1) + (high[todo] >> 1)
        whole = (middle[:, None] - step + (1 << 31)) >> 32
        constant = (whole << 32) + step
        good = (constant >= low[todo, None]) & (constant <= high[todo, None])
        hit, column = good.any(1), good.argmax(1)
        at = todo[hit]
        add[at], addend[at] = adds[column[hit]], whole[hit, column[hit]]
        found[at] = True
    return add, addend, found


def _in_range(
    ch: Channels, todo: np.ndarray, mul: np.ndarray, add: np.ndarray, addend: np.ndarray
) -> np.ndarray:
    """[todo, tries]: no 32-bit register of the line overflows within the reachable range."""
    fine = (np.abs(addend) < 1 << 31) & (np.abs(add) < 1 << 31)
    for acc in (ch.acc_min, ch.acc_max):
        value = ((acc - ch.offset)[todo, None] << PRESCALE) + add
        high = ((value * mul) >> 32) + addend
        fine &= (np.abs(value) < 1 << 31) & (np.abs(high) < 1 << 31)
    return fine
