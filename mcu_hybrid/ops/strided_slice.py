"""STRIDED_SLICE int8 up to rank 4: begin, end and shrink masks, any stride but 0.

New-axis and ellipsis masks are refused: TFLM ignores them.
"""

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
from mcu_hybrid.ops.strided_copy import element_strides, lower_copy

MAX_RANK = 4  # TFLM's limit


@dataclass(frozen=True)
class Attrs:
    """Per input dimension begin, end and stride; bit i of a mask is about dimension i."""

    begin: tuple[int, ...]
    end: tuple[int, ...]
    strides: tuple[int, ...]
    begin_mask: int = 0
    end_mask: int = 0
    shrink_mask: int = 0


def read(raw: RawOp) -> Attrs:
    """Reads the constant operands and the masks; raises UnsupportedOp for what TFLM ignores."""
    for option in ("new_axis_mask", "ellipsis_mask", "offset"):
        if raw.options.get(option, 0):
            raise UnsupportedOp(
                f"option {option} is not supported (TFLM ignores it)",
                "slice with plain begin, end and stride, and reshape afterwards",
                key=f"{raw.kind} '{raw.name}'",
            )
    begin, end, strides = (
        tuple(int(value) for value in raw.const(position).reshape(-1)) for position in (1, 2, 3)
    )
    return Attrs(
        begin,
        end,
        strides,
        begin_mask=int(raw.options.get("begin_mask", 0)),
        end_mask=int(raw.options.get("end_mask", 0)),
        shrink_mask=int(raw.options.get("shrink_axis_mask", 0)),
    )


def check(graph: Graph, op: Op[Attrs]) -> None:
    """A slice within the int8 input whose quantisation stays, of the output's shape."""
    require_operands(graph, op, inputs=4)
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    require_int8(op, source, target)
    require_same_quant(op, source, target)
    attrs, rank = op.attrs, len(source.shape)
    if rank > MAX_RANK:
        raise UnsupportedOp(
            f"rank {rank}; at most {MAX_RANK} is supported (as in TFLM)",
            "merge dimensions with a reshape before the slice",
            key=where(op),
        )
    if not len(attrs.begin) == len(attrs.end) == len(attrs.strides) == rank:
        raise UnsupportedOp(
            f"begin, end and strides have {len(attrs.begin)}, {len(attrs.end)} and "
            f"{len(attrs.strides)} entries for rank {rank} (TFLM needs one per dimension)",
            "write the slice with all dimensions, for example x[:, 0:4, :, :]",
            key=where(op),
        )
    ranges = [_range(op, axis, size) for axis, size in enumerate(source.shape)]
    if any(len(steps) == 0 for steps in ranges):
        raise ModelError(
            "the slice is empty", "export the model again without the layer", key=where(op)
        )
    kept = [len(r) for axis, r in enumerate(ranges) if not attrs.shrink_mask >> axis & 1]
    require_shape(op, target, tuple(kept))


def _range(op: Op[Attrs], axis: int, size: int) -> range:
    """The input indices along one dimension."""
    attrs = op.attrs
    stride = attrs.strides[axis]
    if attrs.shrink_mask >> axis & 1:
        begin = attrs.begin[axis] + (size if attrs.begin[axis] < 0 else 0)
        if stride < 1 or attrs.begin_mask >> axis & 1 or not 0 <= begin < size:
            raise UnsupportedOp(
                f"takes index {attrs.begin[axis]} with stride {stride} along dimension {axis} "
                f"of size {size}",
                "index within the dimension and with stride 1",
                key=where(op),
            )
        return range(begin, begin + 1)
    if stride == 0:
        raise ModelError("stride 0", "export the model again", key=where(op))
    first = None if attrs.begin_mask >> axis & 1 else attrs.begin[axis]
    end = None if attrs.end_mask >> axis & 1 else attrs.end[axis]
    # Python's slices wrap and clamp exactly as TFLite's do.
    return range(*slice(first, end, stride).indices(size))


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in numpy."""
    data = np.asarray(inputs[0])
    picks = [np.array(_range(op, axis, size)) for axis, size in enumerate(data.shape)]
    return (data[np.ix_(*picks)].reshape(graph.tensor(op.outputs[0]).shape),)


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall | None:
    """The call of mh_strided_copy_s8, or None where the slice is the whole input."""
    shape = graph.tensor(op.inputs[0]).shape
    steps = element_strides(shape)
    ranges = [_range(op, axis, size) for axis, size in enumerate(shape)]
    offset = sum(r.start * step for r, step in zip(ranges, steps, strict=True))
    strides = [r.step * step for r, step in zip(ranges, steps, strict=True)]
    return lower_copy(graph, op, offset, [len(r) for r in ranges], strides)


def shapes(raw: RawOp) -> list[Shape]:
    """How many places are taken along each dimension; those of one index go."""
    attrs = read(raw)
    op = STRIDED_SLICE.make(raw.name, raw.inputs, raw.outputs, attrs)
    sizes = [len(_range(op, axis, size)) for axis, size in enumerate(raw.shape(0))]
    return [tuple(n for i, n in enumerate(sizes) if not attrs.shrink_mask >> i & 1)]


STRIDED_SLICE = Operator(
    "STRIDED_SLICE",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    traits=Traits(moves=True, monotone=Monotone.ALL, tflm=Tflm("AddStridedSlice")),
    shapes=shapes,
)
