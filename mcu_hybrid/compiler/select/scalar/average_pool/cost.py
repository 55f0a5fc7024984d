"""Terms of the scalar average pool."""

from __future__ import annotations

from collections.abc import Callable

from mcu_hybrid.compiler.select.loops import Terms, numbers, seen
from mcu_hybrid.ops.base import KernelCall


def _average_pool(call: KernelCall) -> Terms:
    v = numbers(call)
    rows, columns = seen(v, "h"), seen(v, "w")
    pixels, lines = v["out_h"] * v["out_w"], rows.total * v["out_w"]
    taps = rows.total * columns.total
    fours, ones = divmod(v["channels"], 4)
    return {
        "call": 1,
        "row": v["out_h"],
        "pixel": pixels,
        "four": pixels * fours,
        "four's line": lines * fours,
        "four's value": taps * fours,
        "one": pixels * ones,
        "one's line": lines * ones,
        "one's value": taps * ones,
    }


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "scalar_average_pool": _average_pool,
}
