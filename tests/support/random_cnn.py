"""Random small int8 CNNs with what passes look for: dead channels, PADs, views, chains of tables.

Scales are chosen from what a layer can reach, so that values are spread and not all saturated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops import (
    broadcast,
    concatenation,
    conv2d,
    depthwise_conv2d,
    fully_connected,
    leaky_relu,
    mean,
    pad,
    pooling,
    relu,
    reshape,
    softmax,
    transpose,
)
from mcu_hybrid.ops.padding import SAME, VALID, Window
from mcu_hybrid.quant import QuantParams
from mcu_hybrid.reference.verify import verify

NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)


class Net:
    """Grows a graph; every method returns the index of the tensor that it makes."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        self.rng = rng
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.input = self.tensor(shape, self.quant())

    def quant(self, scale: float | None = None) -> QuantParams:
        """A zero point that is often an end of int8, as after a ReLU."""
        scale = float(np.float32(self.rng.uniform(0.01, 0.1) if scale is None else scale))
        return QuantParams((scale,), (int(self.rng.choice([-128, -128, 0, 3, -37, 127])),))

    def tensor(
        self, shape: tuple[int, ...], quant: QuantParams | None, data: np.ndarray | None = None
    ) -> int:
        dtype = "int8" if data is None else str(data.dtype)
        self.tensors.append(Tensor(f"t{len(self.tensors)}", shape, dtype, quant, data))
        return len(self.tensors) - 1

    def ints(self, values: Any) -> int:
        data = np.array(values, np.int32)
        return self.tensor(data.shape, None, data)

    def add_op(
        self, kind: str, inputs: tuple[int, ...], shape: tuple[int, ...], q: QuantParams, attrs: Any
    ) -> int:
        out = self.tensor(shape, q)
        self.ops.append(Op(kind, f"layer{len(self.ops)}", inputs, (out,), attrs))
        return out

    def shape(self, index: int) -> tuple[int, ...]:
        return self.tensors[index].shape

    def q(self, index: int) -> QuantParams:
        return self.tensors[index].require_quant()

    def weights(self, x: int, shape: tuple[int, ...], axis: int, dead: float) -> tuple[int, int]:
        """Weights with rows and columns of zeros, and biases that saturate some channels."""
        channels = shape[axis]
        data = self.rng.integers(-127, 128, shape).astype(np.int8)
        rows = self.rng.random(channels) < dead
        np.moveaxis(data, axis, 0)[rows] = 0
        if self.rng.random() < 0.5 and axis == 0:
            data[..., self.rng.random(shape[-1]) < dead] = 0
        reach = np.abs(data.astype(np.int64)).sum() // channels * 100 + 1000
        bias = self.rng.integers(-reach, reach + 1, channels) // 8
        bias[self.rng.random(channels) < dead] = -reach * 2
        one_scale = self.rng.random() < 0.3
        scales = self.rng.uniform(0.002, 0.02, 1 if one_scale else channels)
        scales = tuple(float(np.float32(s)) for s in scales)
        w = self.tensor(shape, QuantParams(scales, (0,) * len(scales), axis), data)
        real = tuple(float(np.float32(s * self.q(x).scale)) for s in scales)
        b = self.tensor((channels,), QuantParams(real, (0,) * len(real), 0), bias.astype(np.int32))
        return w, b

    def out_quant(self, x: int, w: int) -> QuantParams:
        fan = self.tensors[w].elements // self.shape(w)[self.q(w).axis]
        return self.quant(self.q(x).scale * self.q(w).scale * 127 * 20 * np.sqrt(fan) / 60)

    def window(self, x: int, kernel: tuple[int, int]) -> Window:
        stride, dilation = (int(s) for s in self.rng.choice([1, 1, 2], 2))
        dilation = dilation if stride == 1 else 1
        window = Window((stride, stride), (dilation, dilation), VALID)
        size = self.shape(x)[1:3]
        fits = min(window.out_size((size[0], size[1]), kernel)) >= 1
        padding = VALID if fits and self.rng.random() < 0.5 else SAME
        return replace(window, padding=padding)

    def conv(self, x: int, channels: int, kernel: int, dead: float = 0.3) -> int:
        k = (kernel, int(self.rng.choice([kernel, 1])))
        w, b = self.weights(x, (channels, *k, self.shape(x)[3]), 0, dead)
        inputs = (x, w, b) if self.rng.random() < 0.8 else (x, w)
        window = self.window(x, k)
        out = window.out_size(self.shape(x)[1:3], k)
        attrs = conv2d.Attrs(window, int(self.rng.choice([NONE, RELU, RELU6])))
        return self.add_op("CONV_2D", inputs, (1, *out, channels), self.out_quant(x, w), attrs)

    def depthwise(self, x: int, kernel: int, dead: float = 0.2) -> int:
        multiplier = int(self.rng.choice([1, 1, 1, 2]))
        channels = self.shape(x)[3] * multiplier
        w, b = self.weights(x, (1, kernel, kernel, channels), 3, dead)
        window = self.window(x, (kernel, kernel))
        out = window.out_size(self.shape(x)[1:3], (kernel, kernel))
        attrs = depthwise_conv2d.Attrs(window, multiplier, int(self.rng.choice([NONE, RELU])))
        shape = (1, *out, channels)
        return self.add_op("DEPTHWISE_CONV_2D", (x, w, b), shape, self.out_quant(x, w), attrs)

    def pad(self, x: int, value: int | None = None) -> int:
        sides = self.rng.integers(0, 3, 4)
        before, after = (0, *sides[:2].tolist(), 0), (0, *sides[2:].tolist(), 0)
        shape = tuple(int(b + n + a) for b, n, a in zip(before, self.shape(x), after, strict=True))
        q = self.q(x)
        inputs = (x, self.ints([before, after]))
        if value is not None:
            inputs += (self.tensor((1,), q, np.array([value], np.int8)),)
        kind = "PAD" if value is None else "PADV2"
        return self.add_op(kind, inputs, shape, q, pad.Attrs(before, after, value))

    def unary(self, kind: str, x: int) -> int:
        q, attrs = self.quant(), relu.Attrs()
        if kind == "LOGISTIC":
            q = QuantParams((1 / 256,), (-128,))
        elif kind == "RELU6" or (kind in ("RELU", "QUANTIZE") and self.rng.random() < 0.6):
            q = self.q(x)
        if kind == "LEAKY_RELU":
            attrs = leaky_relu.Attrs(0.1)
        return self.add_op(kind, (x,), self.shape(x), q, attrs)

    def arithmetic(self, kind: str, a: int, b: int) -> int:
        shape = tuple(int(n) for n in np.broadcast_shapes(self.shape(a), self.shape(b)))
        attrs = broadcast.ArithmeticAttrs(int(self.rng.choice([NONE, RELU])))
        return self.add_op(kind, (a, b), shape, self.quant(), attrs)

    def with_constant(self, kind: str, x: int) -> int:
        size = int(self.rng.choice([1, self.shape(x)[-1]]))
        data = self.rng.integers(-128, 128, (size,)).astype(np.int8)
        return self.arithmetic(kind, x, self.tensor((size,), self.quant(), data))

    def pool(self, kind: str, x: int) -> int:
        window = Window((2, 2), (1, 1), SAME)
        shape = (1, *window.out_size(self.shape(x)[1:3], (2, 2)), self.shape(x)[3])
        attrs = pooling.PoolAttrs(window, (2, 2), NONE)
        return self.add_op(kind, (x,), shape, self.q(x), attrs)

    def transpose(self, x: int, perm: tuple[int, ...]) -> int:
        shape = tuple(self.shape(x)[axis] for axis in perm)
        inputs = (x, self.ints(perm))
        return self.add_op("TRANSPOSE", inputs, shape, self.q(x), transpose.Attrs(perm))

    def reshape(self, x: int, shape: tuple[int, ...]) -> int:
        return self.add_op("RESHAPE", (x,), shape, self.q(x), reshape.Attrs())

    def mean(self, x: int, axes: tuple[int, ...], keep: bool = False) -> int:
        shape = tuple(
            1 if axis in axes else n
            for axis, n in enumerate(self.shape(x))
            if keep or axis not in axes
        )
        q = self.q(x) if self.rng.random() < 0.5 else self.quant(self.q(x).scale * 0.7)
        return self.add_op("MEAN", (x, self.ints(axes)), shape, q, mean.Attrs(axes, keep))

    def concat(self, a: int, b: int) -> int:
        shape = (*self.shape(a)[:-1], self.shape(a)[-1] + self.shape(b)[-1])
        return self.add_op("CONCATENATION", (a, b), shape, self.q(a), concatenation.Attrs(-1))

    def dense(self, x: int, outputs: int) -> int:
        w, b = self.weights(x, (outputs, self.tensors[x].elements), 0, 0.2)
        attrs = fully_connected.Attrs(NONE)
        return self.add_op("FULLY_CONNECTED", (x, w, b), (1, outputs), self.out_quant(x, w), attrs)

    def softmax(self, x: int) -> int:
        q = QuantParams((1 / 256,), (-128,))
        return self.add_op("SOFTMAX", (x,), self.shape(x), q, softmax.Attrs(1.0))

    def graph(self, outputs: tuple[int, ...]) -> Graph:
        graph = Graph("cnn", tuple(self.tensors), tuple(self.ops), (self.input,), outputs)
        verify(graph)
        return graph


def random_cnn(seed: int) -> Graph:
    """A stem, some random blocks, and one of several heads."""
    rng = np.random.default_rng(seed)
    height, width, channels = rng.integers(5, 12), rng.integers(5, 12), rng.choice([1, 3, 4])
    net = Net(rng, (1, int(height), int(width), int(channels)))
    x = net.conv(net.input, int(rng.choice([4, 6, 8])), int(rng.choice([1, 3])))
    outputs = []
    for _ in range(int(rng.integers(2, 6))):
        x = _block(net, x)
        if rng.random() < 0.1:
            outputs.append(x)
    return net.graph((*outputs, _head(net, x)))


def _block(net: Net, x: int) -> int:
    rng = net.rng
    match int(rng.integers(0, 10)):
        case 0:  # inverted residual
            y = net.conv(x, 2 * net.shape(x)[3], 1)
            y = net.depthwise(net.pad(y) if rng.random() < 0.5 else y, 3)
            y = net.conv(y, net.shape(x)[3], 1)
            return net.arithmetic("ADD", y, x) if net.shape(y) == net.shape(x) else y
        case 1:
            padded = net.pad(net.pad(x)) if rng.random() < 0.3 else net.pad(x)
            a = net.conv(padded, int(rng.choice([4, 8])), 3)
            if rng.random() < 0.5:
                return a
            b = net.conv(padded, int(rng.choice([4, 8])), 3)
            return net.arithmetic("ADD", a, b) if net.shape(a) == net.shape(b) else b
        case 2:
            return net.pool("MAX_POOL_2D", net.pad(x, -128 if rng.random() < 0.7 else 5))
        case 3:
            for _ in range(int(rng.integers(1, 4))):
                kinds = ["RELU", "RELU6", "QUANTIZE", "LEAKY_RELU", "LOGISTIC"]
                x = net.unary(str(rng.choice(kinds)), x)
            return x
        case 4:  # a hard swish in pieces, or what looks like one
            gate = net.with_constant("MUL", net.with_constant("ADD", x))
            return net.arithmetic(str(rng.choice(["MUL", "ADD", "SUB"])), x, gate)
        case 5:
            skip = net.conv(x, 4, 1)
            same = net.add_op("QUANTIZE", (skip,), net.shape(skip), net.q(skip), relu.Attrs())
            return net.concat(skip, same)
        case 6:
            a, b = net.conv(x, 8, 1, dead=0.6), net.conv(x, 8, 1, dead=0.6)
            return net.arithmetic("ADD", a, b) if net.shape(a) == net.shape(b) else a
        case 7:  # there and back, with a function in between
            there = net.transpose(x, (0, 3, 1, 2))
            there = net.unary("RELU", there) if rng.random() < 0.5 else there
            return net.transpose(there, (0, 2, 3, 1))
        case 8:  # what one layer gives, clamped by an operator of its own, or by two
            y = net.conv(x, 4, 1)
            net.ops[-1] = replace(net.ops[-1], attrs=replace(net.ops[-1].attrs, activation=NONE))
            kind, shape = str(rng.choice(["RELU", "RELU6"])), net.shape(y)
            sides = [net.add_op(kind, (y,), shape, net.q(y), relu.Attrs()) for _ in range(2)]
            return net.arithmetic("ADD", *sides) if rng.random() < 0.5 else sides[0]
        case _:
            return net.pool("AVERAGE_POOL_2D", net.depthwise(x, int(rng.choice([3, 5, 7]))))


def _head(net: Net, x: int) -> int:
    rng, (_, height, width, channels) = net.rng, net.shape(x)
    match int(rng.integers(0, 4)):
        case 0:
            x = net.mean(net.mean(net.transpose(x, (0, 3, 1, 2)), (3,)), (2,))
        case 1:
            x = net.reshape(net.transpose(x, (0, 3, 1, 2)), (1, channels * height * width))
        case 2:
            x = net.reshape(net.mean(x, (1, 2), keep=True), (1, channels))
        case _:
            x = net.reshape(x, (1, height * width, channels))
            x = net.reshape(x, (1, height * width * channels))
    x = net.dense(x, 5)
    return net.softmax(x) if rng.random() < 0.5 else x


def macs(graph: Graph) -> int:
    """Multiply-accumulates of all operators."""
    return sum(ops.operator(op.kind).macs(graph, op) for op in graph.ops)
