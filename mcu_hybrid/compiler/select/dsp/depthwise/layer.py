"""A depthwise layer as the fast kernels see it: weights by channel, ranges, and the way they walk.

Not here: which kernel takes it (match.py) and its requantisation (pack.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mcu_hybrid.compiler.exact.breakpoints import Channels
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.weighted import bias_of, factors, weights_of
from mcu_hybrid.quant import INT8_MAX, INT8_MIN


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
    is_transposed: bool = False  # rows of the kernel's walk are columns of the map

    def transposed(self) -> Layer:
        """The same layer with rows and columns exchanged; the maps stay where they lie."""
        return replace(
            self,
            weights=self.weights.transpose(0, 2, 1),
            in_shape=(self.in_shape[1], self.in_shape[0], self.in_shape[2]),
            out_shape=(self.out_shape[1], self.out_shape[0], self.out_shape[2]),
            stride=(self.stride[1], self.stride[0]),
            pad=(self.pad[1], self.pad[0]),
            is_transposed=not self.is_transposed,
        )

    def steps(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """Bytes from pixel to pixel and from row to row, as the kernel walks."""
        height, width, channels = shape
        return (height * channels, channels) if self.is_transposed else (channels, width * channels)

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the window."""
        return self.weights.shape[1], self.weights.shape[2]


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


def all_windows_meet_the_map(layer: Layer) -> bool:
    """True where each window sees at least one pixel."""
    for axis in range(2):
        starts = np.arange(layer.out_shape[axis]) * layer.stride[axis] - layer.pad[axis]
        if np.any(starts >= layer.in_shape[axis]) or np.any(starts + layer.kernel[axis] <= 0):
            return False
    return True
