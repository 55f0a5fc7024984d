"""The int8 graph that a genome's export would give, made directly: milliseconds, no TensorFlow.

Weights are random and scales are those of unit-variance layers after batch norm. Arena, layers and
weight bytes do not depend on them; instructions do a little (a channel's scale decides how cheaply
it is requantised). tests/unit/test_search_graph.py holds the difference to a real export.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcu_hybrid.compiler.passes import run_passes
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.nets.genome import Block, Genome, blocks, last_width, map_size
from mcu_hybrid.ops import (
    add,
    broadcast,
    conv2d,
    depthwise_conv2d,
    fully_connected,
    pad,
    pooling,
    reshape,
    route_features,
)
from mcu_hybrid.ops.activation import NONE, RELU, RELU6
from mcu_hybrid.ops.average_pool2d import AVERAGE_POOL_2D
from mcu_hybrid.ops.base import A, Operator
from mcu_hybrid.ops.padding import SAME, VALID, Window
from mcu_hybrid.quant import QuantParams
from mcu_hybrid.reference.verify import verify

ROUTER_HIDDEN = 32  # as training's default (router_hidden)
# Plausible ones, for a network that has no weights yet.
_IMAGE = (1 / 255, -128, 0.3)  # scale, zero point, second moment of what the tensor holds
_POSITIVE = (6 / 255, -128, 0.5)  # after ReLU6
_SIGNED = (8 / 255, -3, 1.0)
_FEATURES = (1 / 127, 0, 0.3)
_EXACT = (_IMAGE, _FEATURES)  # given by definition; other scales are those of some data
Kind = tuple[float, int, float]


def graph_of(genome: Genome, channels: int, classes: int, router: int = ROUTER_HIDDEN) -> Graph:
    """The linked graph (logits, route score, entropy) of base and router, verified.

    Args:
        channels: of the image.
        router: hidden units of the router; 0 for the network alone (output: logits).
    """
    net = _Net(int(genome.digest, 16), (1, *genome.size, channels))
    activation = RELU6 if genome.activation == "relu6" else RELU
    x = net.convolution(net.image, genome.stem, 3, genome.stem_stride, activation)
    for block in blocks(genome):
        x = _block(net, x, block, activation)
    if genome.head:
        x = net.convolution(x, genome.head, 1, 1, activation)
    if map_size(genome) != (1, 1):
        x = net.pool(x)
    x = net.add(reshape.RESHAPE, (x,), (1, last_width(genome)), None, reshape.Attrs())
    logits = net.dense(x, classes, NONE, _SIGNED, "logits")
    made = _linked(net, logits, classes, router) if router else net.graph((logits,))
    return made.with_(name=genome.describe())


def _block(net: _Net, x: int, block: Block, activation: int) -> int:
    """Expansion, depthwise, projection; the sum with the input where shapes allow."""
    made = net.convolution(x, block.hidden, 1, 1, activation) if block.expands else x
    made = net.depthwise(made, block.kernel, block.stride, activation)
    made = net.convolution(made, block.out_c, 1, 1, NONE)
    if not block.residual:
        return made
    attrs = broadcast.ArithmeticAttrs(NONE)
    return net.add(add.ADD, (x, made), net.shape(x), _SIGNED, attrs)


def _linked(net: _Net, logits: int, classes: int, hidden: int) -> Graph:
    """The router's two small layers behind an input of their own, linked as exports are."""
    n = route_features.top_of(classes) + 1
    features = net.tensor((1, n), net.scaled(_FEATURES), name="route_features")
    net.moments[features] = _FEATURES[2]
    score = net.dense(net.dense(features, hidden, RELU, _POSITIVE), 1, NONE, _SIGNED, "route_score")
    scale = net.quant(logits).scale
    attrs = route_features.make_attrs(classes, scale, [0.5] * n, [0.5] * n, _FEATURES[0], 0)
    names = {name: name for name in ("logits", "route_features", "route_score")}
    graph = net.graph((logits, score), (features,))
    return run_passes(graph, {**names, "features": attrs.to_json()})


class _Net:
    """Grows a graph layer by layer; methods return the index of the tensor that they make."""

    def __init__(self, seed: int, shape: tuple[int, ...]) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.moments: dict[int, float] = {}  # mean squares of the tensors' real values
        self.image = self.tensor(shape, self.scaled(_IMAGE))
        self.moments[self.image] = _IMAGE[2]

    def tensor(
        self,
        shape: Sequence[int],
        quant: QuantParams | None,
        data: np.ndarray | None = None,
        dtype: str = "int8",
        name: str = "",
    ) -> int:
        name = name or f"t{len(self.tensors)}"
        self.tensors.append(Tensor(name, tuple(shape), dtype, quant, data))
        return len(self.tensors) - 1

    def scaled(self, kind: Kind) -> QuantParams:
        """A quantisation; scales that come from data are no round figures, nor are these."""
        spread = 1.0 if kind in _EXACT else self.rng.uniform(0.7, 1.4)
        return QuantParams((float(np.float32(kind[0] * spread)),), (kind[1],))

    def shape(self, index: int) -> tuple[int, ...]:
        return self.tensors[index].shape

    def quant(self, index: int) -> QuantParams:
        return self.tensors[index].require_quant()

    def graph(self, outputs: tuple[int, ...], more_inputs: tuple[int, ...] = ()) -> Graph:
        """The verified graph."""
        inputs = (self.image, *more_inputs)
        graph = Graph("search", tuple(self.tensors), tuple(self.ops), inputs, outputs)
        verify(graph, after="graph_of")
        return graph

    def add(
        self,
        own: Operator[A],
        inputs: tuple[int, ...],
        shape: Sequence[int],
        q: Kind | None,
        attrs: A,
        name: str = "",
    ) -> int:
        """An operator; without ``q`` its output is quantised as its input."""
        out = self.tensor(shape, self.scaled(q) if q else self.quant(inputs[0]), name=name)
        self.moments[out] = q[2] if q else self.moments[inputs[0]]
        self.ops.append(own.make(f"layer{len(self.ops)}", inputs, (out,), attrs))
        return out

    def convolution(self, x: int, after: int, kernel: int, stride: int, activation: int) -> int:
        """Convolution with bias, as batch norm leaves it."""
        window, x = self.window(x, kernel, stride)
        weights = self.weights(x, (after, kernel, kernel, self.shape(x)[3]), axis=0)
        q = _SIGNED if activation == NONE else _POSITIVE
        out = (1, *window.out_size(_size(self.shape(x)), (kernel, kernel)), after)
        return self.add(conv2d.CONV_2D, (x, *weights), out, q, conv2d.Attrs(window, activation))

    def depthwise(self, x: int, kernel: int, stride: int, activation: int) -> int:
        window, x = self.window(x, kernel, stride)
        channels = self.shape(x)[3]
        weights = self.weights(x, (1, kernel, kernel, channels), axis=3)
        out = (1, *window.out_size(_size(self.shape(x)), (kernel, kernel)), channels)
        attrs = depthwise_conv2d.Attrs(window, 1, activation)
        return self.add(depthwise_conv2d.DEPTHWISE_CONV_2D, (x, *weights), out, _POSITIVE, attrs)

    def dense(self, x: int, after: int, activation: int, q: Kind, name: str = "") -> int:
        weights = self.weights(x, (after, self.shape(x)[-1]), axis=0)
        attrs = fully_connected.Attrs(activation)
        return self.add(fully_connected.FULLY_CONNECTED, (x, *weights), (1, after), q, attrs, name)

    def pool(self, x: int) -> int:
        """The mean over the whole map."""
        size = _size(self.shape(x))
        attrs = pooling.PoolAttrs(Window(size, (1, 1), VALID), size, NONE)
        return self.add(AVERAGE_POOL_2D, (x,), (1, 1, 1, self.shape(x)[3]), None, attrs)

    def window(self, x: int, kernel: int, stride: int) -> tuple[Window, int]:
        """The window, and the map it reads: torch pads evenly, TFLite with stride 2 does not."""
        if stride == 1 or kernel == 1:
            return Window((stride, stride), (1, 1), SAME), x
        half, shape = kernel // 2, self.shape(x)
        widths = np.array([[0, 0], [half, half], [half, half], [0, 0]], np.int32)
        amounts = self.tensor(widths.shape, None, widths, "int32")
        padded = (1, shape[1] + 2 * half, shape[2] + 2 * half, shape[3])
        attrs = pad.Attrs((0, half, half, 0), (0, half, half, 0), None)
        made = self.add(pad.PAD, (x, amounts), padded, None, attrs)
        return Window((stride, stride), (1, 1), VALID), made

    def weights(self, x: int, shape: tuple[int, ...], axis: int) -> tuple[int, int]:
        """Weights and bias of outputs with variance 1, one scale per output channel."""
        fan_in = int(np.prod(shape)) // shape[axis]
        spread = (fan_in * self.moments[x]) ** -0.5
        real = self.rng.standard_normal(shape) * spread
        axes = tuple(i for i in range(len(shape)) if i != axis)
        real -= real.mean(axes, keepdims=True)  # batch norm takes the mean off
        scales = (np.abs(real).max(axes) / 127).astype(np.float32)
        wide = scales.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        data = np.clip(np.rint(real / wide), -127, 127).astype(np.int8)
        steps = self.quant(x).scale * scales
        bias = np.rint(self.rng.standard_normal(shape[axis]) * 0.3 / steps).astype(np.int32)
        q = QuantParams(tuple(map(float, scales)), (0,) * len(scales), axis)
        return self.tensor(shape, q, data), self.tensor(bias.shape, None, bias, "int32")


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[1], shape[2]
