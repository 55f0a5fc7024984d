"""AVERAGE_POOL_2D, MAX_POOL_2D and MEAN over neighbouring axes on MVE: channels side by side."""

from __future__ import annotations

from math import ceil, prod

import numpy as np

from mcu_hybrid.codegen.fast import Choice
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import module
from mcu_hybrid.ops.base import CStruct, KernelCall
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

KINDS = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN")
MOST_PIXELS = 256  # of a sum in 16 bits
_NAMES = {"AVERAGE_POOL_2D": "mh_mve_average_pool_s8", "MAX_POOL_2D": "mh_mve_max_pool_s8"}
_LANES = {"AVERAGE_POOL_2D": 8, "MAX_POOL_2D": 16}
# Measured: per call, output pixel, vector of one, row of a window, pixel of one.
_CALL, _PIXEL, _ROW, _TAP, _CLAMP = 60.0, 55.0, 7.0, 5.0, 5.2
_VECTOR = {"AVERAGE_POOL_2D": 32.0, "MAX_POOL_2D": 14.0}
_MEAN_CALL, _MEAN_OUTER, _MEAN_VECTOR, _MEAN_OUTPUT = 40.0, 20.0, 30.0, 54.0


def match(graph: Graph, op: Op) -> Choice | None:
    """The kernel of a pool or mean; None for others, and for sums of too many pixels."""
    if op.kind not in KINDS:
        return None
    return _mean(graph, op) if op.kind == "MEAN" else _pool(graph, op)


def _pool(graph: Graph, op: Op) -> Choice | None:
    if op.kind == "AVERAGE_POOL_2D" and prod(op.attrs.kernel) > MOST_PIXELS:
        return None
    params = module(op.kind).lower(graph, op).params
    cost = _pool_cost(op.kind, {name: v for name, v in params.fields if isinstance(v, int)})
    return _choice(op, _NAMES[op.kind], params, cost)


def _pool_cost(kind: str, value: dict[str, int]) -> float:
    def seen(axis: str) -> np.ndarray:
        pad = value["pad_top" if axis == "h" else "pad_left"]
        start = np.arange(value[f"out_{axis}"]) * value[f"stride_{axis}"] - pad
        end = np.minimum(start + value[f"kernel_{axis}"], value[f"in_{axis}"])
        return np.asarray(end - np.maximum(start, 0))

    rows, columns = seen("h"), seen("w")
    pixels, lines = rows.size * columns.size, int(rows.sum()) * columns.size
    vectors = ceil(value["channels"] / _LANES[kind])
    cost = _CALL + pixels * _PIXEL + vectors * (pixels * _VECTOR[kind] + lines * _ROW)
    cost += vectors * int(rows.sum()) * int(columns.sum()) * _TAP
    if (value["lo"], value["hi"]) != (INT8_MIN, INT8_MAX):
        cost += _CLAMP * ceil(pixels * value["channels"] / 16)
    return cost


def _mean(graph: Graph, op: Op) -> Choice | None:
    source, axes = graph.tensor(op.inputs[0]), op.attrs.axes
    if not axes or list(axes) != list(range(axes[0], axes[-1] + 1)):
        return None
    outer, count = prod(source.shape[: axes[0]]), prod(source.shape[i] for i in axes)
    inner = prod(source.shape[axes[-1] + 1 :])
    if inner < 4 or count > MOST_PIXELS:
        return None
    own = dict(module(op.kind).lower(graph, op).params.fields)
    fields = (
        ("outer", outer),
        ("count", count),
        ("inner", inner),
        ("offset", -count * source.require_quant().zero_point),
        *((name, own[name]) for name in ("mult", "shift", "out_zp")),
    )
    vectors = ceil(inner / 8)
    per_outer = _MEAN_OUTER + vectors * (_MEAN_VECTOR + count * _TAP) + inner * _MEAN_OUTPUT
    return _choice(
        op, "mh_mve_mean_s8", CStruct("mh_mve_mean_params", fields), _MEAN_CALL + outer * per_outer
    )


def _choice(op: Op, function: str, params: CStruct, cost: float) -> Choice:
    call = KernelCall(
        function, params, "unary", op.inputs[:1], op.outputs, "mve_pool_s8", ("mve_multiply_s8",)
    )
    return Choice(call, 0, (), ceil(cost), {})
