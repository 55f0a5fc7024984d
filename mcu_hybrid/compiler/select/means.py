"""MEAN over neighbouring axes, as fast kernels take it: outer, count and inner loops."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.base import Field
from mcu_hybrid.ops.mean import Attrs

MOST_PIXELS = 256  # of a sum in 16 bits


@dataclass(frozen=True)
class Mean:
    """How many values are summed, how many sums lie side by side, and the kernels' parameters."""

    count: int
    inner: int
    fields: tuple[Field, ...]


def mean_of(graph: Graph, op: Op[Attrs]) -> Mean | None:
    """The loops of a MEAN; None where its axes are no neighbours."""
    source, axes = graph.tensor(op.inputs[0]), op.attrs.axes
    if not axes or list(axes) != list(range(axes[0], axes[-1] + 1)):
        return None
    outer, count = prod(source.shape[: axes[0]]), prod(source.shape[i] for i in axes)
    inner = prod(source.shape[axes[-1] + 1 :])
    own = dict(operator(op.kind).call(graph, op).params.fields)
    fields = (
        ("outer", outer),
        ("count", count),
        ("inner", inner),
        ("offset", -count * source.require_quant().zero_point),
        *((name, own[name]) for name in ("mult", "shift", "out_zp")),
    )
    return Mean(count, inner, fields)
