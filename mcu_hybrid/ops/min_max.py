"""MINIMUM and MAXIMUM int8 with a constant of one value: a bound, so a function of one byte.

Two computed operands are refused: no network that was seen compares maps with each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mcu_hybrid.errors import UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import broadcast
from mcu_hybrid.ops.base import KernelCall, Monotone, Operands, Operator, RawOp, Tflm, Traits
from mcu_hybrid.ops.checks import (
    require_int8,
    require_operands,
    require_same_quant,
    require_same_shape,
    where,
)
from mcu_hybrid.ops.lut import EVERY_INT8, lower_table


@dataclass(frozen=True)
class Attrs:
    """MINIMUM and MAXIMUM have no options."""


def read(raw: RawOp) -> Attrs:
    """There is nothing to read."""
    return Attrs()


def check(graph: Graph, op: Op[Attrs]) -> None:
    """A map and a constant of one value, all of one scale: TFLM compares bytes as they are."""
    require_operands(graph, op, inputs=2)
    tensors = [graph.tensor(i) for i in op.inputs]
    target = graph.tensor(op.outputs[0])
    require_int8(op, *tensors, target)
    moving = [t for t in tensors if not t.is_const]
    bounds = [t for t in tensors if t.data is not None and np.unique(t.data).size == 1]
    if len(moving) != 1 or len(bounds) != 1:
        raise UnsupportedOp(
            "compares two computed tensors, or with several constants; only one bound for all "
            "values is supported",
            "use a clamp (RELU6, hard sigmoid, hardtanh) with one constant bound",
            key=where(op),
        )
    require_same_shape(op, moving[0], target)
    for tensor in tensors:
        require_same_quant(op, tensor, target)


def _moving(graph: Graph, op: Op[Attrs]) -> int:
    """The position of the operand that is no constant."""
    return next(n for n, i in enumerate(op.inputs) if not graph.tensor(i).is_const)


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """Bytes compared as they are."""
    a, b = (np.asarray(x) for x in inputs)
    return (np.minimum(a, b) if op.kind == "MINIMUM" else np.maximum(a, b),)


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The table of all 256 inputs."""
    position = _moving(graph, op)
    operands = [graph.tensor(i).data for i in op.inputs]
    bound = operands[1 - position]
    assert bound is not None
    one = np.full(256, bound.reshape(-1)[0], np.int8)
    table = reference(graph, op, [EVERY_INT8, one])[0]
    call = lower_table(graph, op, table)
    return replace(call, ins=(op.inputs[position],))


def inplace(graph: Graph, op: Op[Attrs]) -> tuple[tuple[int, int], ...]:
    """Each byte is read once, before it is written: the output may lie on the map."""
    return ((_moving(graph, op), 0),)


MINIMUM = Operator(
    "MINIMUM",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    inplace=inplace,
    traits=Traits(pointwise=True, monotone=Monotone.ALL, tflm=Tflm("AddMinimum")),
    shapes=broadcast.shapes,
    ties=broadcast.ties,
)
MAXIMUM = replace(MINIMUM, kind="MAXIMUM", traits=replace(MINIMUM.traits, tflm=Tflm("AddMaximum")))
