"""Layers whose sums lie at and before every rounding step.

A requantisation is a staircase; a wrong constant moves at least one of its steps, and an output
next to that step shows it. Random inputs seldom are there. Not here: changing constants
(step_faults.py) and running the cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.exact.breakpoints import Channels, thresholds
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops import conv2d, depthwise_conv2d
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.padding import VALID, Window
from mcu_hybrid.ops.weighted import factors
from mcu_hybrid.quant import QuantParams
from tests.support.arm_rig import ArmCase

# Weights with which any sum can be written, whatever the input's zero point is. With the wide ones
# no two channels can be packed with a carry.
DIGITS = (127, -127, 11, -11, 1, -1)
WIDE_DIGITS = ((-127, 127, 11, -11, 1, -1), (-128, 127, 11, -11, 1, -1))


@dataclass(frozen=True)
class Steps:
    """A graph of one operator, its input, and the accumulators [outputs, channels] that it gives.

    ``every`` [n, channels] are all accumulators around and between the steps.
    """

    graph: Graph
    x: np.ndarray
    sums: np.ndarray
    every: np.ndarray

    @property
    def op(self) -> Op:
        """The only operator."""
        return self.graph.ops[0]

    def case(self, choice: Choice, name: str) -> ArmCase:
        """The choice's call, judged by the operator's reference."""
        constants = [self.graph.tensor(i).data for i in self.op.inputs[1:]]
        outputs = ops.operator(self.op.kind).reference(self.graph, self.op, [self.x, *constants])
        label = f"{name} {choice.call.kernel}"
        return ArmCase(label, choice.call, (self.x,), outputs, choice.scratch_bytes)


@dataclass(frozen=True)
class Style:
    """What a layer's requantisation depends on.

    ``factors`` are the ends of their range. With ``is_mixed`` the accumulators of all channels but
    the second have one sign: a line fits them, whatever the zero point is.
    """

    activation: int
    zero_point: int
    in_zp: int
    factors: tuple[float, float] = (0.012, 0.4)
    is_mixed: bool = False


def conv_steps(
    rng: np.random.Generator,
    style: Style,
    kernel: tuple[int, int],
    in_c: int,
    stride: tuple[int, int] | None = None,
    digits: Sequence[Sequence[int]] = (DIGITS,),
    out_c: int = 4,
) -> Steps:
    """A convolution whose windows do not overlap (at least every second one, with a stride)."""
    weights = np.zeros((out_c, *kernel, in_c), np.int64)
    places = rng.permutation(weights[0].size)[: len(DIGITS)]
    for channel, flat in enumerate(weights.reshape(out_c, -1)):
        flat[:] = rng.integers(-2, 3, flat.size)
        flat[places] = digits[channel % len(digits)]
    layer = _Layer(rng, style, weights.reshape(out_c, -1))
    targets = [(c, s) for c in range(out_c) for s in layer.targets(c)]
    patches = np.zeros((len(targets), weights[0].size), np.int64)
    for n, (c, total) in enumerate(targets):
        patches[n] = layer.inputs(weights[c].reshape(-1), total)
    columns = 16
    rows = -(-len(patches) // columns)
    patches = np.pad(patches, ((0, rows * columns - len(patches)), (0, 0)))
    grid = patches.reshape(rows, columns, *kernel, in_c).transpose(0, 2, 1, 3, 4)
    centred = grid.reshape(1, rows * kernel[0], columns * kernel[1], in_c)
    window = Window(stride or kernel, (1, 1), VALID)
    assert all(k % s == 0 for k, s in zip(kernel, window.stride, strict=True))
    return layer.finish("CONV_2D", centred, weights, conv2d.Attrs(window, style.activation), 0)


def depthwise_steps(
    rng: np.random.Generator,
    style: Style,
    kernel: tuple[int, int],
    stride: int,
    channels: int = 4,
    multiplier: int = 1,
) -> Steps:
    """A depthwise convolution; the windows of the steps do not overlap, others lie between them."""
    out_c = channels * multiplier
    flat = rng.integers(-2, 3, (out_c, kernel[0] * kernel[1]))
    for row in flat:
        row[rng.permutation(row.size)[: len(DIGITS)]] = DIGITS
    layer = _Layer(rng, style, flat)
    each = max(len(layer.targets(c)) for c in range(out_c))
    patches = np.zeros((each * multiplier, channels, flat.shape[1]), np.int64)
    for c in range(out_c):
        for n, total in enumerate(layer.targets(c)):
            at = each * (c % multiplier) + n
            patches[at, c // multiplier] = layer.inputs(flat[c], total)
    columns = 24
    rows = -(-len(patches) // columns)
    patches = np.pad(patches, ((0, rows * columns - len(patches)), (0, 0), (0, 0)))
    step = [-(-k // stride) * stride for k in kernel]
    centred = np.zeros((1, rows * step[0], columns * step[1], channels), np.int64)
    grid = patches.reshape(rows, columns, channels, *kernel)
    for y in range(kernel[0]):
        for x in range(kernel[1]):
            centred[0, y :: step[0], x :: step[1]] = grid[..., y, x]
    weights = flat.T.reshape(1, *kernel, out_c)
    window = Window((stride, stride), (1, 1), VALID)
    attrs = depthwise_conv2d.Attrs(window, multiplier, style.activation)
    return layer.finish("DEPTHWISE_CONV_2D", centred, weights, attrs, 3)


class _Layer:
    """Quantisation of a layer with weights [out channels, products]."""

    def __init__(self, rng: np.random.Generator, style: Style, weights: np.ndarray) -> None:
        self.style, count = style, len(weights)
        self.least, self.most = -128 - style.in_zp, 127 - style.in_zp
        self.source = QuantParams((0.03125,), (style.in_zp,))
        self.target = QuantParams((0.1,), (style.zero_point,))
        real = np.exp(rng.uniform(*np.log(style.factors), count))
        self.scales = tuple(float(s) for s in np.float32(real * 0.1 / 0.03125))
        self.bias = rng.integers(-500, 501, count).astype(np.int32)
        positive, negative = np.maximum(weights, 0).sum(1), np.minimum(weights, 0).sum(1)
        low = self.least * positive + self.most * negative
        if style.is_mixed:
            self.bias = np.where(np.arange(count) == 1, self.bias, -low).astype(np.int32)
        self.low = low + self.bias
        self.high = self.most * positive + self.least * negative + self.bias
        self._targets: list[np.ndarray] = []

    def targets(self, channel: int) -> np.ndarray:
        """Sums without bias at and before every step."""
        if not self._targets:
            first = thresholds(self.channels())
            both = np.concatenate([first - 1, first], 1)
            both = np.clip(both, self.low[:, None], self.high[:, None]) - self.bias[:, None]
            self._targets = [np.unique(row) for row in both]
        return self._targets[channel]

    def channels(self) -> Channels:
        """The layer's arithmetic and reach."""
        mult, shift = factors(self._graph(), self._graph().ops[0], len(self.scales))
        lo, hi = activation_range(self.style.activation, self.target)
        zp, offset = self.style.zero_point, self.bias.astype(np.int64)
        return Channels(mult, shift, zp, lo, hi, self.low, self.high, offset)

    def _graph(self) -> Graph:
        """Only the quantisation of input, weights and output."""
        quants = (self.source, QuantParams(self.scales, (0,) * len(self.scales)), self.target)
        tensors = tuple(Tensor("t", (1,), "int8", quant) for quant in quants)
        return Graph("quant", tensors, (Op("CONV_2D", "", (0, 1), (2,), None),), (0,), (2,))

    def inputs(self, weights: np.ndarray, total: int) -> np.ndarray:
        """Inputs less the zero point for these weights whose products add up to ``total``."""
        parts = np.zeros(weights.size, np.int64)
        for at in np.argsort(-np.abs(weights), kind="stable"):
            if weights[at]:
                parts[at] = np.clip(np.rint(total / weights[at]), self.least, self.most)
                total -= parts[at] * weights[at]
        return parts

    def finish(
        self, kind: str, centred: np.ndarray, weights: np.ndarray, attrs: Any, axis: int
    ) -> Steps:
        """The graph, with accumulators by the operator's own windows."""
        x = (centred + self.style.in_zp).astype(np.int8)
        count = len(self.scales)
        out = attrs.window.out_size(x.shape[1:3], weights.shape[1:3])
        quant = QuantParams(self.scales, (0,) * count, axis)
        tensors = (
            Tensor("x", x.shape, "int8", self.source),
            Tensor("w", weights.shape, "int8", quant, weights.astype(np.int8)),
            Tensor("b", (count,), "int32", None, self.bias),
            Tensor("y", (1, *out, count), "int8", self.target),
        )
        op = Op(kind, "steps", (0, 1, 2), (3,), attrs)
        graph = Graph("steps", tensors, (op,), (0,), (3,))
        ops.operator(kind).check(graph, op)
        sums = _sums(centred[0], weights, attrs, kind) + self.bias
        for channel in range(count):
            wanted = self.targets(channel) + self.bias[channel]
            assert np.isin(wanted, sums[:, channel]).all(), channel
        return Steps(graph, x, sums, self._every())

    def _every(self) -> np.ndarray:
        """All accumulators from before the first to behind the last step [n, channels]."""
        ends = [(self.targets(c)[[0, -1]] + self.bias[c]) for c in range(len(self.bias))]
        low = np.maximum(np.array([e[0] for e in ends]) - 300, self.low)
        high = np.minimum(np.array([e[1] for e in ends]) + 300, self.high)
        return np.minimum(low + np.arange(int((high - low).max()) + 1)[:, None], high)


def _sums(x: np.ndarray, weights: np.ndarray, attrs: Any, kind: str) -> np.ndarray:
    """Accumulators [outputs, channels] without bias."""
    height, width = weights.shape[1:3]
    views = np.lib.stride_tricks.sliding_window_view(x, (height, width), (0, 1))
    views = views[:: attrs.window.stride[0], :: attrs.window.stride[1]]
    if kind == "CONV_2D":
        found = np.einsum("ijcyx,oyxc->ijo", views, weights)
    else:
        repeated = np.repeat(views, attrs.multiplier, 2)
        found = np.einsum("ijcyx,yxc->ijc", repeated, weights[0])
    return found.reshape(-1, found.shape[-1])
