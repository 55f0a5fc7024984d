"""TRANSPOSE int8 up to rank 5: bytes are only moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import KernelCall, RawOp, no_macs, no_scratch, not_inplace
from mcu_hybrid.ops.checks import (
    require_int8,
    require_operands,
    require_same_quant,
    require_shape,
    where,
)
from mcu_hybrid.ops.strided_copy import LOOPS, element_strides, lower_copy

KINDS = ("TRANSPOSE",)

macs = no_macs
scratch_bytes = no_scratch
inplace = not_inplace


@dataclass(frozen=True)
class Attrs:
    """The input dimension that each output dimension shows."""

    perm: tuple[int, ...]


def from_tflite(raw: RawOp) -> Attrs:
    """Reads the constant permutation."""
    return Attrs(perm=tuple(int(axis) for axis in raw.const(1).reshape(-1)))


def check(graph: Graph, op: Op) -> None:
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


def reference(graph: Graph, op: Op, inputs: Sequence[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    """The operator in numpy."""
    return (np.ascontiguousarray(np.transpose(np.asarray(inputs[0]), op.attrs.perm)),)


def lower(graph: Graph, op: Op) -> KernelCall | None:
    """The call of mh_strided_copy_s8, or None where only dimensions of size 1 move."""
    strides = element_strides(graph.tensor(op.inputs[0]).shape)
    extents = list(graph.tensor(op.outputs[0]).shape)
    return lower_copy(graph, op, 0, extents, [strides[axis] for axis in op.attrs.perm])
