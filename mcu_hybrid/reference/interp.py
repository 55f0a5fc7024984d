"""Runs a graph in integer numpy: the living definition that C and TFLM are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.errors import DataError
from mcu_hybrid.graph.types import ABSENT, Graph
from mcu_hybrid.ops.checks import require_no_state


@overload
def run(
    graph: Graph, inputs: Sequence[np.ndarray], keep: Literal[False] = False
) -> list[np.ndarray]: ...
@overload
def run(
    graph: Graph, inputs: Sequence[np.ndarray], keep: Literal[True]
) -> dict[int, np.ndarray]: ...


def run(
    graph: Graph, inputs: Sequence[np.ndarray], keep: bool = False
) -> list[np.ndarray] | dict[int, np.ndarray]:
    """Return the graph's outputs, or with ``keep`` every tensor that was computed, by index.

    Args:
        graph: a verified graph.
        inputs: one array per graph input, of its dtype and shape.
        keep: also return inner tensors (and hold all of them in memory).

    Raises:
        DataError: the inputs are not what the graph takes.
        UnsupportedOp: the graph has a state, which would not outlive the call.
    """
    values = _checked(graph, inputs)
    last = {} if keep else _last_use(graph)
    for position, op in enumerate(graph.ops):
        operands = [None if i == ABSENT else values.get(i, graph.tensor(i).data) for i in op.inputs]
        results = ops.operator(op.kind).reference(graph, op, operands)
        values.update(zip(op.outputs, results, strict=True))
        for index in last.get(position, ()):
            del values[index]
    return values if keep else [values[i] for i in graph.outputs]


def _checked(graph: Graph, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    if len(inputs) != len(graph.inputs):
        raise DataError(
            f"{graph.name} takes {len(graph.inputs)} inputs, got {len(inputs)}",
            "give one array per input, in order",
        )
    for op in graph.ops:
        for tensor in (*graph.in_tensors(op), *graph.out_tensors(op)):
            require_no_state(tensor, op)
    for index, array in zip(graph.inputs, inputs, strict=True):
        tensor = graph.tensor(index)
        if array.shape != tensor.shape or str(array.dtype) != tensor.dtype:
            raise DataError(
                f"input '{tensor.name}' is {tensor.dtype} {list(tensor.shape)}, got "
                f"{array.dtype} {list(array.shape)}",
                "quantise and reshape the input as the model asks",
            )
    return dict(zip(graph.inputs, inputs, strict=True))


def _last_use(graph: Graph) -> dict[int, list[int]]:
    """Tensors that nothing reads after an operator, by the operator's position."""
    position = {}
    for i, op in enumerate(graph.ops):
        for index in (*op.inputs, *op.outputs):
            if index != ABSENT and not graph.tensor(index).is_const:
                position[index] = i
    dead: dict[int, list[int]] = {}
    for index, i in position.items():
        if index not in graph.outputs:
            dead.setdefault(i, []).append(index)
    return dead
