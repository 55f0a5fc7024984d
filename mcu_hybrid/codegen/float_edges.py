"""QUANTIZE at a float input and DEQUANTIZE at a float output are taken off and named.

The device then takes and gives the int8 tensor; the host converts with its scale and zero point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mcu_hybrid.graph.types import Tensor
from mcu_hybrid.ops.base import RawOp


@dataclass(frozen=True)
class Edges:
    """A graph before its operators are typed."""

    tensors: tuple[Tensor, ...]
    ops: tuple[RawOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    notes: tuple[str, ...] = ()


def take_off_edges(edges: Edges) -> Edges:
    """Return the graph without its float edges; float tensors further inside stay as they are."""
    for index in edges.inputs:
        edges = _take_off_input(edges, index)
    for index in edges.outputs:
        edges = _take_off_output(edges, index)
    return edges


def _is_float(tensor: Tensor) -> bool:
    return tensor.dtype == "float32"


def _scaled(tensor: Tensor) -> str:
    if tensor.quant is None:
        return tensor.dtype
    return f"{tensor.dtype}, scale {tensor.quant.scale:.9g}, zero point {tensor.quant.zero_point}"


def _take_off_input(edges: Edges, index: int) -> Edges:
    readers = [op for op in edges.ops if index in op.inputs]
    if not _is_float(edges.tensors[index]) or len(readers) != 1 or index in edges.outputs:
        return edges
    op = readers[0]
    if op.kind != "QUANTIZE" or len(op.outputs) != 1:
        return edges
    inner = op.outputs[0]
    note = (
        f"QUANTIZE at float input '{edges.tensors[index].name}' taken off; the device takes "
        f"'{edges.tensors[inner].name}' ({_scaled(edges.tensors[inner])})"
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
    if not _is_float(edges.tensors[index]) or op is None or read_again:
        return edges
    if op.kind != "DEQUANTIZE" or len(op.inputs) != 1:
        return edges
    inner = op.inputs[0]
    note = (
        f"DEQUANTIZE at float output '{edges.tensors[index].name}' taken off; the device gives "
        f"'{edges.tensors[inner].name}' ({_scaled(edges.tensors[inner])})"
    )
    return replace(
        edges,
        ops=tuple(other for other in edges.ops if other is not op),
        outputs=tuple(inner if i == index else i for i in edges.outputs),
        notes=(*edges.notes, note),
    )
