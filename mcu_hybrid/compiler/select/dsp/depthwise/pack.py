"""Requantisation of a depthwise layer, channel by channel, and the order of its weights in flash.

A layer has one form; channels that a slope does not fit are computed again with the exact form.
Not here: how slopes are found (exact/slope.py) and the exact form (exact/requant.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mcu_hybrid.compiler.exact.breakpoints import Channels
from mcu_hybrid.compiler.exact.requant import LayerRequant, fit_layer
from mcu_hybrid.compiler.exact.slope import Slope, fit_slope
from mcu_hybrid.compiler.select.dsp.depthwise.layer import Layer

SLOPE, EXACT = "slope", "exact"
_FIXUP_SHARE = 4  # at most one of so many channels is computed twice


@dataclass(frozen=True)
class Rows:
    """Constants [channels, n] of some output channels, and the weights that go with them."""

    channels: np.ndarray
    constants: np.ndarray
    weights: np.ndarray

    def transposed(self) -> Rows:
        """The same with rows and columns of the weights exchanged."""
        return replace(self, weights=self.weights.transpose(0, 2, 1))


@dataclass(frozen=True)
class Form:
    """A requantisation: its name and shift, all channels, and those that are done again."""

    name: str
    shift: int | None
    rows: Rows
    fixup: Rows | None
    counts: Mapping[str, int]

    def transposed(self) -> Form:
        """The form of the layer with rows and columns exchanged."""
        fixup = None if self.fixup is None else self.fixup.transposed()
        return replace(self, rows=self.rows.transposed(), fixup=fixup)


def find_form(layer: Layer, prescale: int) -> Form | None:
    """The cheapest exact form of a layer's outputs; None where there is none."""
    ch = layer.channels
    slope, fits = fit_slope(ch, prescale)
    missed = np.flatnonzero(~fits)
    exact = _exact(ch) if missed.size else None
    if missed.size and exact is None:
        return None
    counts = +Counter({SLOPE: int(fits.sum()), EXACT: missed.size})
    if exact is None:
        return Form(SLOPE, slope.shift, _slope_rows(layer, slope), None, counts)
    everything = np.arange(fits.size)
    if missed.size * _FIXUP_SHARE > fits.size:
        rows = _exact_rows(layer, exact, everything)
        return Form(EXACT, None, rows, None, {EXACT: fits.size})
    again = _exact_rows(layer, exact, missed)
    return Form(SLOPE, slope.shift, _slope_rows(layer, slope), again, counts)


def _exact(ch: Channels) -> LayerRequant | None:
    low, high = ch.acc_min - ch.offset, ch.acc_max - ch.offset
    arrays = (ch.mult, ch.shift, ch.zp, ch.lo, ch.hi, low, high, ch.offset)
    return fit_layer(*arrays, allow_line=False)


def _slope_rows(layer: Layer, slope: Slope) -> Rows:
    weights = np.where(slope.constant[:, None, None], 0, layer.weights)
    return Rows(np.arange(len(weights)), np.stack([slope.mul, slope.start], 1), weights)


def _exact_rows(layer: Layer, exact: LayerRequant, channels: np.ndarray) -> Rows:
    columns = [exact.mul, 2 * exact.offset, exact.addend, exact.right]
    return Rows(channels, np.stack(columns, 1)[channels], layer.weights[channels])


def _word(*places: np.ndarray) -> np.ndarray:
    """One word of four weights per channel, the first in the lowest byte."""
    word = np.zeros(len(places[0]), np.int64)
    for i, weight in enumerate(places):
        word |= (weight & 0xFF) << (8 * i)
    return word


def pack1(w: np.ndarray) -> np.ndarray:
    """Stride 1: bytes 0 and 2 of a row's word are weights 0 and 1, bytes 1 and 3 weights 1, 2."""
    return np.stack([_word(w[:, y, 0], w[:, y, 1], w[:, y, 1], w[:, y, 2]) for y in range(3)], 1)


def pack2(w: np.ndarray) -> np.ndarray:
    """Stride 2: weights (0, 1) of rows 0, 1 and 2; weight 2 of rows (0, 1); weight 2 of row 2."""
    words = [
        _word(w[:, 0, 0], w[:, 1, 0], w[:, 0, 1], w[:, 1, 1]),
        _word(w[:, 2, 0], w[:, 0, 2], w[:, 2, 1], w[:, 1, 2]),
        _word(w[:, 2, 2]),
    ]
    return np.stack(words, 1)


def pack_kronecker(weights: np.ndarray, phases: int, words: int) -> np.ndarray:
    """Bytes (w1, w0) of each word of weights, phase by phase within a row."""
    channels, height, _ = weights.shape
    parts = np.zeros((channels, height, phases, 2 * words), np.int64)
    for phase in range(phases):
        taps = weights[:, :, phase::phases]
        parts[:, :, phase, : taps.shape[2]] = taps
    swapped = parts.reshape(channels, -1, 2)[:, :, ::-1].reshape(channels, -1)
    swapped = np.pad(swapped, ((0, 0), (0, -swapped.shape[1] % 8)))
    return _word(*(swapped[:, i::4].reshape(-1) for i in range(4))).reshape(channels, -1)
