"""QUANTIZE at a float input and DEQUANTIZE at a float output are taken off and named.

The device then takes and gives the int8 tensor; the host converts with its scale and zero point.
Likewise for a QUANTIZE between uint8 and int8 that only moves the zero point by 128.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import ABSENT, Tensor
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.ops.quantize import DEQUANTIZE, QUANTIZE

_AT_OUTPUT = {"float": DEQUANTIZE, "uint8": QUANTIZE.kind}
_SHIFT = {"float": "", "uint8": ": the uint8 value less 128"}


@dataclass(frozen=True)
class Edges:
    """A graph before its operators are typed."""

    tensors: tuple[Tensor, ...]
    ops: tuple[RawOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    notes: tuple[str, ...] = ()


def take_off_edges(edges: Edges) -> Edges:
    """Return the graph without its outer edges; such tensors further inside stay as they are."""
    for index in edges.inputs:
        edges = _take_off_input(edges, index)
    for index in edges.outputs:
        edges = _take_off_output(edges, index)
    return edges


def _scaled(tensor: Tensor) -> str:
    if tensor.quant is None:
        return tensor.dtype
    return f"{tensor.dtype}, scale {tensor.quant.scale:.9g}, zero point {tensor.quant.zero_point}"


def is_shifted(outer: Tensor, inner: Tensor) -> bool:
    """True where uint8 and int8 stand for the same values: int8 is uint8 - 128."""
    a, b = outer.quant, inner.quant
    return (
        (outer.dtype, inner.dtype) == ("uint8", "int8")
        and a is not None
        and b is not None
        and (a.scales, a.zero_points) == (b.scales, tuple(z + 128 for z in b.zero_points))
        and not a.per_channel
    )


def _word(outer: Tensor, inner: Tensor) -> str:
    """The outer type's word where this edge can come off, else nothing."""
    if outer.shape != inner.shape and "int8" in (outer.dtype, inner.dtype):
        raise ModelError(
            f"'{outer.name}' has shape {list(outer.shape)} and '{inner.name}' {list(inner.shape)}; "
            "a QUANTIZE or DEQUANTIZE between them changes no shape",
            "export the model again with fixed shapes and batch 1",
        )
    if outer.dtype == "float32":
        return "float"
    return "uint8" if is_shifted(outer, inner) else ""


def _take_off_input(edges: Edges, index: int) -> Edges:
    readers = [op for op in edges.ops if index in op.inputs]
    if len(readers) != 1 or index in edges.outputs:
        return edges
    op = readers[0]
    if op.kind != QUANTIZE.kind or len(op.outputs) != 1:
        return edges
    inner = op.outputs[0]
    word = _word(edges.tensors[index], edges.tensors[inner])
    if not word:
        return edges
    note = (
        f"QUANTIZE at {word} input '{edges.tensors[index].name}' taken off; the device takes "
        f"'{edges.tensors[inner].name}' ({_scaled(edges.tensors[inner])}{_SHIFT[word]})"
    )
    return replace(
        edges,
        ops=tuple(other for other in edges.ops if other is not op),
        inputs=tuple(inner if i == index else i for i in edges.inputs),
        notes=(*edges.notes, note),
    )


def _take_off_output(edges: Edges, index: int) -> Edges:
    op = next((op for op in edges.ops if index in op.outputs), None)
    read_again = any(index in other.inputs for other in edges.ops)
    if op is None or read_again or len(op.inputs) != 1:
        return edges
    inner = op.inputs[0]
    if inner == ABSENT or op.kind not in _AT_OUTPUT.values():
        return edges
    word = _word(edges.tensors[index], edges.tensors[inner])
    if not word or op.kind != _AT_OUTPUT[word]:
        return edges
    note = (
        f"{op.kind} at {word} output '{edges.tensors[index].name}' taken off; the device gives "
        f"'{edges.tensors[inner].name}' ({_scaled(edges.tensors[inner])}{_SHIFT[word]})"
    )
    return replace(
        edges,
        ops=tuple(other for other in edges.ops if other is not op),
        outputs=tuple(inner if i == index else i for i in edges.outputs),
        notes=(*edges.notes, note),
    )
