"""RESIZE_NEAREST_NEIGHBOR int8: which input row and column each output pixel copies."""

from __future__ import annotations

from dataclasses import dataclass

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
    Traits,
    tied_along,
)
from mcu_hybrid.ops.checks import (
    require_int8,
    require_operands,
    require_same_quant,
    require_shape,
    where,
)

_MAX_SIDE = 65535  # the kernel reads rows and columns from tables of uint16


@dataclass(frozen=True)
class Attrs:
    """Output height and width, and the two ways in which pixel centres may be aligned."""

    height: int
    width: int
    align_corners: bool
    half_pixel_centers: bool


def read(raw: RawOp) -> Attrs:
    """Reads the constant size and the options."""
    size = raw.const(1).reshape(-1)
    if size.size != 2:
        raise ModelError(
            f"its size operand has {size.size} entries, expected height and width",
            "export the model again",
            key=f"{raw.kind} '{raw.name}'",
        )
    return Attrs(
        height=int(size[0]),
        width=int(size[1]),
        align_corners=bool(raw.options.get("align_corners", False)),
        half_pixel_centers=bool(raw.options.get("half_pixel_centers", False)),
    )


def check(graph: Graph, op: Op[Attrs]) -> None:
    """A rank-4 int8 tensor whose quantisation and channels stay."""
    require_operands(graph, op, inputs=2)
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    require_int8(op, source, target)
    require_same_quant(op, source, target)
    if len(source.shape) != 4:
        raise ModelError(
            f"'{source.name}' has rank {len(source.shape)}, expected NHWC",
            "export the model again with images of rank 4",
            key=where(op),
        )
    batch, height, width, channels = source.shape
    if max(height, width, op.attrs.height, op.attrs.width) > _MAX_SIDE:
        raise UnsupportedOp(
            f"resizes {height} x {width} to {op.attrs.height} x {op.attrs.width}; a side has at "
            f"most {_MAX_SIDE:,} pixels",
            "use a smaller map",
            key=where(op),
        )
    require_shape(op, target, (batch, op.attrs.height, op.attrs.width, channels))


def source_indices(attrs: Attrs, in_size: int, out_size: int) -> np.ndarray:
    """The input index for each output index, in TFLM's single precision."""
    if attrs.align_corners and out_size > 1:
        scale = np.float32(in_size - 1) / np.float32(out_size - 1)
    else:
        scale = np.float32(in_size) / np.float32(out_size)
    offset = np.float32(0.5 if attrs.half_pixel_centers else 0.0)
    at = (np.arange(out_size, dtype=np.float32) + offset) * scale
    # std::round and std::floor on values that are not negative.
    index = np.floor(at.astype(np.float64) + (0.5 if attrs.align_corners else 0.0))
    return np.asarray(np.minimum(index, in_size - 1), np.int64)


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in numpy."""
    data = np.asarray(inputs[0])
    rows = source_indices(op.attrs, data.shape[1], op.attrs.height)
    columns = source_indices(op.attrs, data.shape[2], op.attrs.width)
    return (np.ascontiguousarray(data[:, rows][:, :, columns]),)


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The call of mh_resize_nearest_s8; float arithmetic stays here, the kernel gets indices."""
    batch, height, width, channels = graph.tensor(op.inputs[0]).shape
    rows = source_indices(op.attrs, height, op.attrs.height)
    columns = source_indices(op.attrs, width, op.attrs.width)
    fields = (
        ("batch", batch),
        ("in_h", height),
        ("in_w", width),
        ("out_h", op.attrs.height),
        ("out_w", op.attrs.width),
        ("channels", channels),
        ("rows", CTable("rows", "uint16_t", rows.astype(np.uint16))),
        ("columns", CTable("columns", "uint16_t", columns.astype(np.uint16))),
    )
    params = CStruct("mh_resize_nearest_params", fields)
    return KernelCall(
        KernelId("resize_nearest"), params, "unary", op.inputs[:1], op.outputs, "resize_nearest_s8"
    )


def shapes(raw: RawOp) -> list[Shape]:
    """The given height and width."""
    batch, _, _, channels = raw.shape(0)
    attrs = read(raw)
    return [(batch, attrs.height, attrs.width, channels)]


RESIZE_NEAREST_NEIGHBOR = Operator(
    "RESIZE_NEAREST_NEIGHBOR",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    traits=Traits(moves=True, monotone=Monotone.ALL, tflm=Tflm("AddResizeNearestNeighbor")),
    shapes=shapes,
    ties=tied_along,
)
