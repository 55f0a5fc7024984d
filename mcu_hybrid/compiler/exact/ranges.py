"""What each tensor can hold: bounds of every element over all inputs of the graph.

Interval arithmetic with the operators' own integer references, so the bounds hold for the bytes
that TFLM computes. Bounds are per element, not per channel: that is what makes borders exact,
where padding changes what a constant channel gives. Not here: what is made of it (passes/).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops import conv2d, depthwise_conv2d, fully_connected
from mcu_hybrid.ops.lut import EVERY_INT8
from mcu_hybrid.ops.weighted import bias_of, requantised, weights_of

WEIGHTED = {
    "CONV_2D": conv2d.sums,
    "DEPTHWISE_CONV_2D": depthwise_conv2d.sums,
    "FULLY_CONNECTED": fully_connected.sums,
}
UNARY = (
    "ELU",
    "GELU",
    "HARD_SWISH",
    "LEAKY_RELU",
    "LOGISTIC",
    "QUANTIZE",
    "RELU",
    "RELU6",
    "RELU_0_TO_1",
    "TABLE",
    "TANH",
)

# Never falling in any operand: the reference of the lower bounds is the lower bound. The factors of
# a requantisation are positive and both of its roundings are monotone.
_MONOTONE = (
    "ADD",
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "EXPAND_DIMS",
    "MAXIMUM",
    "MAX_POOL_2D",
    "MEAN",
    "MINIMUM",
    "PAD",
    "PADV2",
    "RESHAPE",
    "RESIZE_NEAREST_NEIGHBOR",
    "SPLIT",
    "SPLIT_V",
    "SQUEEZE",
    "STRIDED_SLICE",
    "TRANSPOSE",
)


@dataclass(frozen=True)
class Range:
    """Inclusive bounds of a tensor's elements, arrays of its shape and dtype."""

    low: np.ndarray
    high: np.ndarray

    @property
    def is_constant(self) -> np.ndarray:
        """True per element that has one value only."""
        return np.asarray(self.low == self.high)

    def constant_channels(self) -> np.ndarray:
        """True per entry of the last axis each of whose elements has one value only."""
        return np.asarray(self.is_constant.reshape(-1, self.low.shape[-1]).all(0))


def tensor_ranges(graph: Graph) -> dict[int, Range]:
    """Bounds of every constant, graph input and operator output, by tensor index."""
    ranges: dict[int, Range] = {}
    for index, tensor in enumerate(graph.tensors):
        if tensor.data is not None:
            ranges[index] = Range(tensor.data, tensor.data)
    for index in graph.inputs:
        ranges[index] = _everything(graph, index)
    for op in graph.ops:
        ranges.update(zip(op.outputs, _outputs(graph, op, ranges), strict=True))
    return ranges


def sum_ranges(graph: Graph, op: Op, x: Range) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a weighted operator's sums of products [..., out channels], bias not added.

    The products are of weights and inputs less the zero point; padding adds 0.
    """
    sums, weights = WEIGHTED[op.kind], weights_of(graph, op)
    positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
    low = sums(graph, op, x.low, positive) + sums(graph, op, x.high, negative)
    high = sums(graph, op, x.high, positive) + sums(graph, op, x.low, negative)
    return low, high


def accumulator_bounds(graph: Graph, op: Op, x: Range) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest accumulator [out channels] over all positions, bias included."""
    low, high = (side.astype(np.int64) for side in sum_ranges(graph, op, x))
    bias = bias_of(graph, op)
    offset = 0 if bias is None else bias.reshape(-1).astype(np.int64)
    flat = low.reshape(-1, low.shape[-1]), high.reshape(-1, high.shape[-1])
    return flat[0].min(0) + offset, flat[1].max(0) + offset


def _everything(graph: Graph, index: int) -> Range:
    tensor = graph.tensor(index)
    limits = np.iinfo(tensor.dtype)
    return Range(
        np.full(tensor.shape, limits.min, tensor.dtype),
        np.full(tensor.shape, limits.max, tensor.dtype),
    )


def _outputs(graph: Graph, op: Op, ranges: dict[int, Range]) -> tuple[Range, ...]:
    module = ops.module(op.kind)
    if op.kind in WEIGHTED:
        return (_weighted(graph, op, ranges[op.inputs[0]]),)
    if op.kind in UNARY:
        table = module.reference(graph, op, [EVERY_INT8])[0]
        return (_through_table(table, ranges[op.inputs[0]]),)
    operands = [None if i == ABSENT else ranges[i] for i in op.inputs]
    lows = [None if r is None else r.low for r in operands]
    highs = [None if r is None else r.high for r in operands]
    if op.kind in _MONOTONE:
        both = module.reference(graph, op, lows), module.reference(graph, op, highs)
        return tuple(Range(a, b) for a, b in zip(*both, strict=True))
    if op.kind == "SUB":
        low = module.reference(graph, op, [lows[0], highs[1]])[0]
        return (Range(low, module.reference(graph, op, [highs[0], lows[1]])[0]),)
    if op.kind == "MUL":
        # A product over a rectangle has its extremes at the corners; rescaling is monotone.
        corners = [
            module.reference(graph, op, [a, b])[0]
            for a in (lows[0], highs[0])
            for b in (lows[1], highs[1])
        ]
        return (Range(np.minimum.reduce(corners), np.maximum.reduce(corners)),)
    return tuple(_everything(graph, i) for i in op.outputs)


def _weighted(graph: Graph, op: Op, x: Range) -> Range:
    shape = graph.tensor(op.outputs[0]).shape
    low, high = (
        requantised(graph, op, side, op.attrs.activation).reshape(shape)
        for side in sum_ranges(graph, op, x)
    )
    return Range(low, high)


def _through_table(table: np.ndarray, x: Range) -> Range:
    """Smallest and largest entry between two bytes, for tables that rise and fall."""
    ordered = table[np.arange(-128, 128).astype(np.int8).view(np.uint8)]
    low = np.full((256, 256), 127, np.int8)
    high = np.full((256, 256), -128, np.int8)
    for start in range(256):
        low[start, start:] = np.minimum.accumulate(ordered[start:])
        high[start, start:] = np.maximum.accumulate(ordered[start:])
    first, last = (side.astype(np.int64) + 128 for side in (x.low, x.high))
    return Range(low[first, last], high[first, last])
