"""MEAN int8 over any axes: an exact integer sum, then one rescaling that holds 1 / count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from mcu_hybrid.errors import UnsupportedOp
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
    tied_along,
)
from mcu_hybrid.ops.checks import positive_axis, require_int8, require_shape, where
from mcu_hybrid.quant import (
    INT8_MAX,
    INT8_MIN,
    multiplier_shift,
    multiply_by_quantized_multiplier,
)

DIMS = 4  # MH_MEAN_DIMS


@dataclass(frozen=True)
class Attrs:
    """The axes that are averaged, counted from the front, and whether they stay as extent 1."""

    axes: tuple[int, ...]
    keep_dims: bool


def read(raw: RawOp) -> Attrs:
    """Read the constant axes and keep_dims."""
    rank = len(raw.tensors[raw.inputs[0]].shape)
    key = f"{raw.kind} '{raw.name}'"
    axes = {positive_axis(key, int(axis), rank) for axis in raw.const(1).reshape(-1)}
    return Attrs(tuple(sorted(axes)), bool(raw.options.get("keep_dims", False)))


def check(graph: Graph, op: Op[Attrs]) -> None:
    """At most four dimensions, the output's shape, and a sum that fits 32 bits."""
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    require_int8(op, source, target)
    kept = [
        1 if axis in op.attrs.axes else extent
        for axis, extent in enumerate(source.shape)
        if op.attrs.keep_dims or axis not in op.attrs.axes
    ]
    require_shape(op, target, tuple(kept))
    shift = _factor(graph, op)[1]
    is_large = len(source.shape) > DIMS or 255 * _count(graph, op) >= 1 << 31
    if not is_large and 255 * _count(graph, op) << max(shift, 0) >= 1 << 31:
        raise UnsupportedOp(
            f"the output's scale is more than 2**{shift - 1} times finer than the mean's",
            "check the representative data set: one of the two ranges is degenerate",
            key=where(op),
        )
    if is_large:
        raise UnsupportedOp(
            f"a mean over {_count(graph, op)} values of a tensor {list(source.shape)} is too large",
            f"use at most {DIMS} dimensions and a smaller map, or AVERAGE_POOL_2D",
            key=where(op),
        )


def _count(graph: Graph, op: Op[Attrs]) -> int:
    """How many values each output averages."""
    shape = graph.tensor(op.inputs[0]).shape
    return prod(shape[axis] for axis in op.attrs.axes)


def _factor(graph: Graph, op: Op[Attrs]) -> tuple[int, int]:
    """Multiplier and shift of scale_in / scale_out / count, truncated as TFLM does."""
    source = graph.tensor(op.inputs[0]).require_quant()
    target = graph.tensor(op.outputs[0]).require_quant()
    multiplier, shift = multiplier_shift(source.scale / target.scale)
    count = _count(graph, op)
    room = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << room) // count, shift - room


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    zero_point = graph.tensor(op.inputs[0]).require_quant().zero_point
    target = graph.tensor(op.outputs[0])
    sums = np.asarray(inputs[0]).astype(np.int64).sum(axis=op.attrs.axes)
    centred = sums - zero_point * _count(graph, op)
    scaled = multiply_by_quantized_multiplier(centred, *_factor(graph, op))
    out = np.clip(scaled + target.require_quant().zero_point, INT8_MIN, INT8_MAX)
    return (out.astype(np.int8).reshape(target.shape),)


def _loops(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Extents and element strides of these axes, filled up in front with extent 1."""
    extents = [shape[axis] for axis in axes]
    strides = [prod(shape[axis + 1 :]) for axis in axes]
    fill = DIMS - len(extents)
    return np.array([1] * fill + extents, np.int32), np.array([0] * fill + strides, np.int32)


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The call of mh_mean_s8."""
    shape = graph.tensor(op.inputs[0]).shape
    kept = _loops(shape, [axis for axis in range(len(shape)) if axis not in op.attrs.axes])
    reduced = _loops(shape, op.attrs.axes)
    mult, shift = _factor(graph, op)
    fields = (
        ("kept_extent", CTable("kept_extent", "int32_t", kept[0])),
        ("kept_stride", CTable("kept_stride", "int32_t", kept[1])),
        ("reduced_extent", CTable("reduced_extent", "int32_t", reduced[0])),
        ("reduced_stride", CTable("reduced_stride", "int32_t", reduced[1])),
        ("in_zp", graph.tensor(op.inputs[0]).require_quant().zero_point),
        ("out_zp", graph.tensor(op.outputs[0]).require_quant().zero_point),
        ("mult", mult),
        ("shift", shift),
    )
    params = CStruct("mh_mean_params", fields)
    return KernelCall(KernelId("mean"), params, "unary", op.inputs[:1], op.outputs, "mean_s8")


def shapes(raw: RawOp) -> list[Shape]:
    """The dimensions that are not averaged, and 1 for the others where they stay."""
    attrs, shape = read(raw), raw.shape(0)
    kept = [1 if axis in attrs.axes else size for axis, size in enumerate(shape)]
    if attrs.keep_dims:
        return [tuple(kept)]
    return [tuple(size for axis, size in enumerate(shape) if axis not in attrs.axes)]


def ties(graph: Graph, op: Op[Attrs]) -> Ties:
    """Channel by channel, unless the mean goes over them."""
    rank = len(graph.tensor(op.inputs[0]).shape)
    return [] if rank - 1 in op.attrs.axes else tied_along(graph, op)


MEAN = Operator(
    "MEAN",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    traits=Traits(reduces=True, monotone=Monotone.ALL, tflm=Tflm("AddMean")),
    shapes=shapes,
    ties=ties,
)
