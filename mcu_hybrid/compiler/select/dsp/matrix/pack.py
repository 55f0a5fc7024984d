"""Weights and constants of a matrix layer in the order in which the DSP tiles read them.

Output channels go in pairs, inputs in groups of 4. A word of weights holds inputs (0, 2) or (1, 3)
of a group, each as one half-word 256 * w1 + w0 of the pair's channels: the bytes of two weights,
the upper one corrected for the sign of the lower. ``mh_nn_fast.h`` has the order of the words.
Not here: which operators are matrix layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mcu_hybrid.compiler.exact.requant import EXACT, FINE, LINE, LayerRequant, fit_layer
from mcu_hybrid.compiler.exact.requant_lines import PRESCALE
from mcu_hybrid.compiler.select.dsp.limits import fit_int16
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.base import CTable, Field, KernelId
from mcu_hybrid.ops.weighted import bias_of, factors
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

SMALL = "small"  # the variant for little code
PLAIN = "plain"  # exact form on weights that cannot be packed with a carry
_INT32 = 1 << 31
_MAX_OFFSET = 1 << 25  # offset << 6 fits 32 bits


@dataclass(frozen=True)
class Packed:
    """A layer ready for the tiles: its form, and that form's shift where it is one of the layer."""

    form: str
    shift: int | None
    fields: tuple[Field, ...]
    steps: int
    out_c: int
    is_clamped: bool
    forms: Mapping[str, int]
    is_small: bool = False

    def small(self) -> Packed | None:
        """The same for the tile that takes less code; None where there is none."""
        if self.form == PLAIN:
            return None
        return replace(self, is_small=True)

    def kernel(self, family: str) -> KernelId:
        """The kernel of a family that takes the layer so."""
        return KernelId(family, (), self.form, self.shift, SMALL if self.is_small else "")


def pack_layer(graph: Graph, op: Op, weights: np.ndarray) -> Packed | None:
    """Pack weights [out channels, sum's length] of an operator.

    None where no form is exact, or the layer is larger than the params can say.
    """
    found = _requant(graph, op, weights.astype(np.int64))
    if found is None:
        return None
    requant, is_carried = found
    zero_point = graph.tensor(op.outputs[0]).require_quant().zero_point
    live = weights.astype(np.int64)
    if requant.form == EXACT and is_carried:
        live, requant = _fold_constants(live, requant, zero_point)
    words = _words(live, is_carried)
    stream = _stream(words, requant, is_carried)
    if not fit_int16((weights.shape[0], stream.shape[1])):
        return None
    lo, hi = requant.post_clamp or (INT8_MIN, INT8_MAX)
    form = requant.form if is_carried else PLAIN
    fields: tuple[Field, ...] = (
        ("stream", CTable("stream", "uint32_t", stream.reshape(-1))),
        ("steps", words.shape[1] // 2),
        ("out_c", weights.shape[0]),
        ("pair_words", stream.shape[1]),
        ("shift", 2 * zero_point + 1 if requant.form == EXACT else requant.shift),
        ("lo", lo),
        ("hi", hi),
    )
    return Packed(
        form,
        requant.shift if form in (LINE, FINE) else None,
        fields,
        words.shape[1] // 2,
        weights.shape[0],
        requant.post_clamp is not None,
        {form: weights.shape[0]},
    )


def _fold_constants(
    weights: np.ndarray, requant: LayerRequant, zero_point: int
) -> tuple[np.ndarray, LayerRequant]:
    """Constant channels as sums of no weights: the exact kernel has one addend for all channels."""
    constant = requant.mul == 0
    value = (requant.addend >> requant.right) - zero_point
    folded = replace(
        requant,
        offset=np.where(constant, value << (requant.right + 1), requant.offset),
        mul=np.where(constant, 1 << 30, requant.mul),
        addend=np.where(constant, (2 * zero_point + 1) << (requant.right - 1), requant.addend),
    )
    return np.where(constant[:, None], 0, weights), folded


def _requant(graph: Graph, op: Op, weights: np.ndarray) -> tuple[LayerRequant, bool] | None:
    """The layer's form, and whether its weights are packed with a carry."""
    channels = weights.shape[0]
    zero_point = graph.tensor(op.inputs[0]).require_quant().zero_point
    quant = graph.tensor(op.outputs[0]).require_quant()
    lo, hi = activation_range(op.attrs.activation, quant)
    positive, negative = np.maximum(weights, 0).sum(1), np.minimum(weights, 0).sum(1)
    low = INT8_MIN * positive + INT8_MAX * negative
    high = INT8_MAX * positive + INT8_MIN * negative
    bias = bias_of(graph, op)
    offset = -zero_point * weights.sum(1)
    if bias is not None:
        offset = offset + bias.reshape(-1).astype(np.int64)
    is_carried = _fits_carry(weights) and _fits_prescale(low, high)
    mult, shift = factors(graph, op, channels)
    requant = fit_layer(
        mult, shift, quant.zero_point, lo, hi, low, high, offset, allow_line=is_carried
    )
    if requant is None:
        return None
    if requant.form == EXACT:
        is_carried &= _fits_prescale(low + requant.offset, high + requant.offset)
        is_carried &= bool(np.all(np.abs(requant.offset) < _MAX_OFFSET))
    return requant, is_carried


def _fits_carry(weights: np.ndarray) -> bool:
    """256 * w1 + w0 must fit 16 bits for every pair."""
    first, second = _pairs(weights)
    return bool(np.all((second << 8) + first >= -(1 << 15)))


def _fits_prescale(low: np.ndarray, high: np.ndarray) -> bool:
    """Every sum times 256 must fit 32 bits."""
    return bool(np.all(np.maximum(np.abs(low), np.abs(high)) << PRESCALE < _INT32))


def _pairs(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and second channels of all pairs; zeros fill channels to 2 and inputs to 4."""
    channels, length = weights.shape
    padded = np.pad(weights, ((0, channels % 2), (0, -length % 4)))
    return padded[0::2], padded[1::2]


def _words(weights: np.ndarray, is_carried: bool) -> np.ndarray:
    """uint32 [pairs, words]: half-words of two channels, in the order of the widened inputs."""
    first, second = _pairs(weights)
    halves = (second << 8) + (first if is_carried else first & 0xFF)
    groups = (halves & 0xFFFF).reshape(halves.shape[0], -1, 4)
    words = np.stack(
        [groups[:, :, 0] | groups[:, :, 2] << 16, groups[:, :, 1] | groups[:, :, 3] << 16], 2
    )
    return words.reshape(halves.shape[0], -1)


def _stream(words: np.ndarray, requant: LayerRequant, is_carried: bool) -> np.ndarray:
    """uint32 [pairs, words and constants]."""
    first, second = _constants(requant)
    if requant.form == LINE:
        head = [second["add"]]
        tail = [first["add"], first["mul"], second["mul"]]
    elif requant.form == FINE:
        head = [second["add"]]
        tail = [first["add"], *_columns(first, "mul", "addend"), *_columns(second, "mul", "addend")]
    elif is_carried:
        head = [(second["offset"] << PRESCALE) + second["less"]]
        tail = [(first["offset"] << 6) + first["less"], first["mul"], second["mul"]]
    else:
        head = []
        tail = [*_columns(first, "twice", "mul", "addend", "less")]
        tail += _columns(second, "twice", "mul", "addend", "less")
    columns = [words[:, 0], *head, *words[:, 1:].T, *tail]
    return (np.stack(columns, 1) & 0xFFFFFFFF).astype(np.uint32)


def _columns(channel: Mapping[str, np.ndarray], *names: str) -> list[np.ndarray]:
    return [channel[name] for name in names]


def _constants(requant: LayerRequant) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Constants of the first and second channels of all pairs, by name."""
    names = ("mul", "add", "addend", "offset")
    values = {name: getattr(requant, name) for name in names}
    values["twice"] = 2 * requant.offset
    values["less"] = np.maximum(requant.right - 1, 0)
    odd = requant.mul.size % 2
    padded = {name: np.pad(array, (0, odd)) for name, array in values.items()}
    first = {name: array[0::2] for name, array in padded.items()}
    second = {name: array[1::2] for name, array in padded.items()}
    return first, second
