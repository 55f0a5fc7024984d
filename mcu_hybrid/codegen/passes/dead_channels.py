"""Which channels of which tensors can go, so that nothing that is left computes anything else.

A channel is an entry of a tensor's last axis. Its readers must be able to do without it: it is a
constant whose contribution to their sums is the same at every place (it goes into their bias), or
their weights for it are zero, or what they make of it goes as well. Its writer must be able to
leave it out. Operators that treat channels side by side (depthwise, additions, pools ...) tie the
channels of their operands and results: all go, or none. The largest set without a contradiction is
found by starting from all channels and putting back what some operator needs.

Not here: the rewriting (fold_dead.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from mcu_hybrid.codegen.ranges import UNARY, WEIGHTED, Range, tensor_ranges
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import reshape
from mcu_hybrid.ops.weighted import weights_of

_FULL = ("CONV_2D", "FULLY_CONNECTED")
_BINARY = ("ADD", "MUL", "SUB")
_ALONG = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", *UNARY)


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
    """The set while it shrinks; ``gone`` has one bool per channel of each activation.

    ``readers`` is by position of the operator in the graph.
    """

    graph: Graph
    ranges: dict[int, Range]
    readers: dict[int, Reader] = field(default_factory=dict)
    gone: dict[int, np.ndarray] = field(default_factory=dict)


def find(graph: Graph, *, align: int) -> DeadChannels:
    """Return all channels that can go.

    Args:
        graph: a verified graph.
        align: where a tensor's channels are a multiple of this, what is left of them is, too.
    """
    found = DeadChannels(graph, tensor_ranges(graph))
    for position, op in enumerate(graph.ops):
        if _is_full(graph, op):
            found.readers[position] = _reader(graph, op, found.ranges[op.inputs[0]])
    for index in graph.activations():
        tensor = graph.tensor(index)
        can_go = bool(tensor.shape) and index not in (*graph.inputs, *graph.outputs)
        found.gone[index] = np.full(tensor.shape[-1] if tensor.shape else 1, can_go)
    while True:
        _settle(found)
        if not _put_back(found, align):
            return found


def _is_full(graph: Graph, op: Op) -> bool:
    """True for layers whose outputs each sum over all channels."""
    if op.kind == "FULLY_CONNECTED":
        return weights_of(graph, op).shape[1] % graph.tensor(op.inputs[0]).shape[-1] == 0
    in_c = graph.tensor(op.inputs[0]).shape[-1]
    return op.kind == "CONV_2D" and weights_of(graph, op).shape[3] == in_c


def columns(weights: np.ndarray, channels: int) -> np.ndarray:
    """Weights of a full layer as [outputs, all else, channels]; a view."""
    return weights.reshape(weights.shape[0], -1, channels)


def _reader(graph: Graph, op: Op, x: Range) -> Reader:
    weights = weights_of(graph, op)
    channels = x.low.shape[-1]
    per_channel = columns(weights, channels)
    absorbs = ~per_channel.any(1)
    adds = np.zeros(absorbs.shape, np.int64)
    zero_point = graph.tensor(op.inputs[0]).require_quant().zero_point
    for channel in np.flatnonzero(x.constant_channels()):
        alone = np.full(x.low.shape, zero_point, x.low.dtype)
        alone[..., channel] = x.low[..., channel]
        if np.all(alone == zero_point):
            absorbs[:, channel] = True
            continue
        # With all else at the zero point, the layer's sums are this channel's contribution.
        sums = WEIGHTED[op.kind](graph, op, alone, weights)
        sums = sums.reshape(-1, sums.shape[-1]).astype(np.int64)
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
    gone, graph = found.gone, found.graph
    if position in found.readers:
        live = ~gone[op.outputs[0]]
        gone[op.inputs[0]] &= found.readers[position].absorbs[live].all(0)
        return
    ties = _TIES.get(op.kind)
    groups = None if ties is None else ties(graph, op)
    tied = set() if groups is None else {t for group in groups for t, _, _ in group}
    for index in (*op.inputs, *op.outputs):
        if index in gone and index not in tied:
            gone[index][:] = False
    for group in groups or ():
        views = [gone[t][start : start + size] for t, start, size in group]
        width = min(view.size for view in views)
        together = np.logical_and.reduce([_folded(view, group[0], width) for view in views])
        for view in views:
            view[:] = _unfolded(together, group[0], view.size)


# A group is a list of (tensor, first channel, channels) whose channels stand side by side. Where
# sizes differ, ``_Repeat`` in the first place says how the larger ones repeat the smaller ones.
_Member = tuple[int, int, int]
_Group = list[_Member]
