"""Channels that no input of the graph can change are taken out; readers get them in their bias.

Exact: ``dead_channels`` shows, over all inputs of the graph, that a channel is one constant per
place and adds the same integer to each sum that reads it, borders included. That integer moves into
the bias; the sums stay as they were, term by term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.passes.dead_channels import DeadChannels, find, per_channel
from mcu_hybrid.compiler.passes.edit import Edit
from mcu_hybrid.graph.types import ABSENT, Graph, Op, Tensor
from mcu_hybrid.ops import depthwise_conv2d, reshape
from mcu_hybrid.ops.weighted import BIAS, WEIGHTS
from mcu_hybrid.quant import QuantParams

ALIGN = 4  # the kernels read channels in groups of four: 47 channels cost more than 48


def fold_dead(
    graph: Graph, metadata: Mapping[str, Any] | None = None, *, align: int = ALIGN
) -> Graph:
    """Return the graph without the channels that can go; ``align`` as in ``dead_channels.find``."""
    found = find(graph, align=align)
    taken = sum(int(gone.sum()) for gone in found.gone.values())
    if not taken:
        return graph
    edit = Edit(graph)
    for index, gone in found.gone.items():
        if gone.any():
            tensor = graph.tensor(index)
            shape = (*tensor.shape[:-1], int((~gone).sum()))
            edit.tensors[index] = replace(tensor, shape=shape)
    for position, op in enumerate(graph.ops):
        touched = [i for i in (*op.inputs, *op.outputs) if i in found.gone and found.gone[i].any()]
        if touched:
            edit.replace_op(op, _narrowed(edit, found, position, op))
    return edit.finish("fold_dead", _summary(found))


def kept_channels(graph: Graph, *, align: int = ALIGN) -> dict[int, np.ndarray]:
    """The channels that stay in each activation, by tensor index: what ``fold_dead`` leaves."""
    found = find(graph, align=align)
    return {index: found.kept(index) for index in found.gone}


def _summary(found: DeadChannels) -> str:
    """What the note says, counted over the outputs of layers with weights."""
    outputs = [op.outputs[0] for op in found.graph.ops if ops.traits(op).weighted]
    constant = sum(int(found.ranges[i].constant_channels().sum()) for i in outputs)
    total = sum(found.gone[i].size for i in outputs)
    taken = sum(int(found.gone[i].sum()) for i in outputs)
    return f"{constant:,} of {total:,} channels are constant, {taken:,} taken out"


def _narrowed(edit: Edit, found: DeadChannels, position: int, op: Op) -> Op:
    """The operator on the channels that are left."""
    if position in found.readers:
        return _narrowed_sums(edit, found, position, op)
    if depthwise_conv2d.DEPTHWISE_CONV_2D.serves(op):
        keep = found.kept(op.outputs[0])
        weights = _sliced(edit.tensors[op.inputs[WEIGHTS]], keep)
        bias = _bias(edit, op, found.gone[op.outputs[0]].size)
        inputs = (op.inputs[0], edit.add(weights), *_new_bias(edit, op, bias, keep))
        in_c = edit.tensors[op.inputs[0]].shape[3]
        return replace(
            op, inputs=inputs, attrs=replace(op.attrs, multiplier=weights.shape[3] // in_c)
        )
    if ops.traits(op).pointwise:
        keep = found.kept(op.outputs[0])
        channels = found.gone[op.outputs[0]].size
        inputs = tuple(
            edit.add(_sliced(edit.tensors[i], keep)) if _runs_along(edit, i, channels) else i
            for i in op.inputs
        )
        return replace(op, inputs=inputs)
    if ops.traits(op).view:
        return reshape.RESHAPE.make(op.name, op.inputs[:1], op.outputs, reshape.Attrs())
    return op


def _runs_along(edit: Edit, index: int, channels: int) -> bool:
    """True for a constant operand that has a value per channel."""
    tensor = edit.tensors[index]
    return tensor.is_const and tensor.shape[-1:] == (channels,)


def _narrowed_sums(edit: Edit, found: DeadChannels, position: int, op: Op) -> Op:
    source, target = op.inputs[0], op.outputs[0]
    weights = edit.tensors[op.inputs[WEIGHTS]]
    assert weights.data is not None
    rows = found.kept(target)
    data, adds = weights.data[rows], np.zeros(rows.size, np.int64)
    if source in found.gone:
        columns, gone = found.kept(source), found.gone[source]
        split = per_channel(data, gone.size)[:, :, columns]
        shape = (*data.shape[1:-1], columns.size) if data.ndim == 4 else (split[0].size,)
        data = split.reshape(rows.size, *shape)
        adds = found.readers[position].adds[rows][:, gone].sum(1)
    narrow = replace(weights, shape=data.shape, quant=_quant(weights, 0, rows))
    bias = _bias(edit, op, weights.shape[0])
    if bias is None and adds.any():
        bias = np.zeros(weights.shape[0], np.int64)
    if bias is not None:
        bias[rows] += adds
    inputs = (source, edit.add_const(narrow, data), *_new_bias(edit, op, bias, rows))
    return replace(op, inputs=inputs)


def _bias(edit: Edit, op: Op, channels: int) -> np.ndarray | None:
    """A copy of the bias [channels] in 64 bits, or None."""
    if len(op.inputs) <= BIAS or op.inputs[BIAS] == ABSENT:
        return None
    data = edit.tensors[op.inputs[BIAS]].data
    assert data is not None and data.size == channels
    return data.reshape(-1).astype(np.int64)


def _new_bias(edit: Edit, op: Op, bias: np.ndarray | None, keep: np.ndarray) -> tuple[int, ...]:
    """The bias operand for the channels that are left: none, or a new constant."""
    if bias is None:
        return ()
    data = bias[keep].astype(np.int32)
    if len(op.inputs) <= BIAS or op.inputs[BIAS] == ABSENT:
        return (edit.add(Tensor(f"{op.name}/bias", data.shape, "int32", None, data)),)
    old = edit.tensors[op.inputs[BIAS]]
    quant = _quant(old, 0, keep) if old.elements == bias.size else old.quant
    return (edit.add_const(replace(old, quant=quant), data),)


def _sliced(tensor: Tensor, keep: np.ndarray) -> Tensor:
    """A constant's channels along its last axis."""
    assert tensor.data is not None
    data = np.ascontiguousarray(tensor.data[..., keep])
    quant = _quant(tensor, len(tensor.shape) - 1, keep)
    return replace(tensor, shape=data.shape, data=data, quant=quant)


def _quant(tensor: Tensor, axis: int, keep: np.ndarray) -> QuantParams | None:
    """The scales of these channels, where each has its own."""
    quant = tensor.quant
    if quant is None or not quant.per_channel:
        return quant
    scales = tuple(quant.scales[i] for i in keep)
    return QuantParams(scales, tuple(quant.zero_points[i] for i in keep), axis)
