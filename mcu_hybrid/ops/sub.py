"""SUB int8: as ADD, with the second operand's sign turned.

Its factors are in double precision, as ADD's and as in the TFLM that judges us (see
``weighted.factors``); in sources of TFLM of other dates they are in single.
"""

from __future__ import annotations

from typing import TypeGuard

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import broadcast
from mcu_hybrid.ops.add import ADD, check_rescaling, combine, lower_sum, rescaling
from mcu_hybrid.ops.base import KernelCall, Monotone, Operands, Operator, Tflm, Traits
from mcu_hybrid.ops.broadcast import ArithmeticAttrs


def check(graph: Graph, op: Op[ArithmeticAttrs]) -> None:
    """Two int8 tensors that broadcast to the output, with scales that 32 bits can hold."""
    broadcast.check_binary(graph, op)
    check_rescaling(graph, op, rescaling(graph, op))


def reference(graph: Graph, op: Op[ArithmeticAttrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    return (combine(graph, op, inputs, rescaling(graph, op), sign=-1),)


def lower(graph: Graph, op: Op[ArithmeticAttrs]) -> KernelCall:
    """The call of mh_sub_s8."""
    return lower_sum(graph, op, rescaling(graph, op), "sub")


SUB = Operator(
    "SUB",
    attrs=ArithmeticAttrs,
    read=broadcast.read_attrs,
    check=check,
    reference=reference,
    lower=lower,
    inplace=broadcast.inplace_binary,
    traits=Traits(pointwise=True, clamps=True, monotone=Monotone.EACH, tflm=Tflm("AddSub")),
    shapes=broadcast.shapes,
    ties=broadcast.ties,
)


def is_sum(op: Op[object]) -> TypeGuard[Op[ArithmeticAttrs]]:
    """True for an addition or a subtraction, which kernels share."""
    return ADD.serves(op) or SUB.serves(op)
