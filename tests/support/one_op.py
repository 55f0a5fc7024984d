"""Graphs of one operator for the unit tests of ops: no compiler, no judge, no model file."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops.base import CTable, KernelCall, RawOp
from mcu_hybrid.quant import QuantParams

SAME = (0.5, 3)


def tensor(
    name: str, shape: tuple[int, ...], quant: tuple[float, int] | None = SAME, data: Any = None
) -> Tensor:
    """An int8 tensor (with ``quant``) or an int32 constant (without)."""
    if quant is None:
        array = np.asarray(data, np.int32)
        return Tensor(name, array.shape, "int32", None, array)
    params = QuantParams((float(np.float32(quant[0])),), (quant[1],))
    array = None if data is None else np.asarray(data, np.int8).reshape(shape)
    return Tensor(name, shape, "int8", params, array)


def make(
    kind: str, inputs: list[Tensor], outputs: list[Tensor], **options: Any
) -> tuple[Graph, Op]:
    """A graph of one checked operator."""
    graph, op = unchecked(kind, inputs, outputs, **options)
    ops.operator(kind).check(graph, op)
    return graph, op


def unchecked(
    kind: str, inputs: list[Tensor], outputs: list[Tensor], **options: Any
) -> tuple[Graph, Op]:
    """A graph of one operator as the reader would hand it to ``check``."""
    tensors = (*inputs, *outputs)
    ins = tuple(range(len(inputs)))
    outs = tuple(range(len(inputs), len(tensors)))
    attrs = ops.operator(kind).read(RawOp(kind, "layer", ins, outs, options, tensors))
    op = Op(kind, "layer", ins, outs, attrs)
    arguments = tuple(i for i in ins if not tensors[i].is_const)
    return Graph("one", tensors, (op,), arguments, outs), op


def run(kind: str, graph: Graph, op: Op, *arrays: Any) -> tuple[np.ndarray, ...]:
    """The reference on these arrays (constants are filled in)."""
    given = iter(arrays)
    inputs = [t.data if t.data is not None else next(given) for t in graph.in_tensors(op)]
    return ops.operator(kind).reference(graph, op, inputs)


def lowered(kind: str, graph: Graph, op: Op) -> KernelCall:
    """The operator's kernel call."""
    call = ops.operator(kind).lower(graph, op)
    assert call is not None
    return call


def field(call: KernelCall, name: str) -> Any:
    """One field of the call's parameters; the data of a table."""
    value = dict(call.params.fields)[name]
    return value.data if isinstance(value, CTable) else value
