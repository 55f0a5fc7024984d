"""TRANSPOSE int8 up to rank 5: bytes are only moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import KernelCall, Monotone, Operands, Operator, RawOp, Shape, Tflm, Traits
from mcu_hybrid.ops.checks import (
    require_int8,
    require_operands,
    require_same_quant,
    require_shape,
    where,
)
from mcu_hybrid.ops.strided_copy import LOOPS, element_strides, lower_copy


@dataclass(frozen=True)
class Attrs:
    """The input dimension that each output dimension shows."""

    perm: tuple[int, ...]


def read(raw: RawOp) -> Attrs:
    """Reads the constant permutation."""
    return Attrs(perm=tuple(int(axis) for axis in raw.const(1).reshape(-1)))


def check(graph: Graph, op: Op[Attrs]) -> None:
    """A permutation of the dimensions of an int8 tensor whose quantisation stays."""
    require_operands(graph, op, inputs=2)
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    require_int8(op, source, target)
    require_same_quant(op, source, target)
    perm, rank = op.attrs.perm, len(source.shape)
    if rank > LOOPS:
        raise UnsupportedOp(
            f"rank {rank}; at most {LOOPS} is supported (as in TFLM)",
            "merge dimensions with a reshape before the transpose",
            key=where(op),
        )
    if sorted(perm) != list(range(rank)):
        raise ModelError(
            f"{list(perm)} is not a permutation of {rank} dimensions",
            "export the model again; negative axes are not allowed here",
            key=where(op),
        )
    require_shape(op, target, tuple(source.shape[axis] for axis in perm))


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in numpy."""
    return (np.ascontiguousarray(np.transpose(np.asarray(inputs[0]), op.attrs.perm)),)


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall | None:
    """The call of mh_strided_copy_s8, or None where only dimensions of size 1 move."""
    strides = element_strides(graph.tensor(op.inputs[0]).shape)
    extents = list(graph.tensor(op.outputs[0]).shape)
    return lower_copy(graph, op, 0, extents, [strides[axis] for axis in op.attrs.perm])


def shapes(raw: RawOp) -> list[Shape]:
    """The input's dimensions in their new order."""
    return [tuple(raw.shape(0)[axis] for axis in read(raw).perm)]


TRANSPOSE = Operator(
    "TRANSPOSE",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    traits=Traits(moves=True, monotone=Monotone.ALL, tflm=Tflm("AddTranspose", has_int8=True)),
    shapes=shapes,
)
