"""AVERAGE_POOL_2D, MAX_POOL_2D and MEAN over neighbouring axes on MVE: channels side by side."""

from __future__ import annotations

from math import prod

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.means import MOST_PIXELS, mean_of
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.average_pool2d import AVERAGE_POOL_2D
from mcu_hybrid.ops.base import CStruct, KernelCall, KernelId
from mcu_hybrid.ops.max_pool2d import MAX_POOL_2D
from mcu_hybrid.ops.mean import MEAN
from mcu_hybrid.ops.pooling import PoolAttrs

_FAMILIES = {AVERAGE_POOL_2D.kind: "mve_average_pool", MAX_POOL_2D.kind: "mve_max_pool"}


def match(graph: Graph, op: Op) -> Choice | None:
    """The kernel of a pool or mean; None for others, and for sums of too many pixels."""
    if MEAN.serves(op):
        return _mean(graph, op)
    return _pool(graph, op) if isinstance(op.attrs, PoolAttrs) else None


def _pool(graph: Graph, op: Op) -> Choice | None:
    if AVERAGE_POOL_2D.serves(op) and prod(op.attrs.kernel) > MOST_PIXELS:
        return None
    params = operator(op.kind).call(graph, op).params
    return _choice(op, _FAMILIES[op.kind], params)


def _mean(graph: Graph, op: Op) -> Choice | None:
    mean = mean_of(graph, op)
    if mean is None or mean.inner < 4 or mean.count > MOST_PIXELS:
        return None
    return _choice(op, "mve_mean", CStruct("mh_mve_mean_params", mean.fields))


def _choice(op: Op, family: str, params: CStruct) -> Choice:
    call = KernelCall(
        KernelId(family),
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        "mve_pool_s8",
        ("mve_multiply_s8",),
    )
    return Choice(call, 0, (), cost.instructions(call, cost.MVE), {})
