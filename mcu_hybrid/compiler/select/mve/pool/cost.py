"""Terms of the vector extension's pools and means."""

from __future__ import annotations

from collections.abc import Callable

from mcu_hybrid.compiler.select.loops import Terms, numbers, seen
from mcu_hybrid.compiler.select.mve.bounds import clamped
from mcu_hybrid.ops.base import KernelCall


def _pool(call: KernelCall, lanes: int) -> Terms:
    v = numbers(call)
    rows, columns = seen(v, "h"), seen(v, "w")
    pixels, vectors = v["out_h"] * v["out_w"], -(-v["channels"] // lanes)
    return {
        "call": 1,
        "row": v["out_h"],
        "pixel": pixels,
        "vector": pixels * vectors,
        "line": rows.total * v["out_w"] * vectors,
        "value": rows.total * columns.total * vectors,
        **clamped(v, pixels * v["channels"]),
    }


def _average_pool(call: KernelCall) -> Terms:
    return _pool(call, 8)


def _max_pool(call: KernelCall) -> Terms:
    return _pool(call, 16)


def _mean(call: KernelCall) -> Terms:
    v = numbers(call)
    vectors = v["outer"] * -(-v["inner"] // 8)
    return {
        "call": 1,
        "outer": v["outer"],
        "vector": vectors,
        "value": vectors * v["count"],
        "output": v["outer"] * v["inner"],
        "output rounded": v["outer"] * v["inner"] * (v["shift"] <= 0),
    }


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "mve_average_pool": _average_pool,
    "mve_max_pool": _max_pool,
    "mve_mean": _mean,
}
