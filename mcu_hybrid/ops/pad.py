"""PAD and PADV2 int8: a border of the zero point, or of a constant, around the input."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import ABSENT, Graph, Op
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
    tied_along,
)
from mcu_hybrid.ops.checks import require_int8, require_same_quant, require_shape, where

DIMS = 4  # MH_PAD_DIMS


@dataclass(frozen=True)
class Attrs:
    """Elements before and after each dimension, and the int8 value of PADV2 (None: zero point)."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: int | None


def read(raw: RawOp) -> Attrs:
    """Read the constant paddings [rank, 2] and the constant value."""
    paddings = raw.const(1).reshape(-1, 2)
    value = None
    if len(raw.inputs) > 2 and raw.inputs[2] != ABSENT:
        value = int(raw.const(2).reshape(-1)[0])
    before, after = (tuple(int(n) for n in paddings[:, side]) for side in (0, 1))
    return Attrs(before, after, value)


def check(graph: Graph, op: Op[Attrs]) -> None:
    """At most four dimensions, no cropping, the output's shape, and one quantisation."""
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    require_int8(op, source, target)
    require_same_quant(op, source, target)
    if op.attrs.value is not None:
        constant = graph.tensor(op.inputs[2])
        require_int8(op, constant)
        require_same_quant(op, target, constant)
    before, after = op.attrs.before, op.attrs.after
    if len(before) != len(source.shape):
        raise ModelError(
            f"has {len(before)} paddings for a tensor of {len(source.shape)} dimensions",
            "export the model again; the file is damaged or of another schema",
            key=where(op),
        )
    if len(before) > DIMS or min(*before, *after) < 0:
        raise UnsupportedOp(
            f"paddings {before} and {after} are not supported",
            f"use at most {DIMS} dimensions, and a slice instead of negative paddings",
            key=where(op),
        )
    both = zip(before, source.shape, after, strict=True)
    require_shape(op, target, tuple(sum(parts) for parts in both))


def _value(graph: Graph, op: Op[Attrs]) -> int:
    if op.attrs.value is not None:
        return int(op.attrs.value)
    return graph.tensor(op.outputs[0]).require_quant().zero_point


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in numpy."""
    widths = tuple(zip(op.attrs.before, op.attrs.after, strict=True))
    return (np.pad(np.asarray(inputs[0]), widths, constant_values=_value(graph, op)),)


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The call of mh_pad_s8."""
    shape = graph.tensor(op.inputs[0]).shape

    def table(name: str, values: tuple[int, ...], fill: int) -> tuple[str, CTable]:
        full = (fill,) * (DIMS - len(values)) + values
        return name, CTable(name, "int32_t", np.array(full, np.int32))

    fields = (
        table("in_extent", shape, 1),
        table("before", op.attrs.before, 0),
        table("after", op.attrs.after, 0),
        ("value", _value(graph, op)),
    )
    params = CStruct("mh_pad_params", fields)
    return KernelCall(KernelId("pad"), params, "unary", op.inputs[:1], op.outputs, "pad_s8")


def shapes(raw: RawOp) -> list[Shape]:
    """The input's dimensions with what is put before and after them."""
    attrs = read(raw)
    both = zip(attrs.before, raw.shape(0), attrs.after, strict=True)
    return [tuple(sum(parts) for parts in both)]


def ties(graph: Graph, op: Op[Attrs]) -> Ties:
    """Channel by channel, unless channels are put before or after them."""
    return [] if op.attrs.before[-1] or op.attrs.after[-1] else tied_along(graph, op)


PAD = Operator(
    "PAD",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    traits=Traits(moves=True, monotone=Monotone.ALL, tflm=Tflm("AddPad", has_int8=True)),
    shapes=shapes,
    ties=ties,
)
PADV2 = replace(PAD, kind="PADV2", traits=replace(PAD.traits, tflm=Tflm("AddPadV2")))
