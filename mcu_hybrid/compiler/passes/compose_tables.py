"""Chains of functions of one byte become one table.

QUANTIZE, RELU, LOGISTIC and the like are functions of one byte; so are ADD and MUL with a constant
of one value, and whatever is built from these on one tensor (a hard swish in pieces). Exact: the
table is what the chain's own references give for all 256 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.passes.edit import Edit, counted
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops import table as table_op
from mcu_hybrid.ops.lut import EVERY_INT8


@dataclass(frozen=True)
class ByteFunction:
    """A tensor whose bytes are ``table[(uint8) byte of root]``, place by place."""

    root: int
    table: np.ndarray


def compose_tables(graph: Graph, metadata: Mapping[str, Any] | None = None) -> Graph:
    """Return the graph with each chain of functions of one byte replaced by its last table."""
    edit = Edit(graph)
    known: dict[int, ByteFunction] = {}
    composed = 0
    for op in graph.ops:
        function = byte_function(graph, op, _passable(edit, op, known))
        if function is None:
            continue
        known[op.outputs[0]] = function
        if ops.traits(op).bytewise and op.inputs[0] == function.root:
            continue  # runs as a table as it is
        attrs = table_op.Attrs(function.table.astype(np.int8).tobytes())
        edit.replace_op(op, table_op.TABLE.make(op.name, (function.root,), op.outputs, attrs))
        composed += 1
    return edit.finish("compose_tables", f"{counted(composed, 'table')} took the place of chains")


def byte_function(graph: Graph, op: Op, known: Mapping[int, ByteFunction]) -> ByteFunction | None:
    """The function of one byte that this operator computes, or None.

    Args:
        graph: the graph.
        op: the operator.
        known: operands that are functions of another tensor's bytes, and may be seen through.
    """
    if not ops.traits(op).pointwise or ABSENT in op.inputs:
        return None
    moving = {i for i in op.inputs if not graph.tensor(i).is_const}
    through = {i: known.get(i, ByteFunction(i, EVERY_INT8)) for i in moving}
    if len({f.root for f in through.values()}) != 1:
        through = {i: ByteFunction(i, EVERY_INT8) for i in moving}
    if len({f.root for f in through.values()}) != 1:
        return None
    root = next(iter(through.values())).root
    if graph.tensor(root).shape != graph.tensor(op.outputs[0]).shape:
        return None
    operands = []
    for index in op.inputs:
        data = graph.tensor(index).data
        if data is None:
            operands.append(through[index].table)
        elif np.all(data == data.reshape(-1)[0]):
            operands.append(data.reshape(-1)[:1])
        else:
            return None
    return ByteFunction(root, ops.operator(op.kind).reference(graph, op, operands)[0])


def _passable(edit: Edit, op: Op, known: Mapping[int, ByteFunction]) -> dict[int, ByteFunction]:
    """Operands that nothing but this operator reads: seeing through them saves their operator."""
    return {i: known[i] for i in op.inputs if i in known and _is_private(edit, op, i)}


def _is_private(edit: Edit, op: Op, tensor: int) -> bool:
    readers = edit.graph.consumers(tensor)
    return tensor not in edit.graph.outputs and len(readers) == 1 and readers[0] is op
