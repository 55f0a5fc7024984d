"""Requantisation of the scalar kernels: a line per channel, or TFLite's own arithmetic.

line   out = sat8(((sum + start) * mul + low) >> (32 + shift)); 0 <= low < mul < 2^31, low a
       multiple of 2^16. ``start`` is where the accumulator begins, ``low`` the rest of the line's
       constant, so that the line lies where it is wanted; ``shift`` is the channel's and shares a
       word with ``low``.
exact  TFLite's own arithmetic, as in ``requant``.

A layer uses the line where every step of every channel (``breakpoints``) is in its place over all
reachable sums, else the exact form. ``mh_nn_scalar.h`` has the C. Not here: layouts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.compiler.exact.breakpoints import Channels, thresholds
from mcu_hybrid.compiler.exact.memo import by_content
from mcu_hybrid.compiler.exact.requant import EXACT, LINE, fit_layer
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.weighted import bias_of, factors
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

FORMS = {LINE: 0, EXACT: 1}  # MH_SCALAR_LINE, MH_SCALAR_EXACT
GRAIN = 1 << 16  # of low: cores without a 64-bit product add it to a middle one
SUM_LIMIT = 1 << 30
MAX_SHIFT = 20
_MUL_LIMIT = 1 << 31
_TRIES = (0, *(sign * n for n in range(1, 65) for sign in (1, -1)))
_FAR = np.int64(1) << 62
_SLACK = np.int64(1) << 20
_CONSTANT_SLOPE = 2.0**-22  # of channels with one output: flat, yet 128 is within SUM_LIMIT


@dataclass(frozen=True)
class ScalarRequant:
    """Constants [channels] of a layer: ``start`` and what else the C reads of a channel.

    ``clamp`` holds bounds tighter than those of int8, else these.
    """

    form: str
    start: np.ndarray
    words: np.ndarray  # [channels, 2 (mul, low + shift) or 3 (mul, addend, right)]
    clamp: tuple[int, int]
    forms: Mapping[str, int]

    def apply(self, sums: np.ndarray) -> np.ndarray:
        """What the kernels compute from sums [..., channels] of products: the definition."""
        total = np.asarray(sums, np.int64) + self.start
        if self.form == LINE:
            mul, both = self.words.T
            out = (total * mul + both) >> (32 + both % GRAIN)
        else:
            mul, second, shift = self.words.T
            high = (2 * total * mul + (1 << 31)) >> 32
            out = (high + second + (total >> 63)) >> shift
        return np.clip(np.clip(out, INT8_MIN, INT8_MAX), *self.clamp)


def channels_of(graph: Graph, op: Op, weights: np.ndarray, *, centred: bool) -> Channels:
    """The arithmetic of a layer with weights [channels, products], and which sums it can reach.

    Args:
        centred: whether the kernel takes the input's zero point off before it multiplies.
    """
    weights = weights.astype(np.int64)
    zero_point = graph.tensor(op.inputs[0]).require_quant().zero_point
    quant = graph.tensor(op.outputs[0]).require_quant()
    lo, hi = activation_range(op.attrs.activation, quant)
    positive, negative = np.maximum(weights, 0).sum(1), np.minimum(weights, 0).sum(1)
    taken = zero_point if centred else 0
    least, most = INT8_MIN - taken, INT8_MAX - taken
    offset = (taken - zero_point) * weights.sum(1)
    bias = bias_of(graph, op)
    if bias is not None:
        offset = offset + bias.reshape(-1).astype(np.int64)
    low = least * positive + most * negative + offset
    high = most * positive + least * negative + offset
    mult, shift = factors(graph, op, len(weights))
    return Channels(mult, shift, quant.zero_point, lo, hi, low, high, offset)


def fit(graph: Graph, op: Op, weights: np.ndarray, *, centred: bool) -> ScalarRequant | None:
    """The form of a layer, as ``channels_of`` describes it; None where none is exact."""
    asked = channels_of(graph, op, weights, centred=centred)
    clamp = (asked.lo, asked.hi)
    line = _line(asked)
    if line is not None:
        return ScalarRequant(LINE, *line, clamp, Counter({LINE: len(weights)}))
    exact = fit_layer(
        *(asked.mult, asked.shift, asked.zp, asked.lo, asked.hi),
        *(asked.acc_min - asked.offset, asked.acc_max - asked.offset, asked.offset),
        allow_line=False,
    )
    if exact is None:
        return None
    words = np.stack([exact.mul, exact.addend, exact.right], 1)
    return ScalarRequant(EXACT, exact.offset, words, clamp, exact.forms)


@by_content
def _line(ch: Channels) -> tuple[np.ndarray, np.ndarray] | None:
    """(start, words) of the lines of all channels; None where one has none."""
    real = ch.mult * np.exp2(ch.shift.astype(np.float64) - 31)
    live = ch.outputs(ch.acc_min) != ch.outputs(ch.acc_max)
    real = np.where(live, real, _CONSTANT_SLOPE)
    shift = np.clip(np.floor(-1 - np.log2(real)), 0, MAX_SHIFT).astype(np.int64)
    shift = np.where(live, shift, 0)
    first = thresholds(ch)
    natural = np.round(real * np.exp2(32 + shift)).astype(np.int64)
    start, words = np.zeros_like(ch.mult), np.zeros((ch.mult.size, 2), np.int64)
    fits = np.zeros(ch.mult.size, bool)
    for delta in _TRIES:
        todo = np.flatnonzero(~fits)
        if not todo.size:
            return start, words
        mul = natural[todo] + delta
        legal = (mul > 0) & (mul < _MUL_LIMIT)
        mul = np.where(legal, mul, 1)
        low, high, good = _constant(ch, todo, first[todo], mul, shift[todo])
        constant = (low >> 1) + (high >> 1)
        begin = constant // mul
        rest = (constant - begin * mul) // GRAIN * GRAIN
        good &= (begin * mul + rest >= low) & (begin * mul + rest + MAX_SHIFT <= high)
        good &= legal & _in_range(ch, todo, begin)
        at = todo[good]
        start[at] = (ch.offset[todo] + begin)[good]
        words[at, 0], words[at, 1] = mul[good], (rest + shift[todo])[good]
        fits[at] = True
    return (start, words) if fits.all() else None


def _constant(
    ch: Channels, todo: np.ndarray, first: np.ndarray, mul: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(least, largest, found) of the constants with which every step is in its place.

    The line gives at least k where acc * mul + constant >= k << (32 + shift).
    """
    levels = np.arange(ch.lo + 1, ch.hi + 1, dtype=np.int64)[None, :]
    target = levels << (32 + shift[:, None])
    reached = first <= ch.acc_max[todo, None]
    later = first > ch.acc_min[todo, None]
    at = np.where(reached | later, first, 0) * mul[:, None]
    low = np.where(reached, target - at, -_FAR).max(1, initial=-_FAR)
    high = np.where(later, target - 1 - (at - mul[:, None]), _FAR).min(1, initial=_FAR)
    # A channel whose outputs all are at a bound has no step on one side.
    low = np.where(low == -_FAR, np.minimum(high, _SLACK) - _SLACK, low)
    high = np.where(high == _FAR, low + _SLACK, high)
    return low, high, low <= high


def _in_range(ch: Channels, todo: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """True where all sums, start included, are within the bounds of the line form."""
    lowest, highest = ch.acc_min[todo] + begin, ch.acc_max[todo] + begin
    return (lowest > -SUM_LIMIT) & (highest < SUM_LIMIT)
