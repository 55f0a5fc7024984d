"""DEPTHWISE_CONV_2D on the DSP kernels: which one takes a layer, in which parts it is computed.

3x3 with stride 1 or 2 has kernels with all weights in registers (dw3); any other kernel with a
horizontal stride of 1 or 2 is Kronecker-packed (dwk); the rest goes straight from the map (dw_any).
Kernels walk along rows or along columns, whichever is cheaper. Not here: the arithmetic of the
outputs (pack.py) and what a call costs (cost.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.schedule.call import kernel_calls
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.dsp.depthwise.call import (
    ANY_WIDTH,
    Cut,
    inplace,
    kernel_call,
    kernel_id,
)
from mcu_hybrid.compiler.select.dsp.depthwise.layer import (
    Layer,
    all_windows_meet_the_map,
    read_layer,
)
from mcu_hybrid.compiler.select.dsp.depthwise.pack import (
    EXACT,
    Form,
    find_form,
    pack1,
    pack2,
    pack_kronecker,
)
from mcu_hybrid.compiler.select.dsp.limits import fit_int16
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.base import KernelId
from mcu_hybrid.ops.depthwise_conv2d import DEPTHWISE_CONV_2D
from mcu_hybrid.quant import INT8_MIN

SCRATCH = 8192
PRESCALE3, PRESCALE_KRONECKER = 8, 11
SEGMENT_BYTES = 256
ROWS3 = (64, 128)  # bytes of a row in a plane
NARROW = (3, 5)  # widths of rows that have kernels of their own
_FIELD = 1 << 20  # sums of Kronecker-packed products stay within +- this


def match(graph: Graph, op: Op, scratch: int = SCRATCH) -> Choice | None:
    """The fast kernel of a depthwise convolution, or None.

    ``scratch``: bytes that strips of a map are cut to, as long as one row fits.
    """
    if not DEPTHWISE_CONV_2D.serves(op):
        return None
    layer = read_layer(graph, op)
    sizes = (*layer.in_shape, *layer.out_shape, *layer.kernel, *layer.stride, *layer.pad)
    is_simple = op.attrs.window.dilation == (1, 1) and fit_int16(sizes)
    if is_simple and all_windows_meet_the_map(layer):
        found = _match3(op, layer, scratch) or _match_kronecker(op, layer, scratch)
        if found is not None:
            return found
    return _match_any(graph, op, layer)


def _match3(op: Op, layer: Layer, scratch: int) -> Choice | None:
    if layer.kernel != (3, 3) or layer.stride not in ((1, 1), (2, 2)) or layer.in_shape[2] < 4:
        return None
    form = find_form(layer, PRESCALE3)
    if form is None:
        return None
    walks = ((layer, form), (layer.transposed(), form.transposed()))
    return _cheapest(_choice3(op, *walk, row, scratch) for walk in walks for row in ROWS3)


def _choice3(op: Op, layer: Layer, form: Form, row: int, scratch: int) -> Choice | None:
    """With planes whose rows have ``row`` bytes."""
    stride = layer.stride[0]
    tile = _tile3(layer, row)
    if tile < 2 or layer.out_shape[1] % tile == 1:
        return None
    most = max((scratch // (4 * row) - 3) // stride + 1, 1)
    strip = _even(layer.out_shape[0], most)
    cut = Cut(strip, tile, 4 * row * ((strip - 1) * stride + 3))
    pack = pack1 if stride == 1 else pack2
    again = pack((form.fixup or form.rows).weights)
    kernel = kernel_id("dw3", (stride, row), form)
    call = kernel_call(op, layer, form, cut, kernel, pack(form.rows.weights), again)
    found = cost.instructions(call, cost.DSP)
    return Choice(call, cut.scratch, inplace(layer, cut), found, form.counts)


def _cheapest(found: Iterable[Choice | None]) -> Choice | None:
    """The cheapest, with the others that may run in place where it may; one of each kernel."""
    kernels: dict[KernelId, Choice] = {}
    for choice in sorted(filter(None, found), key=lambda choice: choice.instructions or 0):
        kernels.setdefault(next(kernel_calls(choice.call)).kernel, choice)
    if not kernels:
        return None
    first, *others = kernels.values()
    kept = (choice for choice in others if set(first.inplace) <= set(choice.inplace))
    return replace(first, others=tuple(kept))


def _tile3(layer: Layer, row: int) -> int:
    """Output columns at a time in planes whose rows have ``row`` bytes."""
    stride, out_w = layer.stride[1], layer.out_shape[1]
    # Two outputs at a time read a word more than they need.
    tile = _even(out_w, (row // 2 - 4) // stride)
    return tile if tile == out_w else tile + tile % 2


def _match_kronecker(op: Op, layer: Layer, scratch: int) -> Choice | None:
    if not _fits_fields(layer.weights):
        return None
    form = find_form(_from_minus_128(layer), PRESCALE_KRONECKER)
    if form is None:
        return None
    if form.name != EXACT:
        flip = np.array([0, 1 << 31])  # the sums' fields begin in the middle of their range
        form = replace(form, rows=replace(form.rows, constants=form.rows.constants + flip))
    walks = [(layer, form)]
    if layer.in_shape[2] >= 4:
        walks.append((layer.transposed(), form.transposed()))
    found = []
    for walk in walks:
        widths = {ANY_WIDTH, *(n for n in NARROW if n == walk[0].out_shape[1])}
        found += [_choice_kronecker(op, *walk, width, scratch) for width in sorted(widths)]
    return _cheapest(found)


def _choice_kronecker(op: Op, layer: Layer, form: Form, width: int, scratch: int) -> Choice | None:
    """With the kernel for rows of this width."""
    phases = layer.stride[1]
    taps = -(-layer.kernel[1] // phases)
    words = max(-(-taps // 2), 2)
    if phases not in (1, 2) or words > 4:
        return None
    cut = _cut_kronecker(layer, words, scratch)
    again = pack_kronecker((form.fixup or form.rows).weights, phases, words)
    packed = pack_kronecker(form.rows.weights, phases, words)
    kernel = kernel_id("dwk", (words, width, phases), form)
    call = kernel_call(op, layer, form, cut, kernel, packed, again)
    found = cost.instructions(call, cost.DSP)
    return Choice(call, cut.scratch, inplace(layer, cut), found, form.counts)


def _fits_fields(weights: np.ndarray) -> bool:
    """No sum of inputs 0 .. 255 times some of a channel's weights leaves its field."""
    flat = weights.reshape(len(weights), -1)
    largest = np.maximum(np.maximum(flat, 0).sum(1), -np.minimum(flat, 0).sum(1))
    return bool(np.all(largest * 255 < _FIELD))


def _from_minus_128(layer: Layer) -> Layer:
    """The layer with inputs that count from -128 instead of the zero point."""
    ch, total = layer.channels, layer.weights.sum((1, 2))
    return replace(layer, channels=replace(ch, offset=ch.offset - (layer.in_zp - INT8_MIN) * total))


def _cut_kronecker(layer: Layer, words: int, limit: int) -> Cut:
    (in_h, in_w, in_c), (out_h, out_w, _) = layer.in_shape, layer.out_shape
    kernel_h, (stride, phases) = layer.kernel[0], layer.stride
    tile = _even(out_w, 6 * ((17 - words) // 3) - 1)
    row_bytes = SEGMENT_BYTES * phases
    is_clipped = layer.in_zp == INT8_MIN
    packed = -(-kernel_h * phases * words // 4) * 2

    def scratch(strip: int) -> int:
        rows = (strip - 1) * stride + kernel_h
        held = min(rows, in_h) if is_clipped else rows
        last_row = -(-(in_w * in_c + 4) // 4) * 4 if in_c < 4 else 0
        return held * row_bytes + 16 * strip + 8 * packed + last_row

    fitting = [n for n in range(1, out_h + 1) if scratch(n) <= limit]
    strip = _even(out_h, max(fitting, default=1))
    return Cut(strip, tile, scratch(strip))


def _match_any(graph: Graph, op: Op, layer: Layer) -> Choice | None:
    if layer.multiplier != 1 or layer.in_shape[2] < 4:
        return None
    own = operator(op.kind).call(graph, op)
    call = replace(own, kernel=KernelId("dw_any"), source="depthwise_any_s8")
    found = cost.instructions(call, cost.DSP)
    return Choice(call, 0, (), found, {"reference": len(layer.weights)})


def _even(total: int, most: int) -> int:
    """The size of parts, as even as possible and at most ``most``."""
    parts = -(-total // most)
    return -(-total // parts)
