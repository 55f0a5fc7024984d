"""SUB int8: as ADD, with the second operand's sign turned.

Its factors are in double precision, as ADD's and as in the TFLM that judges us (see
``weighted.factors``); in sources of TFLM of other dates they are in single.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import broadcast
from mcu_hybrid.ops.add import check_rescaling, combine, lower_sum, rescaling
from mcu_hybrid.ops.base import KernelCall, no_macs, no_scratch

KINDS = ("SUB",)

Attrs = broadcast.ArithmeticAttrs
from_tflite = broadcast.read_attrs
macs = no_macs
scratch_bytes = no_scratch
inplace = broadcast.inplace_binary


def check(graph: Graph, op: Op) -> None:
    """Two int8 tensors that broadcast to the output, with scales that 32 bits can hold."""
    broadcast.check_binary(graph, op)
    check_rescaling(graph, op, rescaling(graph, op))


def reference(graph: Graph, op: Op, inputs: Sequence[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    return (combine(graph, op, inputs, rescaling(graph, op), sign=-1),)


def lower(graph: Graph, op: Op) -> KernelCall:
    """The call of mh_sub_s8."""
    return lower_sum(graph, op, rescaling(graph, op), function="mh_sub_s8", source="sub_s8")
