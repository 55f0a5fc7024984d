"""Which channels of which tensors can go, so that what is left computes the same as before.

A channel is an entry of a tensor's last axis. Its readers must be able to do without it: it is a
constant whose contribution to their sums is the same at every place (it goes into their bias), or
their weights for it are zero, or what they make of it goes as well. Its writer must be able to
leave it out. Operators that treat channels side by side (depthwise, additions, pools ...) tie the
channels of their operands and results: all go, or none. The largest set without a contradiction is
found by starting from all channels and putting back what some operator needs.

Not here: the rewriting (fold_dead.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.exact.ranges import Range, tensor_ranges
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import conv2d, fully_connected
from mcu_hybrid.ops.weighted import weights_of


@dataclass(frozen=True)
class Reader:
    """What a layer that sums over channels makes of channels it could do without.

    ``absorbs`` [outputs, channels]: the channel adds the same to this output everywhere.
    ``adds`` [outputs, channels]: what it adds, where ``absorbs`` holds; else 0.
    """

    absorbs: np.ndarray
    adds: np.ndarray


@dataclass
class DeadChannels:
    """``gone`` has one bool per channel of each activation; it shrinks while it is searched.

    ``readers`` has the layers that sum over channels, by position in the graph.
    """

    graph: Graph
    ranges: dict[int, Range]
    readers: dict[int, Reader] = field(default_factory=dict)
    gone: dict[int, np.ndarray] = field(default_factory=dict)

    def kept(self, tensor: int) -> np.ndarray:
        """The channels of a tensor that stay."""
        return np.flatnonzero(~self.gone[tensor])


def find(graph: Graph, *, align: int) -> DeadChannels:
    """Return all channels that can go.

    Args:
        graph: a verified graph.
        align: where a tensor's channels are a multiple of this, what is left of them is, too.
    """
    found = DeadChannels(graph, tensor_ranges(graph))
    for position, op in enumerate(graph.ops):
        if _sums_over_channels(graph, op):
            found.readers[position] = _reader(graph, op, found.ranges[op.inputs[0]])
    for index in graph.activations():
        tensor = graph.tensor(index)
        is_inner = tensor.shape != () and index not in (*graph.inputs, *graph.outputs)
        found.gone[index] = np.full(tensor.shape[-1] if tensor.shape else 1, is_inner)
    while True:
        _settle(found)
        if not _put_back(found, align):
            return found


def per_channel(weights: np.ndarray, channels: int) -> np.ndarray:
    """Weights of a layer that sums over channels as [outputs, all else, channels]; a view."""
    return weights.reshape(weights.shape[0], -1, channels)


def _sums_over_channels(graph: Graph, op: Op) -> bool:
    """True for layers each of whose outputs sums over all channels (of all places, or a window)."""
    shape = graph.tensor(op.inputs[0]).shape
    if fully_connected.FULLY_CONNECTED.serves(op):
        return weights_of(graph, op).shape[1] % (shape[-1] if shape else 1) == 0
    return conv2d.CONV_2D.serves(op) and weights_of(graph, op).shape[3] == shape[-1]


def _reader(graph: Graph, op: Op, x: Range) -> Reader:
    weighted, weights, channels = ops.traits(op).weighted, weights_of(graph, op), x.low.shape[-1]
    assert weighted is not None, op.kind
    split = per_channel(weights, channels)
    absorbs = ~split.any(1)
    adds = np.zeros(absorbs.shape, np.int64)
    for channel in np.flatnonzero(x.constant_channels()):
        values = x.low[..., channel : channel + 1]
        part = split[:, :, channel]
        if weights.ndim == 4:
            part = part.reshape(*weights.shape[:3], 1)
        sums = weighted.sums(graph, op, values, part)
        sums = sums.reshape(-1, sums.shape[-1])
        steady = (sums == sums[0]).all(0)
        absorbs[:, channel] |= steady
        adds[:, channel] = np.where(steady, sums[0], 0)
    return Reader(absorbs, adds)


def _settle(found: DeadChannels) -> None:
    """Put back what operators need until nothing changes."""
    before = -1
    while before != (left := sum(int(gone.sum()) for gone in found.gone.values())):
        before = left
        for position, op in enumerate(found.graph.ops):
            _apply(found, position, op)


def _apply(found: DeadChannels, position: int, op: Op) -> None:
    gone = found.gone
    if position in found.readers:
        if op.inputs[0] in gone:
            live = ~gone[op.outputs[0]]
            gone[op.inputs[0]] &= found.readers[position].absorbs[live].all(0)
        return
    ties = [(t, labels) for t, labels in ops.operator(op.kind).ties(found.graph, op) if t in gone]
    together = np.ones(max((labels.max() for _, labels in ties), default=0) + 1, bool)
    for tensor, labels in ties:
        np.logical_and.at(together, labels, gone[tensor])
    for tensor, labels in ties:
        gone[tensor] &= together[labels]  # a tensor may be listed twice
    listed = {t for t, _ in ties}
    for tensor in (*op.inputs, *op.outputs):
        if tensor in gone and tensor not in listed:
            gone[tensor][:] = False


def _put_back(found: DeadChannels, align: int) -> bool:
    """Put back as many channels as alignment asks for; False where none is missing."""
    changed = False
    for gone in found.gone.values():
        step = align if gone.size % align == 0 else 1
        left = int(gone.size - gone.sum())
        missing = max(-(-left // step) * step, step) - left
        gone[np.flatnonzero(gone)[:missing]] = False
        changed |= missing > 0
    return changed
