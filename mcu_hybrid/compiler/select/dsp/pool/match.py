"""MAX_POOL_2D, AVERAGE_POOL_2D and MEAN four channels at a time."""

from __future__ import annotations

from math import prod

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.dsp.limits import bound_sources, fit_int16
from mcu_hybrid.compiler.select.means import MOST_PIXELS, mean_of
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.average_pool2d import AVERAGE_POOL_2D
from mcu_hybrid.ops.base import CStruct, KernelCall, KernelId
from mcu_hybrid.ops.max_pool2d import MAX_POOL_2D
from mcu_hybrid.ops.mean import MEAN
from mcu_hybrid.ops.pooling import PoolAttrs

_FAMILIES = {AVERAGE_POOL_2D.kind: "average_pool_fast", MAX_POOL_2D.kind: "max_pool_fast"}


def match(graph: Graph, op: Op) -> Choice | None:
    """The fast kernel of a pool or mean, or None."""
    if MEAN.serves(op):
        return _mean(graph, op)
    return _pool(graph, op) if isinstance(op.attrs, PoolAttrs) else None


def _pool(graph: Graph, op: Op) -> Choice | None:
    channels = graph.tensor(op.inputs[0]).shape[3]
    sums = AVERAGE_POOL_2D.serves(op)
    if channels < 4 or (sums and prod(op.attrs.kernel) > MOST_PIXELS):
        return None
    own = operator(op.kind).call(graph, op).params
    params = CStruct("mh_pool_fast_params", own.fields)
    value = {name: v for name, v in own.fields if isinstance(v, int)}
    if not fit_int16(value.values()):
        return None
    call = KernelCall(
        KernelId(_FAMILIES[op.kind]),
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        "pool_fast_s8",
        bound_sources(value["lo"], value["hi"]),
    )
    return Choice(call, 0, (), cost.instructions(call, cost.DSP), {})


def _mean(graph: Graph, op: Op) -> Choice | None:
    mean = mean_of(graph, op)
    if mean is None or (mean.inner >= 4 and mean.count > MOST_PIXELS):
        return None
    params = CStruct("mh_mean_fast_params", mean.fields)
    call = KernelCall(
        KernelId("mean_fast"),
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        "pool_fast_s8",
    )
    return Choice(call, 0, (), cost.instructions(call, cost.DSP), {})
