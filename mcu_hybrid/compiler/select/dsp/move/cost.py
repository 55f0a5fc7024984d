"""Terms of the DSP kernels that move bytes: how often each part of their loops runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcu_hybrid.compiler.select.loops import Terms, numbers, products, table
from mcu_hybrid.ops.base import KernelCall


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
    "pad_fast": _pad,
    "copy_fast": _copy,
}
