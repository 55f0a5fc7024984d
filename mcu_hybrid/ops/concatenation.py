"""CONCATENATION int8 along any axis: bytes are moved, so all tensors share one quantisation."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from mcu_hybrid.errors import ModelError, UnsupportedOp
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
    Ties,
    Traits,
)
from mcu_hybrid.ops.checks import (
    positive_axis,
    require_int8,
    require_same_quant,
    require_shape,
    where,
    with_size,
)


@dataclass(frozen=True)
class Attrs:
    """The axis; it may count from the back."""

    axis: int


def read(raw: RawOp) -> Attrs:
    """Reads the axis; raises UnsupportedOp for a fused activation, as TFLM does."""
    if raw.options.get("fused_activation_function", 0) != 0:
        raise UnsupportedOp(
            "has a fused activation, which TFLM does not run here",
            "put the activation after the concatenation as a layer of its own",
            key=f"{raw.kind} '{raw.name}'",
        )
    return Attrs(axis=int(raw.options.get("axis", 0)))


def check(graph: Graph, op: Op[Attrs]) -> None:
    """int8 tensors of one quantisation whose shapes differ along the axis only."""
    sources = [graph.tensor(i) for i in op.inputs]
    out = graph.tensor(op.outputs[0])
    if not sources:
        raise ModelError("has no inputs", "export the model again", key=where(op))
    require_int8(op, *sources, out)
    axis = positive_axis(where(op), op.attrs.axis, len(out.shape))
    for source in sources:
        require_same_quant(op, source, out)
        along = source.shape[axis] if len(source.shape) == len(out.shape) else 0
        require_shape(op, source, with_size(out.shape, axis, along))
    total = sum(source.shape[axis] for source in sources)
    require_shape(op, out, with_size(out.shape, axis, total))


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in numpy."""
    return (np.concatenate([np.asarray(array) for array in inputs], axis=op.attrs.axis),)


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The call of mh_concatenation_s8: per outer index, one run of bytes from each input."""
    out = graph.tensor(op.outputs[0])
    axis = op.attrs.axis % len(out.shape)
    runs = [prod(graph.tensor(i).shape[axis:]) for i in op.inputs]
    fields = (
        ("outer", prod(out.shape[:axis])),
        ("inputs", len(op.inputs)),
        ("runs", CTable("runs", "int32_t", np.array(runs, np.int32))),
    )
    params = CStruct("mh_concatenation_params", fields)
    return KernelCall(
        KernelId("concatenation"), params, "nary_in", op.inputs, op.outputs, "concatenation_s8"
    )


def shapes(raw: RawOp) -> list[Shape]:
    """The first input's dimensions with the axis as long as all inputs together."""
    first = raw.shape(0)
    axis = positive_axis(f"{raw.kind} '{raw.name}'", read(raw).axis, len(first))
    return [with_size(first, axis, sum(raw.shape(i)[axis] for i in range(len(raw.inputs))))]


def ties(graph: Graph, op: Op[Attrs]) -> Ties:
    """Along the channels each input has a part of the output's; else all have the same ones."""
    shape = graph.tensor(op.outputs[0]).shape
    labels = np.arange(shape[-1])
    if op.attrs.axis % len(shape) != len(shape) - 1:
        return [(i, labels) for i in (*op.inputs, *op.outputs)]
    sizes = [graph.tensor(i).shape[-1] for i in op.inputs]
    parts = np.split(labels, np.cumsum(sizes)[:-1])
    return [(op.outputs[0], labels), *zip(op.inputs, parts, strict=True)]


CONCATENATION = Operator(
    "CONCATENATION",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    traits=Traits(moves=True, monotone=Monotone.ALL, tflm=Tflm("AddConcatenation")),
    shapes=shapes,
    ties=ties,
)
