"""Operators that move no byte go away, or become the view (RESHAPE) that they are.

Here: RESHAPE between equal shapes or before a layer that reads rows; TRANSPOSE, STRIDED_SLICE,
CONCATENATION, SPLIT, PAD, pools and the like that turn out to be views; functions of one byte that
give back what they get. Exact: either no byte moves, which shapes decide, or the function is tried
on every byte that can reach it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.exact.ranges import tensor_ranges
from mcu_hybrid.compiler.passes.compose_tables import byte_function
from mcu_hybrid.compiler.passes.edit import Edit, counted, same_quant
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import concatenation, fully_connected, pooling, reshape


def remove_views(graph: Graph, metadata: Mapping[str, Any] | None = None) -> Graph:
    """Return the graph without operators that change nothing but a shape, where it can be."""
    edit = Edit(graph)
    removed = 0
    for op in graph.ops:
        current = edit.current(op)
        if not ops.traits(current).view and _is_view(edit, current):
            current = _as_reshape(edit, current)
        if ops.traits(current).view:
            removed += _shorten(edit, current)
    removed += _remove_identities(edit)
    return edit.finish("remove_views", f"{counted(removed, 'operator')} that moved no byte")


def _data(op: Op) -> int:
    """The operand whose bytes are moved."""
    return op.inputs[ops.traits(op).data_at]


def _is_view(edit: Edit, op: Op) -> bool:
    """True where each byte of the operand comes out at its own place."""
    traits = ops.traits(op)
    if not (traits.moves or traits.reduces) or len(op.outputs) != 1:
        return False
    if concatenation.CONCATENATION.serves(op) and len(op.inputs) != 1:
        return False
    source, target = edit.tensors[_data(op)], edit.tensors[op.outputs[0]]
    if source.is_const or source.elements != target.elements or not same_quant(source, target):
        return False
    if isinstance(op.attrs, pooling.PoolAttrs) and max(op.attrs.kernel) > 1:
        return False
    places = np.arange(source.elements)
    if traits.moves:
        # Moving bytes does not depend on them: the digits of each place's number tell it all.
        tries = [places >> shift & 255 for shift in (0, 8, 16)]
    else:
        # A mean or maximum of one value each, one function for all places: try every value.
        tries = [places + n & 255 for n in range(0, 256, min(256, source.elements))]
    return all(_passes_through(edit, op, (t - 128).astype(np.int8)) for t in tries)


def _passes_through(edit: Edit, op: Op, flat: np.ndarray) -> bool:
    graph = edit.now()
    operands = [graph.tensor(i).data for i in op.inputs]
    at = op.inputs.index(_data(op))
    operands[at] = flat.reshape(graph.tensor(_data(op)).shape)
    result = ops.operator(op.kind).reference(graph, op, operands)[0]
    return bool(np.array_equal(result.reshape(-1), flat))


def _as_reshape(edit: Edit, op: Op) -> Op:
    new = reshape.RESHAPE.make(op.name, (_data(op),), op.outputs, reshape.Attrs())
    edit.replace_op(op, new)
    return new


def _shorten(edit: Edit, op: Op) -> bool:
    """Read past this view where its shape does not matter; True where it went away."""
    source, target = op.inputs[0], op.outputs[0]
    if edit.tensors[source].is_const:
        return False
    if edit.tensors[source].shape == edit.tensors[target].shape:
        return edit.bypass(op, source)
    before = edit.producer(source)
    if before is not None and ops.traits(before).view:
        new = reshape.RESHAPE.make(op.name, before.inputs[:1], op.outputs, reshape.Attrs())
        edit.replace_op(op, new)
        op, source = new, new.inputs[0]
        if edit.tensors[source].shape == edit.tensors[target].shape:
            return edit.bypass(op, source)
    for reader in edit.consumers(target):
        if fully_connected.FULLY_CONNECTED.serves(reader):  # it reads rows, of whatever shape
            edit.replace_op(reader, replace(reader, inputs=(source, *reader.inputs[1:])))
    if target in edit.graph.outputs or edit.consumers(target):
        return False
    edit.remove(op)
    return True


def _remove_identities(edit: Edit) -> int:
    """Take out functions of one byte that give back every byte that can reach them."""
    graph = edit.now()
    ranges = tensor_ranges(graph)
    removed = 0
    for op in graph.ops:
        current = edit.current(op)
        function = byte_function(edit.now(), current, {})
        if function is None:
            continue
        source, target = edit.tensors[function.root], edit.tensors[op.outputs[0]]
        if source.shape != target.shape or not same_quant(source, target):
            continue
        reach = ranges[function.root]
        reachable = np.arange(reach.low.min(), int(reach.high.max()) + 1, dtype=np.int8)
        if np.array_equal(function.table[reachable.view(np.uint8)], reachable):
            removed += edit.bypass(current, function.root)
    return removed
