"""What each tensor can hold: bounds of every element over all inputs of the graph.

Interval arithmetic with the operators' own integer references, so the bounds hold for the bytes
that TFLM computes. Bounds are per element, not per channel: that is what makes borders exact,
where padding changes what a constant channel gives. Not here: what is made of it (passes/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops.base import Monotone, Operator
from mcu_hybrid.ops.lut import EVERY_INT8
from mcu_hybrid.ops.weighted import bias_of, requantised, weights_of


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


def sum_ranges(graph: Graph, op: Op[Any], x: Range) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a weighted operator's sums of products [..., out channels], bias not added.

    The products are of weights and inputs less the zero point; padding adds 0.
    """
    weighted, weights = ops.traits(op).weighted, weights_of(graph, op)
    assert weighted is not None, op.kind
    sums = weighted.sums
    positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
    low = sums(graph, op, x.low, positive) + sums(graph, op, x.high, negative)
    high = sums(graph, op, x.high, positive) + sums(graph, op, x.low, negative)
    return low, high


def accumulator_bounds(graph: Graph, op: Op[Any], x: Range) -> tuple[np.ndarray, np.ndarray]:
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


def _outputs(graph: Graph, op: Op[Any], ranges: dict[int, Range]) -> tuple[Range, ...]:
    own = ops.operator(op.kind)
    if own.traits.weighted is not None:
        return (_weighted(graph, op, ranges[op.inputs[0]]),)
    if own.traits.bytewise:
        table = own.reference(graph, op, [EVERY_INT8])[0]
        return (_through_table(table, ranges[op.inputs[0]]),)
    operands = [None if i == ABSENT else ranges[i] for i in op.inputs]
    # Factors of a requantisation are positive and both of its roundings are monotone, so what is
    # monotone in real numbers is so in the reference's bytes.
    if own.traits.monotone is Monotone.ALL:
        lows = own.reference(graph, op, [None if r is None else r.low for r in operands])
        highs = own.reference(graph, op, [None if r is None else r.high for r in operands])
        return tuple(Range(a, b) for a, b in zip(lows, highs, strict=True))
    if own.traits.monotone is Monotone.EACH:
        return _at_corners(graph, op, own, operands)
    return tuple(_everything(graph, i) for i in op.outputs)


def _at_corners(
    graph: Graph, op: Op[Any], own: Operator[Any], operands: Sequence[Range | None]
) -> tuple[Range, ...]:
    """What rises or falls with each operand has its extremes where each is at one of its ends."""
    ends = [(None,) if r is None else (r.low, r.high) for r in operands]
    corners = [own.reference(graph, op, corner) for corner in product(*ends)]
    return tuple(
        Range(np.minimum.reduce(found), np.maximum.reduce(found))
        for found in zip(*corners, strict=True)
    )


def _weighted(graph: Graph, op: Op[Any], x: Range) -> Range:
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
