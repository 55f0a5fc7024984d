"""The cheapest exact requantisation of a layer: found by fitting, proved by breakpoints.

TFLite turns an accumulator into an output by two roundings (``quant``). That function is a
staircase (breakpoints.py). A form of the kernels is exact where it has the same steps over all
accumulators that the layer's weights can reach. A layer uses one of three:

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
How lines are fitted is in requant_lines.py. Nothing here knows graphs or kernels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.compiler.exact.breakpoints import Channels, thresholds
from mcu_hybrid.compiler.exact.memo import by_content
from mcu_hybrid.compiler.exact.requant_lines import PRESCALE, fit_fine_lines, fit_lines, line_shift
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

LINE, FINE, EXACT = "line", "fine", "exact"
MAX_RIGHT = 23  # of the exact form; (zero point << right) must fit 31 bits
_CONSTANT_RIGHT = 8  # of a constant channel: any of 1 .. MAX_RIGHT, for its multiplier is 0


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


@by_content
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
    found = line_shift(ch)
    first = thresholds(ch)
    fine, fits = fit_fine_lines(ch, first, found)
    if not fits.all():
        return _exact(ch, clamp)
    line, fits = fit_lines(ch, first, found)
    form, lines = (LINE, line) if fits.all() else (FINE, fine)
    forms = Counter({form: fits.size})
    zero = np.zeros_like(ch.mult)
    return LayerRequant(form, lines.mul, lines.add, lines.addend, found, zero, zero, clamp, forms)


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


_Channels = Channels  # its former name here
