"""ELU, GELU and RELU_0_TO_1 int8: functions of one byte, defined by a table that is made here.

ELU is TFLM's, bit for bit (it makes the same table, in float32). TFLM has no GELU and no
RELU_0_TO_1: their definition is ours (docs/engine.md), and their traits say so, because
nothing can be compared with TFLM then. Chains such as SiLU are compiler/passes/compose_tables.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.errors import UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import Operands, RawOp, Tflm
from mcu_hybrid.ops.checks import where
from mcu_hybrid.ops.lut import EVERY_INT8, check_unary, table_operator, to_int8
from mcu_hybrid.ops.table import TABLE

_INT32 = 2.0**31 - 256  # the zero point is still to be added


@dataclass(frozen=True)
class Attrs:
    """``approximate``: GELU by tanh instead of the error function."""

    approximate: bool = False


def read(raw: RawOp) -> Attrs:
    """Only GELU has an option."""
    return Attrs(raw.kind == "GELU" and bool(raw.options.get("approximate", False)))


def check(graph: Graph, op: Op[Attrs]) -> None:
    """One int8 tensor in, one of the same shape out."""
    check_unary(graph, op)
    source, target = (graph.tensor(i).require_quant() for i in (op.inputs[0], op.outputs[0]))
    top = (127 - source.zero_point) * float(source.scale) / float(target.scale)
    if op.kind == "ELU" and top >= _INT32:
        raise UnsupportedOp(
            f"reaches {top:.3g} steps of its output, which no int32 holds: TFLM's result differs "
            "from processor to processor",
            "check the representative data set: one of the two ranges is degenerate",
            key=where(op),
        )


def values(graph: Graph, op: Op[Attrs]) -> np.ndarray:
    """The results for all 256 bytes, in the order of ``EVERY_INT8``."""
    source = graph.tensor(op.inputs[0]).require_quant()
    target = graph.tensor(op.outputs[0]).require_quant()
    steps = EVERY_INT8.astype(np.int64) - source.zero_point
    if op.kind == "ELU":
        return _elu(steps, source.scale, target.scale, target.zero_point)
    real = _real(op, steps * float(source.scale)) / float(target.scale)
    return to_int8(np.copysign(np.floor(np.abs(real) + 0.5), real) + target.zero_point)


def _elu(steps: np.ndarray, source: float, target: float, zero_point: int) -> np.ndarray:
    """In float32, in TFLM's order of operations."""
    x = np.float32(source) * steps.astype(np.float32)
    grown = np.exp(np.minimum(x, 0).astype(np.float64)).astype(np.float32) - np.float32(1)
    scaled = np.where(x < 0, grown, x) * (np.float32(1) / np.float32(target))
    rounded = np.copysign(np.floor(np.abs(scaled.astype(np.float64)) + 0.5), scaled)
    return to_int8(rounded + zero_point)


def _real(op: Op[Attrs], x: np.ndarray) -> np.ndarray:
    """The function of real numbers, in double precision."""
    if op.kind == "RELU_0_TO_1":
        return np.clip(x, 0.0, 1.0)
    if op.attrs.approximate:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return np.asarray(0.5 * x * (1 + np.tanh(inner)))
    return np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x])


def not_in_tflm(graph: Graph) -> tuple[str, ...]:
    """Kinds of operators that nobody can compare with TFLM, in the graph's order."""
    kinds: list[str] = []
    for op in graph.ops:
        traits = ops.traits(op)
        kinds += [op.kind] if traits.in_files and traits.tflm is None else []
        kinds += op.attrs.not_in_tflm if TABLE.serves(op) else ()
    return tuple(dict.fromkeys(kinds))


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The results for these bytes."""
    return (values(graph, op)[np.asarray(inputs[0]).view(np.uint8)],)


ELU = table_operator(
    "ELU",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    tflm=Tflm("AddElu"),
)
GELU = replace(ELU, kind="GELU", traits=replace(ELU.traits, tflm=None))
RELU_0_TO_1 = replace(ELU, kind="RELU_0_TO_1", traits=replace(ELU.traits, tflm=None))
