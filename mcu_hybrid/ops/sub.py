"""SUB int8: as ADD, but TFLM computes its three factors in single precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import broadcast
from mcu_hybrid.ops.add import LEFT_SHIFT, Rescaling, check_rescaling, combine, lower_sum
from mcu_hybrid.ops.base import KernelCall, no_macs, no_scratch
from mcu_hybrid.quant import multiplier_shift

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


def rescaling(graph: Graph, op: Op) -> Rescaling:
    """TFLM's three factors, computed in single precision."""
    a, b, out = (
        np.float32(graph.tensor(i).require_quant().scale) for i in (*op.inputs, *op.outputs)
    )
    with np.errstate(all="ignore"):  # of absurd scales, as in TFLM; the checks see what comes of it
        twice = np.float32(2) * max(a, b)
        scale = twice / (np.float32(1 << LEFT_SHIFT) * out)
        left, right = a / twice, b / twice
    return Rescaling(
        multiplier_shift(float(left)),
        multiplier_shift(float(right)),
        multiplier_shift(float(scale)),
    )


def reference(graph: Graph, op: Op, inputs: Sequence[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    return (combine(graph, op, inputs, rescaling(graph, op), sign=-1),)


def lower(graph: Graph, op: Op) -> KernelCall:
    """The call of mh_sub_s8."""
    return lower_sum(graph, op, rescaling(graph, op), function="mh_sub_s8", source="sub_s8")
