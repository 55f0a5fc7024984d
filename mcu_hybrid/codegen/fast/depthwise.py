"""DEPTHWISE_CONV_2D on the DSP kernels: which one takes a layer, and its repacked constants.

3x3 with stride 1 or 2 has kernels with all weights in registers; any other kernel with a horizontal
stride of 1 or 2 is summed as polynomials (kernels/cortex_m_dsp/depthwise_poly_s8.c). Not here: the
arithmetic of the outputs (slope.py, requant.py) and what a call costs (dw_cost.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from mcu_hybrid.codegen.breakpoints import Channels
from mcu_hybrid.codegen.fast import Choice, dw_cost
from mcu_hybrid.codegen.fast.slope import Slope, fit_slope
from mcu_hybrid.codegen.requant import LayerRequant, fit_layer
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import module
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.base import CStruct, CTable, KernelCall
from mcu_hybrid.ops.weighted import Field, bias_of, factors, weights_of
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

KINDS = ("DEPTHWISE_CONV_2D",)
SLOPE, EXACT = "slope", "exact"
SCRATCH = 8192  # bytes that strips are cut to, where one row does not need more
PRESCALE3, PRESCALE_POLY = 8, 11
SEGMENT_BYTES = 256
_FIELD = 1 << 20  # sums of polynomials stay within +- this
_REDO_SHARE = 4  # at most one of so many channels is computed twice
_END = 0xFFFF


@dataclass(frozen=True)
class Layer:
    """A depthwise layer as the kernels see it: weights are [out channels, height, width]."""

    weights: np.ndarray
    channels: Channels
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    multiplier: int
    stride: tuple[int, int]
    pad: tuple[int, int]
    in_zp: int
    is_turned: bool = False  # rows of the kernel's walk are columns of the map

    def turned(self) -> Layer:
        """The same layer with rows and columns exchanged; the maps stay where they lie."""
        return replace(
            self,
            weights=self.weights.transpose(0, 2, 1),
            in_shape=(self.in_shape[1], self.in_shape[0], self.in_shape[2]),
            out_shape=(self.out_shape[1], self.out_shape[0], self.out_shape[2]),
            stride=(self.stride[1], self.stride[0]),
            pad=(self.pad[1], self.pad[0]),
            is_turned=not self.is_turned,
        )

    def steps(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """Bytes from pixel to pixel and from row to row, as the kernel walks."""
        height, width, channels = shape
        return (height * channels, channels) if self.is_turned else (channels, width * channels)

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the window."""
        return self.weights.shape[1], self.weights.shape[2]


@dataclass(frozen=True)
class Rows:
    """Constants [channels, n] of some output channels, and the weights that go with them."""

    channels: np.ndarray
    constants: np.ndarray
    weights: np.ndarray

    def turned(self) -> Rows:
        """The same with rows and columns of the weights exchanged."""
        return replace(self, weights=self.weights.transpose(0, 2, 1))


@dataclass(frozen=True)
class Form:
    """A requantisation: its name in functions, all channels, and those that are done again."""

    name: str
    rows: Rows
    redo: Rows | None
    counts: Mapping[str, int]

    def turned(self) -> Form:
        """The form of the layer with rows and columns exchanged."""
        redo = None if self.redo is None else self.redo.turned()
        return replace(self, rows=self.rows.turned(), redo=redo)


@dataclass(frozen=True)
class Cut:
    """The parts in which a layer is computed: output rows and columns at a time, scratch bytes."""

    strip: int
    tile: int
    scratch: int


def match(graph: Graph, op: Op) -> Choice | None:
    """The fast kernel of a depthwise convolution, or None."""
    if op.kind not in KINDS:
        return None
    layer = read_layer(graph, op)
    if op.attrs.window.dilation == (1, 1) and _all_windows_meet_the_map(layer):
        found = _match3(op, layer) or _match_poly(op, layer)
        if found is not None:
            return found
    return _match_any(graph, op, layer)


def read_layer(graph: Graph, op: Op) -> Layer:
    """Shapes, weights and ranges of accumulators of a depthwise operator."""
    weights = weights_of(graph, op)[0].astype(np.int64).transpose(2, 0, 1)
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    window, size = op.attrs.window, (source.shape[1], source.shape[2])
    zero_point, quant = source.require_quant().zero_point, target.require_quant()
    mult, shift = factors(graph, op, len(weights))
    flat = weights.reshape(len(weights), -1)
    positive, negative = np.maximum(flat, 0).sum(1), np.minimum(flat, 0).sum(1)
    bias = bias_of(graph, op)
    offset = np.zeros(len(flat), np.int64) if bias is None else bias.reshape(-1).astype(np.int64)
    least, most = INT8_MIN - zero_point, INT8_MAX - zero_point
    lo, hi = activation_range(op.attrs.activation, quant)
    channels = Channels(
        mult,
        shift,
        quant.zero_point,
        lo,
        hi,
        least * positive + most * negative + offset,
        most * positive + least * negative + offset,
        offset,
    )
    return Layer(
        weights,
        channels,
        (size[0], size[1], source.shape[3]),
        (target.shape[1], target.shape[2], target.shape[3]),
        op.attrs.multiplier,
        window.stride,
        window.before(size, (weights.shape[1], weights.shape[2])),
        zero_point,
    )


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
        return Form(f"{SLOPE}{slope.shift}", _slope_rows(layer, slope), None, counts)
    everything = np.arange(fits.size)
    if missed.size * _REDO_SHARE > fits.size:
        return Form(EXACT, _exact_rows(layer, exact, everything), None, {EXACT: fits.size})
    again = _exact_rows(layer, exact, missed)
    return Form(f"{SLOPE}{slope.shift}", _slope_rows(layer, slope), again, counts)


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


def _call(
    op: Op, layer: Layer, form: Form, cut: Cut, name: str, words: np.ndarray, again: np.ndarray
) -> KernelCall:
    """The call of a kernel; ``words`` and ``again`` are the packed weights of the form's rows."""
    redo: tuple[Field, ...] = (("redo_stream", None), ("redo", None))
    if form.redo is not None:
        numbers = np.append(form.redo.channels, _END).astype(np.uint16)
        redo = (
            ("redo_stream", _stream("redo_stream", again, form.redo)),
            ("redo", CTable("redo", "uint16_t", numbers)),
        )
    fields = (
        ("stream", _stream("stream", words, form.rows)),
        *redo,
        *zip(("in_h", "in_w", "in_c"), layer.in_shape, strict=True),
        *zip(("out_h", "out_w"), layer.out_shape[:2], strict=True),
        *zip(("in_pixel", "in_row"), layer.steps(layer.in_shape), strict=True),
        *zip(("out_pixel", "out_row"), layer.steps(layer.out_shape), strict=True),
        ("multiplier", layer.multiplier),
        *zip(("pad_top", "pad_left"), layer.pad, strict=True),
        ("in_zp", layer.in_zp),
        *zip(("kernel_h", "kernel_w"), layer.kernel, strict=True),
        ("stride_h", layer.stride[0]),
        ("strip", cut.strip),
        ("tile", cut.tile),
        ("lo", layer.channels.lo),
        ("hi", layer.channels.hi),
    )
    source, helpers = _SOURCES[name[2]]
    return KernelCall(
        f"mh_{name}_{form.name}_s8",
        CStruct("mh_dw_params", fields),
        "unary",
        op.inputs[:1],
        op.outputs,
        source,
        helpers,
    )


_SOURCES = {
    "3": ("depthwise3_s8", ("gather_s8", "bound_s8")),
    "p": ("depthwise_poly_s8", ("gather_poly_s8", "gather_s8", "bound_s8")),
}


def _stream(name: str, words: np.ndarray, rows: Rows) -> CTable:
    data = np.concatenate([words, rows.constants], 1) & 0xFFFFFFFF
    return CTable(name, "uint32_t", data.astype(np.uint32).reshape(-1))


# 3x3


def _match3(op: Op, layer: Layer) -> Choice | None:
    if layer.kernel != (3, 3) or layer.stride not in ((1, 1), (2, 2)) or layer.in_shape[2] < 4:
        return None
    form = find_form(layer, PRESCALE3)
    if form is None:
        return None
    found = (_choice3(op, layer, form), _choice3(op, layer.turned(), form.turned()))
    return _cheapest(found)


def _choice3(op: Op, layer: Layer, form: Form) -> Choice | None:
    stride = layer.stride[0]
    tile, row = _tile3(layer)
    if tile < 2 or layer.out_shape[1] % tile == 1:
        return None
    most = max((SCRATCH // (4 * row) - 3) // stride + 1, 1)
    strip = _even(layer.out_shape[0], most)
    cut = Cut(strip, tile, 4 * row * ((strip - 1) * stride + 3))
    pack = _pack1 if stride == 1 else _pack2
    again = pack((form.redo or form.rows).weights)
    name = f"dw3s{stride}w{row}"
    call = _call(op, layer, form, cut, name, pack(form.rows.weights), again)
    cost = dw_cost.cost3(_shape(layer, cut, form), 4 * row)
    return Choice(call, cut.scratch, _inplace(layer, cut), ceil(cost), form.counts)


def _cheapest(found: Iterable[Choice | None]) -> Choice | None:
    return min(filter(None, found), key=lambda choice: choice.instructions or 0, default=None)


def _tile3(layer: Layer) -> tuple[int, int]:
    """Output columns at a time and bytes of a plane's row."""
    stride, out_w = layer.stride[1], layer.out_shape[1]
    # Two outputs at a time read a word more than they need.
    widths = {row: (row // 2 - 4) // stride for row in (64, 128)}
    row = next((row for row, most in widths.items() if out_w <= most), 128)
    tile = _even(out_w, widths[row])
    return (tile if tile == out_w else tile + tile % 2), row


def _word(*places: np.ndarray) -> np.ndarray:
    """One word of four weights per channel, the first in the lowest byte."""
    return sum(((w & 0xFF) << (8 * i) for i, w in enumerate(places)), np.int64(0))


def _pack1(w: np.ndarray) -> np.ndarray:
    """Stride 1: bytes 0 and 2 of a row's word are weights 0 and 1, bytes 1 and 3 weights 1, 2."""
    return np.stack([_word(w[:, y, 0], w[:, y, 1], w[:, y, 1], w[:, y, 2]) for y in range(3)], 1)


def _pack2(w: np.ndarray) -> np.ndarray:
    """Stride 2: weights (0, 1) of rows 0, 1 and 2; weight 2 of rows (0, 1); weight 2 of row 2."""
    words = [
        _word(w[:, 0, 0], w[:, 1, 0], w[:, 0, 1], w[:, 1, 1]),
        _word(w[:, 2, 0], w[:, 0, 2], w[:, 2, 1], w[:, 1, 2]),
        _word(w[:, 2, 2]),
    ]
    return np.stack(words, 1)


# Polynomials


def _match_poly(op: Op, layer: Layer) -> Choice | None:
    if not _fits_fields(layer.weights):
        return None
    form = find_form(_from_minus_128(layer), PRESCALE_POLY)
    if form is None:
        return None
    if form.name != EXACT:
        flip = np.array([0, 1 << 31])  # the sums' fields begin in the middle of their range
        form = replace(form, rows=replace(form.rows, constants=form.rows.constants + flip))
    found = [_choice_poly(op, layer, form)]
    if layer.in_shape[2] >= 4:
        found.append(_choice_poly(op, layer.turned(), form.turned()))
    return _cheapest(found)


def _choice_poly(op: Op, layer: Layer, form: Form) -> Choice | None:
    phases = layer.stride[1]
    taps = -(-layer.kernel[1] // phases)
    words = max(-(-taps // 2), 2)
    if phases not in (1, 2) or words > 4:
        return None
    cut = _cut_poly(layer, words)
    again = _pack_poly((form.redo or form.rows).weights, phases, words)
    packed = _pack_poly(form.rows.weights, phases, words)
    width = {3: "w3", 5: "w5"}.get(layer.out_shape[1], "any")
    call = _call(op, layer, form, cut, f"dwp{words}{width}_s{phases}", packed, again)
    shape = replace(_shape(layer, cut, form), is_clipped=layer.in_zp == INT8_MIN)
    cost = dw_cost.cost_poly(shape, words)
    return Choice(call, cut.scratch, _inplace(layer, cut), ceil(cost), form.counts)


def _fits_fields(weights: np.ndarray) -> bool:
    """No sum of inputs 0 .. 255 times some of a channel's weights leaves its field."""
    flat = weights.reshape(len(weights), -1)
    largest = np.maximum(np.maximum(flat, 0).sum(1), -np.minimum(flat, 0).sum(1))
    return bool(np.all(largest * 255 < _FIELD))


def _from_minus_128(layer: Layer) -> Layer:
    """The layer with inputs that count from -128 instead of the zero point."""
    ch, total = layer.channels, layer.weights.sum((1, 2))
    return replace(
        layer, channels=replace(ch, offset=ch.offset - (layer.in_zp - INT8_MIN) * total)
    )


def _cut_poly(layer: Layer, words: int) -> Cut:
    (in_h, in_w, in_c), (out_h, out_w, _) = layer.in_shape, layer.out_shape
    (kernel_h, kernel_w), (stride, phases) = layer.kernel, layer.stride
    tile = _even(out_w, 6 * ((17 - words) // 3) - 1)
    row_bytes = SEGMENT_BYTES * phases
    is_clipped = layer.in_zp == INT8_MIN
    packed = -(-kernel_h * phases * words // 4) * 2

    def scratch(strip: int) -> int:
        rows = (strip - 1) * stride + kernel_h
        held = min(rows, in_h) if is_clipped else rows
        last_row = -(-(in_w * in_c + 4) // 4) * 4 if in_c < 4 else 0
        return held * row_bytes + 16 * strip + 8 * packed + last_row

    fitting = [n for n in range(1, out_h + 1) if scratch(n) <= SCRATCH]
    strip = _even(out_h, max(fitting, default=1))
    return Cut(strip, tile, scratch(strip))


def _pack_poly(weights: np.ndarray, phases: int, words: int) -> np.ndarray:
    """Bytes (w1, w0) of each word of weights, phase by phase within a row."""
    channels, height, width = weights.shape
    parts = np.zeros((channels, height, phases, 2 * words), np.int64)
    for phase in range(phases):
        taps = weights[:, :, phase::phases]
        parts[:, :, phase, : taps.shape[2]] = taps
    swapped = parts.reshape(channels, -1, 2)[:, :, ::-1].reshape(channels, -1)
    swapped = np.pad(swapped, ((0, 0), (0, -swapped.shape[1] % 8)))
    return _word(*(swapped[:, i::4] for i in range(4)))


# Any window


def _match_any(graph: Graph, op: Op, layer: Layer) -> Choice | None:
    if layer.multiplier != 1 or layer.in_shape[2] < 4:
        return None
    own = module(op.kind).lower(graph, op)
    call = replace(own, function="mh_dw_any_s8", source="depthwise_any_s8", also=("bound_s8",))
    return Choice(call, 0, (), 0, {"reference": len(layer.weights)})


# Both


def _even(total: int, most: int) -> int:
    """The size of parts, as even as possible and at most ``most``."""
    parts = -(-total // most)
    return -(-total // parts)


def _all_windows_meet_the_map(layer: Layer) -> bool:
    """True where each window sees at least one pixel."""
    for axis in range(2):
        starts = np.arange(layer.out_shape[axis]) * layer.stride[axis] - layer.pad[axis]
        if np.any(starts >= layer.in_shape[axis]) or np.any(starts + layer.kernel[axis] <= 0):
            return False
    return True


def _shape(layer: Layer, cut: Cut, form: Form) -> dw_cost.Shape:
    return dw_cost.Shape(
        layer.in_shape,
        layer.out_shape,
        layer.multiplier,
        layer.kernel,
        layer.stride,
        layer.pad,
        cut.strip,
        cut.tile,
        form.name == EXACT,
        0 if form.redo is None else form.redo.channels.size,
    )


def _inplace(layer: Layer, cut: Cut) -> tuple[tuple[int, int], ...]:
    """((0, 0),) where what a strip writes lies on pixels that have all been gathered."""
    (in_h, in_w, _), (out_h, out_w, _) = layer.in_shape, layer.out_shape
    if layer.multiplier != 1 or cut.tile < out_w:
        return ()
    if layer.is_turned and cut.strip < out_h and (in_h, in_w) != (out_h, out_w):
        return ()
    for end in range(cut.strip, out_h + cut.strip, cut.strip):
        rows = (min(end, out_h) - 1) * layer.stride[0] - layer.pad[0] + layer.kernel[0]
        if min(end, out_h) * out_w > min(rows, in_h) * in_w:
            return ()
    return ((0, 0),)
