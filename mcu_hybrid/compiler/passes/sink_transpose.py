"""Transposes move towards the outputs, and end where nobody minds the order.

TRANSPOSE then TRANSPOSE is one; TRANSPOSE then MEAN is a MEAN of other axes, then a smaller
TRANSPOSE; TRANSPOSE then a function of one byte is that function, then TRANSPOSE; TRANSPOSE
(and views) then one row of FULLY_CONNECTED is FULLY_CONNECTED with its weights' columns moved.
Exact: the same sums of the same bytes, and one mean after the other keeps both its roundings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.passes.edit import Edit, counted
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops import fully_connected, mean, transpose
from mcu_hybrid.ops.weighted import WEIGHTS


def sink_transpose(graph: Graph, metadata: Mapping[str, Any] | None = None) -> Graph:
    """Return the graph with transposes merged, or moved behind what makes them smaller."""
    edit = Edit(graph)
    moved = 0
    while _step(edit):
        moved += 1
    return edit.finish("sink_transpose", f"{counted(moved, 'transpose')} moved or merged")


def _step(edit: Edit) -> bool:
    for op in edit.ops:
        if not transpose.TRANSPOSE.serves(op):
            continue
        reader = edit.only_reader(op.outputs[0])
        if reader is not None and _sink(edit, op, reader):
            return True
    return False


def _sink(edit: Edit, op: Op[transpose.Attrs], reader: Op[Any]) -> bool:
    """Move the transpose past its reader, or into it; False where that cannot be."""
    if transpose.TRANSPOSE.serves(reader):
        return _merge(edit, op, reader)
    if mean.MEAN.serves(reader):
        return _past_mean(edit, op, reader)
    if fully_connected.FULLY_CONNECTED.serves(reader):
        return _into_weights(edit, op, reader)
    return ops.traits(reader).bytewise and _past_function(edit, op, reader)


def _merge(edit: Edit, op: Op[transpose.Attrs], reader: Op[transpose.Attrs]) -> bool:
    perm = tuple(op.attrs.perm[axis] for axis in reader.attrs.perm)
    edit.remove(op)
    edit.replace_op(reader, _transpose(edit, reader, op.inputs[0], reader.outputs[0], perm))
    return True


def _past_mean(edit: Edit, op: Op[transpose.Attrs], reader: Op[mean.Attrs]) -> bool:
    perm, target = op.attrs.perm, edit.tensors[reader.outputs[0]]
    source = edit.tensors[op.inputs[0]]
    axes = tuple(sorted(perm[axis] for axis in reader.attrs.axes))
    keep = reader.attrs.keep_dims
    left = [axis for axis in range(len(perm)) if keep or axis not in axes]
    shape = tuple(1 if axis in axes else source.shape[axis] for axis in left)
    if not shape:
        return False
    order = [axis for axis in perm if axis in left]
    return _swap(
        edit,
        op,
        replace(reader, inputs=op.inputs[:1], attrs=mean.Attrs(axes, keep)),
        replace(target, name=f"{target.name}/mean", shape=shape),
        tuple(left.index(axis) for axis in order),
    )


def _past_function(edit: Edit, op: Op[transpose.Attrs], reader: Op[Any]) -> bool:
    target = edit.tensors[reader.outputs[0]]
    inner = replace(target, name=f"{target.name}/func", shape=edit.tensors[op.inputs[0]].shape)
    return _swap(edit, op, replace(reader, inputs=op.inputs[:1]), inner, op.attrs.perm)


def _swap(
    edit: Edit, op: Op[transpose.Attrs], first: Op[Any], inner: Tensor, perm: tuple[int, ...]
) -> bool:
    """Let ``first`` write a new tensor, and transpose that into what it wrote before."""
    index = edit.add(inner)
    reader = edit.current(first)
    edit.remove(op)
    edit.insert_before(reader, replace(first, outputs=(index,)))
    edit.replace_op(reader, _transpose(edit, reader, index, reader.outputs[0], perm))
    return True


def _into_weights(edit: Edit, op: Op[transpose.Attrs], reader: Op[fully_connected.Attrs]) -> bool:
    shape, index = edit.tensors[op.outputs[0]].shape, reader.inputs[WEIGHTS]
    weights = edit.tensors[index]
    if weights.data is None or weights.shape[1] != edit.tensors[op.outputs[0]].elements:
        return False
    inverse = np.argsort(op.attrs.perm)
    moved = weights.data.reshape(-1, *shape).transpose(0, *(inverse + 1)).reshape(weights.shape)
    inputs = (op.inputs[0], edit.add_const(weights, moved), *reader.inputs[2:])
    edit.remove(op)
    edit.replace_op(reader, replace(reader, inputs=inputs))
    return True


def _transpose(
    edit: Edit, like: Op[Any], source: int, target: int, perm: tuple[int, ...]
) -> Op[transpose.Attrs]:
    data = np.array(perm, np.int32)
    operand = edit.add(Tensor(f"{like.name}/perm", data.shape, "int32", None, data))
    return transpose.TRANSPOSE.make(like.name, (source, operand), (target,), transpose.Attrs(perm))
