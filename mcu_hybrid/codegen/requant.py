"""The cheapest exact requantisation of a layer: found by fitting, proved by breakpoints.

TFLite turns an accumulator into an output by two roundings (``quant``). That function is a
staircase: ``thresholds`` finds, per channel and output value, the first accumulator that reaches
it. A form of the kernels is exact where it has the same steps over all accumulators that the
layer's weights can reach. A layer uses one of three:

line   out = sat8(hi32(((raw << PRESCALE) + add) * mul) >> shift)
       ``add`` holds bias, both zero points and the rounding, finer than the sum's own unit, so
       that the line can be placed between the steps; ``shift`` is the layer's. Three instructions:
       smmul, ssat, store. Steps on both sides of the output's zero point lie on two lines, so this
       form serves layers with ReLU (and factors >= 0.5, which round once).
fine   out = sat8((hi32(((raw << PRESCALE) + add) * mul) + addend) >> shift)
       As many instructions (smmla) but a third constant, which places the line finer still.
exact  v = 2 * (raw + offset);  t = addend + (v >> 31)
       out = sat8((hi32_rounded(v * mul) + t) >> right)                one add, one shift more
       TFLite's own arithmetic, rearranged; ``right`` is the channel's.

``raw`` is the sum of products of weights and inputs as they lie in memory: zero points and bias
are in the constants. Bounds other than those of int8 (``post_clamp``) are left to the caller.
Nothing here knows graphs or kernels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.quant import INT8_MAX, INT8_MIN, multiply_by_quantized_multiplier

LINE, FINE, EXACT = "line", "fine", "exact"
PRESCALE = 8  # the kernels hold 256 * raw for nothing: see codegen/fast/packing.py
MAX_SHIFT = 22  # of the line form; 128 << (shift + 32) must fit 62 bits
MAX_ADD = 4096  # of the fine form
MAX_RIGHT = 23  # of the exact form; (zero point << right) must fit 31 bits
_MUL_LIMIT = 1 << 31


def _around(first: int, last: int) -> np.ndarray:
    return np.concatenate([np.arange(first, last), -np.arange(max(first, 1), last)])


_CONSTANT_RIGHT = 8
# Multipliers to try for a line: (1, how far from the factor's own), (0, the multiplier itself).
# Most channels fit close by; those with few steps in reach fit many, if they are not too small.
_BLOCKS = (
    (1, _around(0, 9)),
    (0, 2 ** np.arange(16, 31)),
    (1, _around(9, 64)),
    (1, _around(64, 512)),
    (1, _around(512, 2048)),
)
_CHUNK = 400_000  # elements of an intermediate array
_FINE_TRIES = (0, *(sign * (n + n * n // 4) for n in range(1, 64) for sign in (1, -1)))
_FAR = np.int64(1) << 62


@dataclass(frozen=True)
class LayerRequant:
    """Constants per channel (int64 arrays that fit int32) of the one form that the layer uses.

    ``mul``, ``add`` and ``shift`` belong to a line, with ``addend`` a fine one; ``mul``,
    ``offset``, ``addend`` and ``right`` to the exact form; the others are zero. ``post_clamp`` is
    None where int8 saturation is all the clamping there is. ``forms`` counts channels by form.
    """

    form: str
    mul: np.ndarray
    add: np.ndarray
    addend: np.ndarray
    shift: int
    offset: np.ndarray
    right: np.ndarray
    post_clamp: tuple[int, int] | None
    forms: Counter[str]

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """What the kernels compute from raw sums [..., channels]: the living definition."""
        raw = np.asarray(raw, np.int64)
        if self.form != EXACT:
            high = (((raw << PRESCALE) + self.add) * self.mul) >> 32
            out = (high + self.addend) >> self.shift
        else:
            v = 2 * (raw + self.offset)
            out = ((v * self.mul + (1 << 31)) >> 32) + self.addend + (v >> 63) >> self.right
        lo, hi = self.post_clamp or (INT8_MIN, INT8_MAX)
        return np.clip(np.clip(out, INT8_MIN, INT8_MAX), lo, hi)


@dataclass(frozen=True)
class _Lines:
    """Constants of the line form [channels]."""

    mul: np.ndarray
    add: np.ndarray
    addend: np.ndarray


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


def fit_layer(
    mult: np.ndarray,
    shift: np.ndarray,
    zp_out: int,
    lo: int,
    hi: int,
    acc_min: np.ndarray,
    acc_max: np.ndarray,
    offset: np.ndarray,
    *,
    allow_line: bool = True,
) -> LayerRequant | None:
    """The form for a layer, equal to TFLite's over all reachable sums; None where none is.

    Args:
        mult, shift: TFLite's factors per channel.
        lo, hi: bounds of the fused activation.
        acc_min, acc_max: smallest and largest raw sum of each channel that the weights allow.
        offset: what bias and input zero point add to a raw sum.
        allow_line: False where the caller's sums are not prescaled.
    """
    arrays = [np.atleast_1d(np.asarray(a, np.int64)) for a in (mult, shift, acc_min, acc_max)]
    off = np.atleast_1d(np.asarray(offset, np.int64))
    ch = Channels(arrays[0], arrays[1], zp_out, lo, hi, arrays[2] + off, arrays[3] + off, off)
    clamp = None if (lo, hi) == (INT8_MIN, INT8_MAX) else (lo, hi)
    if not allow_line:
        return _exact(ch, clamp)
    line_shift = _line_shift(ch)
    first = thresholds(ch)
    zero = np.zeros_like(ch.mult)
    fine, fits = _fit_fine_lines(ch, first, line_shift)
    if not fits.all():
        return _exact(ch, clamp)
    line, fits = _fit_lines(ch, first, line_shift)
    form, lines = (LINE, line) if fits.all() else (FINE, fine)
    forms = Counter({form: fits.size})
    return LayerRequant(
        form, lines.mul, lines.add, lines.addend, line_shift, zero, zero, clamp, forms
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
        # Both rounding steps move a step by at most a few accumulators.
        down = (first > low) & (ch.outputs(np.maximum(first - 1, low)) >= levels)
        up = (first < high) & (ch.outputs(np.minimum(first, high - 1)) < levels)
        if not (down.any() or up.any()):
            return first
        first = first - down + up
    raise ArithmeticError("a breakpoint of the requantisation was not found")


def _line_shift(ch: Channels) -> int:
    """The largest shift at which every multiplier of the layer still has 31 bits."""
    live = ch.outputs(ch.acc_min) != ch.outputs(ch.acc_max)
    if not live.any():
        return MAX_SHIFT
    real = (ch.mult * np.exp2(ch.shift.astype(np.float64) - 31))[live].max()
    found = int(np.floor(7 - np.log2(real)))
    if real * 2.0 ** (32 - PRESCALE + found) >= _MUL_LIMIT - 64:
        found -= 1
    return max(min(found, MAX_SHIFT), 0)


def _fit_lines(ch: Channels, first: np.ndarray, shift: int) -> tuple[_Lines, np.ndarray]:
    """Lines of all channels that need no addend, and which channels have one."""
    natural = _natural(ch, shift)
    lines = _Lines(*(np.zeros_like(ch.mult) for _ in range(3)))
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


def _fit_fine_lines(ch: Channels, first: np.ndarray, shift: int) -> tuple[_Lines, np.ndarray]:
    """Lines of all channels with an addend, and which channels have one."""
    natural = _natural(ch, shift)
    lines = _Lines(*(np.zeros_like(ch.mult) for _ in range(3)))
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


def _exact(ch: Channels, clamp: tuple[int, int] | None) -> LayerRequant | None:
    """TFLite's arithmetic with bias and zero point folded; None outside its number range."""
    lowest, highest = ch.outputs(ch.acc_min), ch.outputs(ch.acc_max)
    constant = lowest == highest
    right = np.where(constant, _CONSTANT_RIGHT, -ch.shift)
    if np.any((right < 1) | (right > MAX_RIGHT)):
        return None
    # A constant channel has multiplier 0: whatever its sums are, they do not count.
    offset = np.where(constant, 0, ch.offset)
    reach = np.maximum(np.abs(ch.acc_min), np.abs(ch.acc_max))
    if np.any(~constant & ((reach >= 1 << 30) | (np.abs(offset) >= 1 << 30))):
        return None
    mul = np.where(constant, 0, ch.mult)
    zero_point = np.where(constant, lowest, ch.zp)
    addend = (zero_point << right) + (np.int64(1) << (right - 1))
    zero = np.zeros_like(mul)
    forms = Counter({EXACT: mul.size})
    return LayerRequant(EXACT, mul, zero, addend, 0, offset, right, clamp, forms)


_Channels = Channels
