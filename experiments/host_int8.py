"""The int8 path over whole splits: the integer reference, many images at a time.

Convolutions are sums of products of small integers, so torch's float32 gives them exactly while no
sum can reach 2**24 (float64 where one could); all else is the operators' own numpy. The first
images of every call are run through reference/interp.py too, which the device equals bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.nn import functional

from mcu_hybrid import ops
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.weighted import bias_of, factors, weights_of
from mcu_hybrid.quant import multiply_by_quantized_multiplier
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.images import to_int8

CHUNK = 32  # images at a time: their maps stay in the cache
CHECKED = 2  # images of a call that are run twice
_EXACT = 1 << 24  # float32 holds all integers up to here
_FLOAT32 = 1e-4  # more than float32 loses in a product below 256
_TABLES = ("HARD_SWISH", "LOGISTIC", "TANH", "LUT")  # one int8 in, one int8 out
_EVERY = np.arange(256, dtype=np.uint8).view(np.int8)


def run(graph: Graph, x: np.ndarray) -> list[np.ndarray]:
    """Outputs [N, ...] of uint8 NHWC images, the device's own integers.

    Raises:
        SystemExit: they differ from the interpreter's, which would be a fault of this module.
    """
    return [np.concatenate(column) for column in zip(*chunks(graph, x), strict=True)]


def chunks(graph: Graph, x: np.ndarray) -> Iterator[list[np.ndarray]]:
    """``run``, a part of the images at a time: for outputs that are too large to keep."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the parts are small: more threads only wait for each other
    try:
        yield from _chunks(graph, x)
    finally:
        torch.set_num_threads(threads)


def _chunks(graph: Graph, x: np.ndarray) -> Iterator[list[np.ndarray]]:
    for start in range(0, len(x), CHUNK):
        images = to_int8(graph, x[start : start + CHUNK])
        outputs = _run(graph, images)
        for i in range(min(CHECKED, len(images)) if start == 0 else 0):
            for have, want in zip(outputs, interp.run(graph, [images[i][None]]), strict=True):
                if not np.array_equal(have[i], want[0]):
                    raise SystemExit("the batched int8 path differs from the interpreter")
        yield outputs


def _run(graph: Graph, images: np.ndarray) -> list[np.ndarray]:
    values = {graph.inputs[0]: images}
    for op in graph.ops:
        operands = [None if i == ABSENT else values.get(i, graph.tensor(i).data) for i in op.inputs]
        batched = [i in values for i in op.inputs]
        values.update(zip(op.outputs, _results(graph, op, operands, batched), strict=True))
    return [values[i] for i in graph.outputs]


def _results(
    graph: Graph, op: Op, operands: Sequence[np.ndarray | None], batched: Sequence[bool]
) -> Sequence[np.ndarray]:
    """The outputs [N, ...] of one operator; ``batched`` says which operands hold N images."""
    first = np.asarray(operands[0])
    reference = ops.operator(op.kind).reference
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return (_requantise(graph, op, _sums(graph, op, first)),)
    if op.kind in _TABLES:
        table = reference(graph, op, [_EVERY])[0]
        return (table[first.view(np.uint8)],)
    if op.kind == "AVERAGE_POOL_2D" and op.attrs.kernel == first.shape[1:3]:
        return (_mean(graph, op, first),)
    if op.kind in ("ADD", "SUB", "MUL") and all(batched):
        return tuple(reference(graph, op, operands))
    rows = []
    for i in range(len(first)):
        own = [
            o[i : i + 1] if many and o is not None else o
            for o, many in zip(operands, batched, strict=True)
        ]
        rows.append(reference(graph, op, own))
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def _requantise(graph: Graph, op: Op, sums: torch.Tensor) -> np.ndarray:
    """The int8 output of exact sums [N, height, width, out].

    TFLite rounds twice. A float32 product rounds alike unless it lies nearer to a tie than the
    first rounding and float32 can move it; those few sums are done again in integers. Beyond 256
    float32 is coarser, but there the output is clamped.
    """
    channels = sums.shape[-1]
    mult, shift = factors(graph, op, channels)
    bias = bias_of(graph, op)
    total = sums if bias is None else sums + torch.as_tensor(bias.reshape(-1)).to(sums.dtype)
    real = total * torch.as_tensor(np.ldexp(mult.astype(np.float64), shift - 31)).to(sums.dtype)
    floor = torch.floor(real)
    rest = real.sub_(floor)
    reach = np.ldexp(0.5, np.minimum(shift, 0)) + _FLOAT32
    close = (rest - 0.5).abs_() <= torch.as_tensor(reach).to(sums.dtype)
    result = floor.add_(rest >= 0.5)
    at = np.nonzero(close.numpy().reshape(-1))[0]
    exact = multiply_by_quantized_multiplier(
        total.numpy().reshape(-1)[at].astype(np.int64), mult[at % channels], shift[at % channels]
    )
    result.view(-1)[torch.as_tensor(at)] = torch.as_tensor(exact).to(sums.dtype)
    quant = graph.tensor(op.outputs[0]).require_quant()
    low, high = activation_range(op.attrs.activation, quant)
    return result.add_(quant.zero_point).clamp_(low, high).to(torch.int8).numpy()


def _mean(graph: Graph, op: Op, maps: np.ndarray) -> np.ndarray:
    """The average of whole maps, ties away from zero."""
    sums = maps.astype(np.int64).sum((1, 2), keepdims=True)
    count = maps.shape[1] * maps.shape[2]
    mean = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
    quant = graph.tensor(op.outputs[0]).require_quant()
    return np.clip(mean, *activation_range(op.attrs.activation, quant)).astype(np.int8)


def _sums(graph: Graph, op: Op, data: np.ndarray) -> torch.Tensor:
    """Exact sums of products [N, height, width, out] of a batch of maps; no bias."""
    weights = weights_of(graph, op)
    depthwise = op.kind == "DEPTHWISE_CONV_2D"
    kernel = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
    worst = np.abs(kernel.astype(np.int64)).sum((1, 2, 3)).max() * 255
    bias = bias_of(graph, op)
    worst += 0 if bias is None else int(np.abs(bias.astype(np.int64)).max())
    kind = torch.float32 if worst < _EXACT else torch.float64
    zero_point = graph.tensor(op.inputs[0]).require_quant().zero_point
    maps = torch.as_tensor(data).permute(0, 3, 1, 2).to(kind) - zero_point
    window, size = op.attrs.window, (int(kernel.shape[2]), int(kernel.shape[3]))
    top, left = window.before(data.shape[1:3], size)
    bottom, right = window.after(data.shape[1:3], size)
    made = functional.conv2d(
        functional.pad(maps, (left, right, top, bottom)),
        torch.as_tensor(np.ascontiguousarray(kernel)).to(kind),
        stride=window.stride,
        dilation=window.dilation,
        groups=data.shape[3] // kernel.shape[1],
    )
    return made.permute(0, 2, 3, 1).contiguous()
