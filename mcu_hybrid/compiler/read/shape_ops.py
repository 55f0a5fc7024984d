"""Operators that only compute shapes (SHAPE, PACK, a slice of a shape ...) become constants.

Converters write them ahead of a RESHAPE where the batch is dynamic. Sizes are fixed here, so their
values are known. Not here: operators on int8 values (compiler/passes/constant_fold.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mcu_hybrid.compiler.read.float_edges import Edges
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import ABSENT, Tensor
from mcu_hybrid.ops import strided_slice
from mcu_hybrid.ops.base import RawOp

_INTEGERS = ("int32", "int64")
_MAX_VALUES = 64  # a shape, not data

Options = Mapping[str, Any]


def fold_shapes(edges: Edges) -> Edges:
    """Return the graph with the results of shape computations as constants, and a note of it."""
    tensors, kept, gone = list(edges.tensors), [], []
    for op in edges.ops:
        value = shape_value(replace(op, tensors=tuple(tensors)))
        if value is None:
            kept.append(op)
            continue
        tensors[op.outputs[0]] = replace(tensors[op.outputs[0]], data=value, shape=value.shape)
        gone.append(op)
    if not gone:
        return edges
    kinds = ", ".join(sorted({op.kind for op in gone}))
    note = f"{len(gone)} operators that compute shapes ({kinds}) are constants here"
    fixed = tuple(tensors)
    ops = tuple(replace(op, tensors=fixed) for op in kept)
    return replace(edges, tensors=fixed, ops=ops, notes=(*edges.notes, note))


def shape_value(raw: RawOp) -> np.ndarray | None:
    """What an operator on shapes gives; None where it is none, or its inputs are not known.

    Raises:
        ModelError: the file gives its output another shape.
    """
    if len(raw.outputs) != 1 or not raw.inputs or raw.inputs[0] == ABSENT:
        return None
    out = raw.tensors[raw.outputs[0]]
    if out.dtype not in _INTEGERS or out.is_const or out.elements > _MAX_VALUES:
        return None
    value = _value(raw, out)
    if value is None:
        return None
    value = np.asarray(value, out.dtype)
    if value.shape != out.shape:
        raise ModelError(
            f"computes a shape of {list(value.shape)} values, its output '{out.name}' has "
            f"{list(out.shape)}",
            "export the model again with fixed dimensions",
            key=f"{raw.kind} '{raw.name}'",
        )
    return value


def _value(raw: RawOp, out: Tensor) -> np.ndarray | None:
    if raw.kind == "SHAPE":
        return np.array(raw.tensors[raw.inputs[0]].shape)
    operands = [raw.tensors[i].data for i in raw.inputs if i != ABSENT]
    known = [data for data in operands if data is not None]
    if raw.kind not in EVALUATED or len(known) < len(operands):
        return None
    if any(data.size > _MAX_VALUES or data.dtype.kind not in "iu" for data in known):
        return None
    return np.asarray(EVALUATED[raw.kind](raw, known))


def _sliced(raw: RawOp, operands: Sequence[np.ndarray]) -> np.ndarray:
    data, attrs = operands[0], strided_slice.read(raw)
    picks: list[slice | int] = []
    for axis, (begin, end, step) in enumerate(
        zip(attrs.begin, attrs.end, attrs.strides, strict=True)
    ):
        if attrs.shrink_mask >> axis & 1:
            picks.append(begin)
            continue
        first = None if attrs.begin_mask >> axis & 1 else begin
        picks.append(slice(first, None if attrs.end_mask >> axis & 1 else end, step))
    return np.asarray(data[tuple(picks)])


def _gathered(raw: RawOp, operands: Sequence[np.ndarray]) -> np.ndarray:
    return np.take(operands[0], operands[1], axis=int(raw.options.get("axis", 0)))


EVALUATED: dict[str, Callable[[RawOp, Sequence[np.ndarray]], np.ndarray]] = {
    "STRIDED_SLICE": _sliced,
    "PACK": lambda raw, ins: np.stack(list(ins), axis=int(raw.options.get("axis", 0))),
    "CONCATENATION": lambda raw, ins: np.concatenate(list(ins), int(raw.options.get("axis", 0))),
    "GATHER": _gathered,
    "CAST": lambda raw, ins: ins[0],
    "ADD": lambda raw, ins: ins[0] + ins[1],
    "SUB": lambda raw, ins: ins[0] - ins[1],
    "MUL": lambda raw, ins: ins[0] * ins[1],
    "SQUEEZE": lambda raw, ins: ins[0].reshape(raw.tensors[raw.outputs[0]].shape),
    "EXPAND_DIMS": lambda raw, ins: ins[0].reshape(raw.tensors[raw.outputs[0]].shape),
    "RESHAPE": lambda raw, ins: ins[0].reshape(raw.tensors[raw.outputs[0]].shape),
}
READ = frozenset({"SHAPE", *EVALUATED})  # operators whose options are read for this
