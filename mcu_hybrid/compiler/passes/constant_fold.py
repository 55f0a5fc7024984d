"""Operators that compute the same for every input of the graph become constants.

Here: operators all of whose operands are constant, operators whose result nothing reads, and
operators that compute again what another one has computed. Exact: the constants come from the
operators' own references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.passes.edit import Edit, counted, same_quant
from mcu_hybrid.graph.types import ABSENT, Graph, Op, Tensor


def constant_fold(graph: Graph, metadata: Mapping[str, Any] | None = None) -> Graph:
    """Return the graph without operators whose operands are all constant."""
    edit = Edit(graph)
    folded = 0
    for op in graph.ops:
        operands = [None if i == ABSENT else edit.tensors[i] for i in op.inputs]
        fixed = all(t is None or t.is_const for t in operands)
        if not fixed or set(op.outputs) & set(graph.outputs):
            continue
        data = [None if t is None else t.data for t in operands]
        results = ops.operator(op.kind).reference(edit.now(), op, data)
        for index, result in zip(op.outputs, results, strict=True):
            edit.tensors[index] = replace(edit.tensors[index], data=np.ascontiguousarray(result))
        edit.remove(op)
        folded += 1
    left = len(edit.ops)
    done = edit.finish()
    if done is graph:
        return graph
    unread = counted(left - len(done.ops), "operator")
    note = f"constant_fold: {counted(folded, 'operator')} became constants, {unread} had no reader"
    return done.with_(notes=(*done.notes, note))


def merge_equal(graph: Graph, metadata: Mapping[str, Any] | None = None) -> Graph:
    """Return the graph without operators that repeat another one on the same operands."""
    edit = Edit(graph)
    merged = 0
    first: list[Op] = []
    for op in graph.ops:
        current = edit.current(op)
        twin = next((o for o in first if _equal(edit, o, current)), None)
        if twin is None or set(op.outputs) & set(graph.outputs):
            first.append(current)
            continue
        edit.remove(current)
        for old, new in zip(current.outputs, twin.outputs, strict=True):
            edit.read_instead(old, new)
        merged += 1
    return edit.finish("merge_equal", f"{counted(merged, 'operator')} computed what another did")


def _equal(edit: Edit, a: Op, b: Op) -> bool:
    if a.kind != b.kind or a.attrs != b.attrs or len(a.inputs) != len(b.inputs):
        return False
    if len(a.outputs) != len(b.outputs):
        return False
    results = zip(a.outputs, b.outputs, strict=True)
    same = all(_alike(edit.tensors[x], edit.tensors[y]) for x, y in results)
    return same and all(_same_operand(edit, x, y) for x, y in zip(a.inputs, b.inputs, strict=True))


def _same_operand(edit: Edit, a: int, b: int) -> bool:
    if a == b:
        return True
    if ABSENT in (a, b):
        return False
    x, y = edit.tensors[a], edit.tensors[b]
    return (
        x.data is not None
        and y.data is not None
        and _alike(x, y)
        and np.array_equal(x.data, y.data)
    )


def _alike(a: Tensor, b: Tensor) -> bool:
    return (a.shape, a.dtype) == (b.shape, b.dtype) and same_quant(a, b)
