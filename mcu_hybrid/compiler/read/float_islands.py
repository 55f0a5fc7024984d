"""Float operators of one int8 tensor, between DEQUANTIZE and QUANTIZE, become a table.

TensorFlow's quantiser leaves operators in float that it has no int8 form for (ELU, SIN, SQRT, NEG).
Where all between one int8 tensor and a QUANTIZE is pointwise, the output byte depends on one input
byte: 256 results in TFLM's own float32 arithmetic. Anything else stays, and is refused as float.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mcu_hybrid.compiler.read.float_edges import Edges
from mcu_hybrid.errors import UnsupportedOp
from mcu_hybrid.graph.types import ABSENT, Tensor
from mcu_hybrid.ops import float_functions
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.ops.lut import EVERY_INT8, to_int8
from mcu_hybrid.ops.quantize import DEQUANTIZE, QUANTIZE
from mcu_hybrid.ops.table import TABLE

_LIMIT = 2.0**31 - 256  # TFLM casts to int32: beyond it, each processor gives another value


@dataclass(frozen=True)
class _Island:
    """All that computes one QUANTIZE's operand from ``root``, in order; QUANTIZE is the last."""

    root: int
    ops: tuple[RawOp, ...]


def islands_to_tables(edges: Edges) -> Edges:
    """Return the graph with every island of pointwise float operators as an operator TABLE.

    Raises:
        UnsupportedOp: an island gives no number, or one that no int32 holds.
    """
    for island in _islands(edges):
        edges = _with_table(edges, island)
    return replace(edges, ops=tuple(_own_table(edges, op) for op in edges.ops))


def table_positions(edges: Edges) -> set[int]:
    """Places in the file of all operators that become tables."""
    lone = {op.position for op in edges.ops if _own_table(edges, op) is not op}
    return lone | {op.position for island in _islands(edges) for op in island.ops}


def _own_table(edges: Edges, op: RawOp) -> RawOp:
    """An int8 operator that TFLM has in float only, as a table; others as they are.

    Its definition is ours: the nearest byte, infinite values saturate, and the logarithm and the
    root of a negative number are those of 0 (a softplus never gets there, its table has to).
    """
    ports = (*op.inputs, *op.outputs)
    if op.kind not in float_functions.INT8 or len(ports) != 2 or ABSENT in ports:
        return op
    source, target = (edges.tensors[i] for i in ports)
    if not (_is_int8(source) and _is_int8(target) and source.shape == target.shape):
        return op
    with np.errstate(all="ignore"):
        x = _dequantised(source)
        x = np.maximum(x, np.float32(0)) if op.kind in float_functions.NOT_BELOW_0 else x
        scaled = float_functions.evaluate(op.kind, [x], {}).astype(np.float64)
        scaled /= target.require_quant().scale
    table = _bytes(np.clip(scaled, -_LIMIT, _LIMIT), target)
    options = {"table": table.tobytes(), "not_in_tflm": (f"int8 {op.kind}",)}
    return replace(op, kind=TABLE.kind, options=options)


def _islands(edges: Edges) -> list[_Island]:
    writers = {i: op for op in edges.ops for i in op.outputs}
    ends = [op for op in edges.ops if op.kind == QUANTIZE.kind and _is_end(edges, op)]
    found = (_walk(edges, writers, op) for op in ends)
    return [island for island in found if island is not None]


def _is_end(edges: Edges, op: RawOp) -> bool:
    if len(op.inputs) != 1 or len(op.outputs) != 1 or op.inputs[0] == ABSENT:
        return False
    return edges.tensors[op.inputs[0]].dtype == "float32" and _is_int8(edges.tensors[op.outputs[0]])


def _is_int8(tensor: Tensor) -> bool:
    return (
        tensor.dtype == "int8"
        and not tensor.is_const
        and tensor.quant is not None
        and not tensor.quant.per_channel
    )


def _walk(edges: Edges, writers: dict[int, RawOp], end: RawOp) -> _Island | None:
    """The island that ends here; None where something in it is no function of one byte."""
    shape = edges.tensors[end.outputs[0]].shape
    roots: set[int] = set()
    ops = {end.position: end}
    todo = [end.inputs[0]]
    while todo:
        tensor = edges.tensors[todo[-1]]
        op = writers.get(todo.pop())
        if op is None or tensor.shape != shape or tensor.dtype != "float32":
            return None
        if op.position in ops:
            continue
        ops[op.position] = op
        if op.kind == DEQUANTIZE and len(op.inputs) == 1 and op.inputs[0] != ABSENT:
            source = edges.tensors[op.inputs[0]]
            if not _is_int8(source) or source.shape != shape:
                return None
            roots.add(op.inputs[0])
            continue
        operands = _operands(edges, op)
        if operands is None:
            return None
        todo += operands
    if len(roots) != 1:
        return None
    return _Island(roots.pop(), tuple(ops[position] for position in sorted(ops)))


def _operands(edges: Edges, op: RawOp) -> list[int] | None:
    """The computed operands of a pointwise operator; None for another, or for several constants."""
    if ABSENT in op.inputs or len(op.outputs) != 1:
        return None
    if not float_functions.is_pointwise(op.kind, len(op.inputs), op.options):
        return None
    moving = []
    for index in op.inputs:
        data = edges.tensors[index].data
        if data is None:
            moving.append(index)
        elif data.dtype != np.float32 or not data.size or np.any(data != data.reshape(-1)[0]):
            return None
    return moving


def _with_table(edges: Edges, island: _Island) -> Edges:
    end = island.ops[-1]
    absent = [op.kind for op in island.ops if op.kind in float_functions.NOT_IN_TFLM]
    options = {
        "table": _table(edges, island).tobytes(),
        "not_in_tflm": tuple(dict.fromkeys(absent)),
    }
    table = replace(end, kind=TABLE.kind, inputs=(island.root,), options=options)
    ops = [table if op.position == end.position else op for op in edges.ops]
    for op in reversed(island.ops[:-1]):  # what another still reads stays, and is told
        read = {i for other in ops for i in other.inputs} | set(edges.outputs)
        if not read.intersection(op.outputs):
            ops = [other for other in ops if other.position != op.position]
    kinds = ", ".join(op.kind for op in island.ops)
    note = f"float operators of '{end.name}' ({kinds}) run as one table of 256 bytes"
    return replace(edges, ops=tuple(ops), notes=(*edges.notes, note))


def _table(edges: Edges, island: _Island) -> np.ndarray:
    """The results for all bytes, in the order of ``EVERY_INT8``, as TFLM gives them."""
    end = island.ops[-1]
    target = edges.tensors[end.outputs[0]]
    values: dict[int, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for op in island.ops[:-1]:
            if op.kind == DEQUANTIZE:
                values[op.outputs[0]] = _dequantised(edges.tensors[island.root])
                continue
            operands = [values[i] if i in values else _constant(edges, i) for i in op.inputs]
            values[op.outputs[0]] = float_functions.evaluate(op.kind, operands, op.options)
        scaled = (values[end.inputs[0]] / np.float32(target.require_quant().scale)).astype(
            np.float64
        )
    bad = np.flatnonzero(~(np.abs(scaled) < _LIMIT))
    if bad.size:
        kinds = ", ".join(op.kind for op in island.ops[1:-1])
        raise UnsupportedOp(
            f"gives {scaled[bad[0]]:g} steps for the input {EVERY_INT8[bad[0]]}, which no integer "
            f"stands for (float operators {kinds})",
            "bound what goes into the function, so that it has a finite value for every input",
            key=f"{island.ops[-2].kind} '{end.name}'",
        )
    return _bytes(scaled, target)


def _dequantised(tensor: Tensor) -> np.ndarray:
    """The float32 values of all bytes."""
    quant = tensor.require_quant()
    steps = EVERY_INT8.astype(np.int64) - quant.zero_point
    return (quant.scale * steps.astype(np.float64)).astype(np.float32)


def _bytes(scaled: np.ndarray, target: Tensor) -> np.ndarray:
    """Rounded, halves away from zero, as int8."""
    rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
    return to_int8(rounded + target.require_quant().zero_point)


def _constant(edges: Edges, index: int) -> np.ndarray:
    """The one value of a constant operand."""
    data = edges.tensors[index].data
    assert data is not None, edges.tensors[index].name
    return data.reshape(-1)[:1]
