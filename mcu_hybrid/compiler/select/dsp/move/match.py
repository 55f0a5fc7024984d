"""PAD, TRANSPOSE and STRIDED_SLICE: runs of bytes instead of single ones."""

from __future__ import annotations

from math import prod

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator, pad, strided_slice, transpose
from mcu_hybrid.ops.base import CStruct, CTable, KernelCall, KernelId


def match(graph: Graph, op: Op) -> Choice | None:
    """The fast kernel of an operator that moves bytes, or None (a view, or another operator)."""
    if not isinstance(op.attrs, pad.Attrs | transpose.Attrs | strided_slice.Attrs):
        return None
    own, is_pad = operator(op.kind).lower(graph, op), isinstance(op.attrs, pad.Attrs)
    if own is None:
        return None
    family, params = ("pad_fast", _pad(own)) if is_pad else ("copy_fast", _copy(own))
    if params is None:
        return None
    call = KernelCall(KernelId(family), params, "unary", own.ins, own.outs, "move_fast_s8")
    return Choice(call, 0, (), cost.instructions(call, cost.DSP), {})


def _data(value: object) -> list[int]:
    assert isinstance(value, CTable)
    return [int(n) for n in value.data]


def _pad(own: KernelCall) -> CStruct | None:
    """Padding of four dimensions as padding of runs, of planes of runs, and of the whole."""
    values = dict(own.params.fields)
    extents, low, high = (_data(values[key]) for key in ("in_extent", "before", "after"))
    dims = list(zip(low, extents, high, strict=True))
    while len(dims) > 1 and dims[-1][0] == dims[-1][2] == 0:
        (_, inner, _), (before, size, after) = dims.pop(), dims.pop()
        dims.append((before * inner, size * inner, after * inner))
    outside = before = after = 0
    while len(dims) > 3:
        first, size, last = dims.pop(0)
        if size != 1:
            return None
        outside = prod(sum(d) for d in dims)
        before, after = before + first * outside, after + last * outside
    planes, rows, run = [(0, 1, 0)] * (3 - len(dims)) + dims
    row_bytes = sum(run)
    plane_bytes = sum(rows) * row_bytes
    value = values["value"]
    assert isinstance(value, int)
    fields: tuple[tuple[str, int], ...] = (
        ("planes", planes[1]),
        ("rows", rows[1]),
        ("run", run[1]),
        ("before", before + planes[0] * plane_bytes),
        ("after", after + planes[2] * plane_bytes),
        ("plane_before", rows[0] * row_bytes),
        ("plane_after", rows[2] * row_bytes),
        ("run_before", run[0]),
        ("run_after", run[2]),
        ("value", value),
    )
    return CStruct("mh_pad_fast_params", fields)


def _copy(own: KernelCall) -> CStruct:
    return CStruct("mh_copy_fast_params", own.params.fields)
