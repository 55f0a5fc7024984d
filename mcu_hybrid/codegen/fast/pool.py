"""MAX_POOL_2D, AVERAGE_POOL_2D and MEAN four channels at a time."""

from __future__ import annotations

from math import ceil, prod

import numpy as np

from mcu_hybrid.codegen.fast import Choice
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import module
from mcu_hybrid.ops.base import CStruct, KernelCall
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

KINDS = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN")
_MEAN_FOUR, _MEAN_ONE = 179, 47  # requantising four outputs at once, or one
MOST_PIXELS = 256  # of a sum in 16 bits
_FUNCTIONS = {"AVERAGE_POOL_2D": "mh_average_pool_fast_s8", "MAX_POOL_2D": "mh_max_pool_fast_s8"}


def match(graph: Graph, op: Op) -> Choice | None:
    """The fast kernel of a pool or mean, or None."""
    if op.kind not in KINDS:
        return None
    return _mean(graph, op) if op.kind == "MEAN" else _pool(graph, op)


def _pool(graph: Graph, op: Op) -> Choice | None:
    channels = graph.tensor(op.inputs[0]).shape[3]
    sums = op.kind == "AVERAGE_POOL_2D"
    if channels < 4 or (sums and prod(op.attrs.kernel) > MOST_PIXELS):
        return None
    own = module(op.kind).lower(graph, op).params
    params = CStruct("mh_pool_fast_params", own.fields)
    call = KernelCall(
        _FUNCTIONS[op.kind],
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        "pool_fast_s8",
        ("bound_s8",),
    )
    return Choice(call, 0, (), ceil(_pool_cost(graph, op, own)), {})


def _pool_cost(graph: Graph, op: Op, params: CStruct) -> float:
    value = {name: v for name, v in params.fields if isinstance(v, int)}
    channels = value["channels"]

    def seen(axis: str) -> np.ndarray:
        pad = value["pad_top" if axis == "h" else "pad_left"]
        start = np.arange(value[f"out_{axis}"]) * value[f"stride_{axis}"] - pad
        end = np.minimum(start + value[f"kernel_{axis}"], value[f"in_{axis}"])
        return end - np.maximum(start, 0)

    rows, columns = seen("h"), seen("w")
    pixels = rows.size * columns.size
    taps, lines = int(rows.sum()) * int(columns.sum()), int(rows.sum()) * columns.size
    is_bounded = (value["lo"], value["hi"]) != (INT8_MIN, INT8_MAX)
    cost = 60 + 8 * rows.size + is_bounded * 2.25 * pixels * channels
    if op.kind == "AVERAGE_POOL_2D":
        words = -(-channels // 4)
        return cost + pixels * 52 + words * (pixels * 50 + 4 * lines + 6 * taps)
    eights, fours = channels // 8, channels % 8 // 4 + (channels % 4 > 0)
    each = pixels * 17 + 4 * lines
    return cost + pixels * 38.4 + eights * (each + 9 * taps) + fours * (each + 6 * taps)


def _mean(graph: Graph, op: Op) -> Choice | None:
    source, axes = graph.tensor(op.inputs[0]), op.attrs.axes
    if not axes or list(axes) != list(range(axes[0], axes[-1] + 1)):
        return None
    outer, count = prod(source.shape[: axes[0]]), prod(source.shape[i] for i in axes)
    inner = prod(source.shape[axes[-1] + 1 :])
    if inner >= 4 and count > MOST_PIXELS:
        return None
    own = dict(module(op.kind).lower(graph, op).params.fields)
    fields = (
        ("outer", outer),
        ("count", count),
        ("inner", inner),
        ("offset", -count * source.require_quant().zero_point),
        *((name, own[name]) for name in ("mult", "shift", "out_zp")),
    )
    params = CStruct("mh_mean_fast_params", fields)
    call = KernelCall(
        "mh_mean_fast_s8",
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        "pool_fast_s8",
        ("bound_s8",),
    )
    return Choice(call, 0, (), ceil(_mean_cost(outer, count, inner)), {})


def _mean_cost(outer: int, count: int, inner: int) -> float:
    if inner >= 4:
        return 22 + outer * (31 + -(-inner // 4) * (_MEAN_FOUR + 6.1 * count))
    return 25 + outer * (11 + inner * (_MEAN_ONE + 5 * count))
