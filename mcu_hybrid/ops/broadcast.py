"""What ADD, SUB and MUL share: operands and numpy-style broadcasting.

Broadcasting is brought to four loops: neighbouring dimensions in which an operand is broadcast
alike are merged, so that even rank-5 shapes mostly fit and a plain addition is one loop.
Not here: the arithmetic (each operator's module).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.activation import read_activation
from mcu_hybrid.ops.base import CTable, RawOp, Shape, Ties
from mcu_hybrid.ops.checks import require_int8, require_operands, require_shape, where

LOOPS = 4  # MH_BROADCAST_LOOPS


@dataclass(frozen=True)
class ArithmeticAttrs:
    """The fused activation (ops/activation.py has the numbers)."""

    activation: int


def read_attrs(raw: RawOp) -> ArithmeticAttrs:
    """Read the fused activation; raises UnsupportedOp for one that int8 kernels do not have."""
    return ArithmeticAttrs(read_activation(raw))


def check_binary(graph: Graph, op: Op[object]) -> None:
    """Raise ModelError unless two int8 tensors broadcast to the int8 output."""
    require_operands(graph, op, inputs=2)
    a, b = (graph.tensor(i) for i in op.inputs)
    out = graph.tensor(op.outputs[0])
    require_int8(op, a, b, out)
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ModelError(
            f"shapes {list(a.shape)} and {list(b.shape)} cannot be broadcast together",
            "export the model again; the two operands must have equal dimensions, or 1",
            key=where(op),
        ) from None
    require_shape(op, out, tuple(shape))
    loops(graph, op)


def loops(graph: Graph, op: Op[object]) -> np.ndarray:
    """Three rows of ``LOOPS`` int32: extents, strides of a, strides of b; outermost first."""
    out = graph.tensor(op.outputs[0]).shape
    a, b = (_padded(graph.tensor(i).shape, len(out)) for i in op.inputs)
    merged: list[tuple[int, bool, bool]] = []  # extent, a is broadcast, b is broadcast
    for extent, size_a, size_b in zip(out, a, b, strict=True):
        if extent == 1:
            continue
        here = (size_a == 1, size_b == 1)
        if merged and merged[-1][1:] == here:
            extent *= merged.pop()[0]
        merged.append((extent, *here))
    if len(merged) > LOOPS:
        raise UnsupportedOp(
            f"broadcasting {list(a)} with {list(b)} needs {len(merged)} nested loops",
            f"reshape the operands so that at most {LOOPS} dimensions alternate",
            key=where(op),
        )
    merged = [(1, False, False)] * (LOOPS - len(merged)) + merged
    extents = [extent for extent, _, _ in merged]
    strides_a = _strides(extents, [row[1] for row in merged])
    strides_b = _strides(extents, [row[2] for row in merged])
    return np.array([extents, strides_a, strides_b], np.int32)


def _padded(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (1,) * (rank - len(shape)) + shape


def _strides(extents: list[int], broadcast: list[bool]) -> list[int]:
    """Element strides of an operand that has no data along its broadcast dimensions."""
    strides, step = [0] * len(extents), 1
    for i in reversed(range(len(extents))):
        if not broadcast[i]:
            strides[i] = step
            step *= extents[i]
    return strides


def loop_table(graph: Graph, op: Op[object]) -> CTable:
    """``loops`` as the table that the kernels read."""
    return CTable("loops", "int32_t", loops(graph, op).reshape(-1))


def inplace_binary(graph: Graph, op: Op[object]) -> tuple[tuple[int, int], ...]:
    """The output may lie on an operand of its own shape: each element is read before written."""
    out = graph.tensor(op.outputs[0])
    fits = (not (t := graph.tensor(i)).is_const and t.shape == out.shape for i in op.inputs)
    return tuple((position, 0) for position, ok in enumerate(fits) if ok)


def numpy_operands(
    graph: Graph, op: Op[object], inputs: Sequence[np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Both operands as int64 with their zero points taken off."""
    a, b = (
        np.asarray(array, np.int64) - graph.tensor(index).require_quant().zero_point
        for array, index in zip(inputs, op.inputs, strict=True)
    )
    return a, b


def shapes(raw: RawOp) -> list[Shape]:
    """The output's shape, numpy-style."""
    return [tuple(np.broadcast_shapes(raw.shape(0), raw.shape(1)))]


def ties(graph: Graph, op: Op[object]) -> Ties:
    """An operand that is broadcast along the channels is needed as long as there are any."""
    shape = graph.tensor(op.outputs[0]).shape
    labels = np.arange(shape[-1] if shape else 1)
    sides = {i for i in op.inputs if graph.tensor(i).shape[-1:] == (labels.size,)}
    return [(op.outputs[0], labels), *((i, labels) for i in sides)]
