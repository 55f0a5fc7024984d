"""Operators whose output byte depends on one input byte only: they run as a 256-entry table.

Why a table: it is computed from the operator's own integer reference for all 256 inputs, so it is
exact by construction, and one load per element is the fastest code there is. It costs 256 bytes
of flash. Not here: what the functions compute (each operator's module).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import (
    A,
    CStruct,
    CTable,
    KernelCall,
    KernelId,
    Operands,
    Operator,
    RawOp,
    Tflm,
    Traits,
    tied_along,
)
from mcu_hybrid.ops.checks import require_int8, require_operands, require_same_shape

# In the order of the index that the kernel uses, (uint8_t)value: 0 .. 127, -128 .. -1.
EVERY_INT8 = np.arange(256, dtype=np.uint8).view(np.int8)


def check_unary(graph: Graph, op: Op[object]) -> None:
    """Raise ModelError unless the operator maps one int8 tensor to another of the same shape."""
    require_operands(graph, op, inputs=1)
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    require_int8(op, source, target)
    require_same_shape(op, source, target)


def lower_table(graph: Graph, op: Op[object], table: np.ndarray) -> KernelCall:
    """The call of mh_lut_s8 with this table: int8, in the order of ``EVERY_INT8``."""
    fields = (
        ("size", graph.tensor(op.outputs[0]).elements),
        ("table", CTable("table", "int8_t", table.astype(np.int8))),
    )
    return KernelCall(
        kernel=KernelId("lut"),
        params=CStruct("mh_lut_params", fields),
        form="unary",
        ins=(op.inputs[0],),
        outs=op.outputs,
        source="lut_s8",
    )


def inplace_unary(graph: Graph, op: Op[object]) -> tuple[tuple[int, int], ...]:
    """Each byte is read once, before it is written: the output may lie on the input."""
    return ((0, 0),)


def to_int8(values: np.ndarray) -> np.ndarray:
    """Saturate to int8."""
    return np.clip(values, -128, 127).astype(np.int8)


def table_operator(
    kind: str,
    *,
    attrs: type[A],
    read: Callable[[RawOp], A],
    check: Callable[[Graph, Op[A]], None],
    reference: Callable[[Graph, Op[A], Operands], tuple[np.ndarray, ...]],
    tflm: Tflm | None,
    squashes: bool = False,
) -> Operator[A]:
    """The operator whose table is what its own reference makes of all 256 inputs."""

    def lower(graph: Graph, op: Op[A]) -> KernelCall:
        return lower_table(graph, op, reference(graph, op, [EVERY_INT8])[0])

    return Operator(
        kind,
        attrs=attrs,
        read=read,
        check=check,
        reference=reference,
        lower=lower,
        inplace=inplace_unary,
        traits=Traits(bytewise=True, pointwise=True, squashes=squashes, tflm=tflm),
        ties=tied_along,
    )
