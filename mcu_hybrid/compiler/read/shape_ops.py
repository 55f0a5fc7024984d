"""Operators that only compute shapes (SHAPE, PACK, a slice of a shape ...) become constants.

Converters write them ahead of a RESHAPE where the batch is dynamic. Sizes are fixed here, so their
values are known. Not here: operators on int8 values (compiler/passes/constant_fold.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcu_hybrid.compiler.read.float_edges import Edges
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import ABSENT, Tensor
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.ops.file_kinds import SHAPE
from mcu_hybrid.ops.shape_values import EVALUATED

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
    if raw.kind == SHAPE:
        return np.array(raw.tensors[raw.inputs[0]].shape)
    operands = [raw.tensors[i].data for i in raw.inputs if i != ABSENT]
    known = [data for data in operands if data is not None]
    if raw.kind not in EVALUATED or len(known) < len(operands):
        return None
    if any(data.size > _MAX_VALUES or data.dtype.kind not in "iu" for data in known):
        return None
    return np.asarray(EVALUATED[raw.kind](raw, known))
