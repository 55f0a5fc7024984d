"""AVERAGE_POOL_2D on the scalar kernel."""

from __future__ import annotations

from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import average_pool2d, pooling
from mcu_hybrid.ops.base import CStruct, KernelCall, KernelId


def match(graph: Graph, op: Op) -> Choice | None:
    """The scalar kernel of an average pool."""
    if not average_pool2d.AVERAGE_POOL_2D.serves(op):
        return None
    fields = pooling.lower(graph, op, "average_pool2d").params.fields
    params = CStruct("mh_scalar_pool_params", fields)
    call = KernelCall(
        KernelId("scalar_average_pool"),
        params,
        "unary",
        op.inputs,
        op.outputs,
        "scalar_average_pool_s8",
    )
    return Choice(call, 0, (), None, {})
