"""Terms of the DSP pools and means: how often each part of their loops runs."""

from __future__ import annotations

from collections.abc import Callable

from mcu_hybrid.compiler.select.loops import Terms, bounded, numbers, seen
from mcu_hybrid.ops.base import KernelCall


def _average_pool(call: KernelCall) -> Terms:
    v = numbers(call)
    rows, columns = seen(v, "h"), seen(v, "w")
    pixels, fours = v["out_h"] * v["out_w"], -(-v["channels"] // 4)
    return {
        "call": 1,
        "row": v["out_h"],
        "pixel": pixels,
        "four": pixels * fours,
        "line": rows.total * v["out_w"] * fours,
        "value": rows.total * columns.total * fours,
        **bounded(v, pixels * v["channels"]),
    }


def _max_pool(call: KernelCall) -> Terms:
    v = numbers(call)
    rows, columns = seen(v, "h"), seen(v, "w")
    eights, rest = divmod(v["channels"], 8)
    fours, ends = rest // 4, rest % 4 > 0
    pixels, lines = v["out_h"] * v["out_w"], rows.total * v["out_w"]
    values = rows.total * columns.total
    return {
        "call": 1,
        "row": v["out_h"],
        "pixel": pixels,
        "eight": pixels * eights,
        "eight's value": values * eights,
        "four": pixels * fours,
        "end": pixels * ends,
        "four's value": values * (fours + ends),
        "line": lines * (eights + fours + ends),
        **bounded(v, pixels * v["channels"]),
    }


def _mean(call: KernelCall) -> Terms:
    v = numbers(call)
    is_rounded, outputs = v["shift"] < 0, v["outer"] * v["inner"]
    if v["inner"] >= 4:
        fours = v["outer"] * -(-v["inner"] // 4)
        return {
            "call": 1,
            "wide": v["outer"],
            "four": fours,
            "four rounded": fours * is_rounded,
            "four's value": fours * v["count"],
        }
    return {
        "call": 1,
        "outer": v["outer"],
        "one": outputs,
        "one rounded": outputs * is_rounded,
        "one's value": outputs * v["count"],
    }


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "average_pool_fast": _average_pool,
    "max_pool_fast": _max_pool,
    "mean_fast": _mean,
}
