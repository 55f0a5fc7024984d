"""Terms of the DSP kernels without weights: pools, means, sums, products and moves of bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcu_hybrid.compiler.cost.loops import Terms, bounded, numbers, products, seen, table
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


def _runs(call: KernelCall, together: int) -> Terms:
    """Kernels of two operands; ``together``: values of a block."""
    v, loops = numbers(call), table(call, "loops")
    outer, middle, runs, values = products(loops[:4])
    size = loops[3]
    return {
        "call": 1,
        "outer": outer,
        "middle": middle,
        "run": runs,
        "run with blocks": runs * (size >= together),
        "block": runs * (size // together),
        "rest": runs * (size % together),
        **bounded(v, values),
    }


def _add(call: KernelCall) -> Terms:
    return _runs(call, 8)


def _mul(call: KernelCall) -> Terms:
    return _runs(call, 4)


def _run_bytes(name: str, sizes: np.ndarray) -> Terms:
    """mh_copy_bytes or mh_fill_bytes, a call for each of ``sizes``."""
    words = sizes // 4
    return {
        name: sizes.size,
        f"{name} 16s": int((words // 4).sum()),
        f"{name} 4s": int((words % 4).sum()),
        f"{name} bytes": int((sizes % 4).sum()),
    }


def _pad(call: KernelCall) -> Terms:
    v = numbers(call)
    planes, rows = v["planes"], v["rows"]
    if planes * rows == 0:
        return {"call": 1, "plane": planes}
    border = np.full((planes, rows), v["run_after"])
    border[:, 0] = v["plane_before"] + v["plane_after"] + (v["run_after"] if rows else 0)
    border[0, 0] = v["before"] + v["plane_before"]
    end = v["run_after"] + v["plane_after"] + v["after"]
    fills = np.append(border.reshape(-1) + v["run_before"], end)
    runs = np.full(planes * rows, v["run"])
    ends = _run_bytes("fill", fills) | _run_bytes("copy", runs)
    return {"call": 1, "plane": planes, **ends}


def _copy(call: KernelCall) -> Terms:
    loops = table(call, "loops")
    a, b, c, runs = products(loops[:4])
    terms: Terms = {"call": 1, "a": a, "b": b, "c": c}
    if loops[9] == 1:
        one = _run_bytes("copy", np.array([loops[4]]))
        return terms | {name: count * runs for name, count in one.items()}
    picked, rest = divmod(loops[4], 4)
    return terms | {"pick": runs, "pick 4s": runs * picked, "pick bytes": runs * rest}


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "average_pool_fast": _average_pool,
    "max_pool_fast": _max_pool,
    "mean_fast": _mean,
    "add_fast": _add,
    "mul_fast": _mul,
    "pad_fast": _pad,
    "copy_fast": _copy,
}
