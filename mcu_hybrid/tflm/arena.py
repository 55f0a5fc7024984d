"""How large an arena TFLM needs: an upper bound, computed without running TFLM.

TFLM plans its memory on the device, so the need is known exactly only after AllocateTensors (the
firmware reports it as ``arena_bytes``). The array must exist at link time all the same. The head
(activations, scratch) repeats TFLM's greedy planner; the tail (structures, per-channel tables) was
fitted to cores with 32-bit pointers, with TFLM's own kernels and with CMSIS-NN (no MVE).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops import traits
from mcu_hybrid.ops.average_pool2d import AVERAGE_POOL_2D
from mcu_hybrid.ops.conv2d import CONV_2D
from mcu_hybrid.ops.depthwise_conv2d import DEPTHWISE_CONV_2D
from mcu_hybrid.ops.mean import MEAN

_ALIGN = 16  # TFLM's own (MicroArenaBufferAlignment)
_CHANNEL_BYTES = 8  # multiplier and shift of an output channel
_TENSOR_BYTES = 12  # TfLiteEvalTensor
_OP_BYTES = 144  # node, registration, options and kernel data: at most this much on average
_MODEL_BYTES = 512  # interpreter, allocator, planner, input and output tensors
_PLAN_BYTES = 80  # per buffer, while it plans, where the activations will lie


@dataclass(frozen=True)
class _Buffer:
    """A block of ``size`` bytes that lives from step ``first`` to step ``last`` (inclusive)."""

    size: int
    first: int
    last: int


def arena_bound(parts: Sequence[Graph]) -> int:
    """Bytes that one arena shared by the interpreters of these graphs needs at most."""
    heads = [max(_greedy(_buffers(part)), _planning(part)) for part in parts]
    return _aligned(max(heads) + sum(_tail(part) for part in parts))


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _planning(graph: Graph) -> int:
    return _PLAN_BYTES * (len(tuple(graph.activations())) + len(graph.ops))


def _tail(graph: Graph) -> int:
    used = set(graph.inputs).union(*(set(op.inputs) | set(op.outputs) for op in graph.ops))
    channels = sum(_channels(graph, op) for op in graph.ops)
    tensors = _TENSOR_BYTES * len(used - {ABSENT})
    return _MODEL_BYTES + _OP_BYTES * len(graph.ops) + tensors + _CHANNEL_BYTES * channels


def _channels(graph: Graph, op: Op) -> int:
    """Output channels that have a multiplier of their own."""
    if traits(op).weighted is None:
        return 0
    return graph.tensor(op.outputs[0]).shape[-1]


def _buffers(graph: Graph) -> list[_Buffer]:
    """Activations in TFLM's order (tensor index), then the scratch of each operator."""
    first = dict.fromkeys(graph.inputs, 0)
    last = dict.fromkeys(graph.inputs, 0)
    for step, op in enumerate(graph.ops, 1):
        for tensor in op.outputs:
            first.setdefault(tensor, step)
            last[tensor] = step
        for tensor in op.inputs:
            if tensor in first:
                last[tensor] = step
    last.update(dict.fromkeys(graph.outputs, len(graph.ops)))
    found = [_Buffer(_aligned(graph.tensor(t).bytes), first[t], last[t]) for t in sorted(first)]
    for step, op in enumerate(graph.ops, 1):
        scratch = _scratch(graph, op)
        if scratch:
            found.append(_Buffer(_aligned(scratch), step, step))
    return found


def _scratch(graph: Graph, op: Op) -> int:
    """What the kernels of TFLM or CMSIS-NN ask for, whichever is more."""
    is_conv, is_depthwise = CONV_2D.serves(op), DEPTHWISE_CONV_2D.serves(op)
    if is_conv or is_depthwise:
        _, height, width, depth = graph.tensor(op.inputs[1]).shape
        if is_conv and height == width == 1:
            return 0  # no columns to gather
        if is_depthwise and depth != graph.tensor(op.inputs[0]).shape[-1]:
            return 0  # a multiplier: not by columns
        columns = 2 if is_conv else 1
        return 2 * columns * height * width * (-(-depth // 4) * 4)  # int16 columns
    if AVERAGE_POOL_2D.serves(op):
        return 4 * graph.tensor(op.inputs[0]).shape[-1]
    if MEAN.serves(op):
        return 4 * graph.tensor(op.outputs[0]).elements
    return 0


def _greedy(buffers: Sequence[_Buffer]) -> int:
    """Largest first, each at the lowest offset that is free for as long as it lives."""
    placed: list[tuple[int, _Buffer]] = []
    for _, buffer in sorted(enumerate(buffers), key=lambda item: (-item[1].size, -item[0])):
        offset = 0
        for start, other in sorted(placed, key=lambda item: item[0]):
            if other.first > buffer.last or other.last < buffer.first:
                continue
            if start - offset >= buffer.size:
                break
            offset = max(offset, start + other.size)
        placed.append((offset, buffer))
    return max((offset + b.size for offset, b in placed), default=0)
