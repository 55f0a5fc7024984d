"""SPLIT (equal parts) and SPLIT_V (given sizes) int8 along any axis: bytes are only moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import (
    CStruct,
    CTable,
    KernelCall,
    KernelId,
    Monotone,
    Operands,
    Operator,
    RawOp,
    Shape,
    Tflm,
    Traits,
)
from mcu_hybrid.ops.checks import (
    positive_axis,
    require_int8,
    require_operands,
    require_same_quant,
    require_shape,
    where,
    with_size,
)


@dataclass(frozen=True)
class Attrs:
    """Axis (it may count from the back), and the parts' sizes along it; None: equal parts."""

    axis: int
    sizes: tuple[int, ...] | None = None


def read(raw: RawOp) -> Attrs:
    """Reads the constant axis and, for SPLIT_V, the sizes; one may be -1 (what is left)."""
    if raw.kind == "SPLIT":
        return Attrs(axis=int(raw.const(0).reshape(-1)[0]))
    axis = int(raw.const(2).reshape(-1)[0])
    sizes = tuple(int(size) for size in raw.const(1).reshape(-1))
    shape = raw.tensors[raw.inputs[0]].shape
    if sizes.count(-1) == 1:
        whole = shape[positive_axis(f"{raw.kind} '{raw.name}'", axis, len(shape))]
        rest = whole - sum(sizes) - 1
        sizes = tuple(rest if size == -1 else size for size in sizes)
    return Attrs(axis, sizes)


def _data(op: Op[Attrs]) -> int:
    """Position of the tensor that is split: SPLIT takes the axis first."""
    return 1 if op.kind == "SPLIT" else 0


def _parts(attrs: Attrs, whole: int, count: int) -> tuple[int, ...]:
    """Sizes of ``count`` parts of an axis that is ``whole`` long."""
    return (whole // count,) * count if attrs.sizes is None else attrs.sizes


def check(graph: Graph, op: Op[Attrs]) -> None:
    """Parts of the input's quantisation that together are the input."""
    require_operands(graph, op, 2 if op.kind == "SPLIT" else 3, max(1, len(op.outputs)))
    source = graph.tensor(op.inputs[_data(op)])
    targets = graph.out_tensors(op)
    require_int8(op, source, *targets)
    axis = positive_axis(where(op), op.attrs.axis, len(source.shape))
    parts = _parts(op.attrs, source.shape[axis], len(op.outputs))
    if len(parts) != len(targets) or sum(parts) != source.shape[axis] or min(parts) < 1:
        raise ModelError(
            f"{len(targets)} outputs of sizes {list(parts)} do not make up {source.shape[axis]}",
            "export the model again; the parts must fill the axis",
            key=where(op),
        )
    for part, target in zip(parts, targets, strict=True):
        require_same_quant(op, source, target)
        require_shape(op, target, with_size(source.shape, axis, part))


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in numpy."""
    data = np.asarray(inputs[_data(op)])
    axis = op.attrs.axis % data.ndim
    ends = np.cumsum(_parts(op.attrs, data.shape[axis], len(op.outputs)))[:-1]
    return tuple(np.ascontiguousarray(part) for part in np.split(data, ends, axis=axis))


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The call of mh_split_s8: per outer index, one run of bytes to each output."""
    source = op.inputs[_data(op)]
    shape = graph.tensor(source).shape
    axis = op.attrs.axis % len(shape)
    inner = prod(shape[axis + 1 :])
    runs = [part * inner for part in _parts(op.attrs, shape[axis], len(op.outputs))]
    fields = (
        ("outer", prod(shape[:axis])),
        ("outputs", len(op.outputs)),
        ("runs", CTable("runs", "int32_t", np.array(runs, np.int32))),
    )
    params = CStruct("mh_split_params", fields)
    return KernelCall(KernelId("split"), params, "nary_out", (source,), op.outputs, "split_s8")


def shapes(raw: RawOp) -> list[Shape]:
    """The input's dimensions with each part's size along the axis."""
    attrs = read(raw)
    shape = raw.shape(1 if raw.kind == "SPLIT" else 0)
    axis = positive_axis(f"{raw.kind} '{raw.name}'", attrs.axis, len(shape))
    parts = _parts(attrs, shape[axis], len(raw.outputs))
    return [with_size(shape, axis, part) for part in parts]


SPLIT = Operator(
    "SPLIT",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    traits=Traits(moves=True, monotone=Monotone.ALL, data_at=1, tflm=Tflm("AddSplit")),
    shapes=shapes,
)
SPLIT_V = replace(
    SPLIT, kind="SPLIT_V", traits=replace(SPLIT.traits, data_at=0, tflm=Tflm("AddSplitV"))
)
