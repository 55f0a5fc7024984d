"""Terms of the scalar depthwise kernel: how often each part of its loops runs.

Terms of the arithmetic that a layer's form of requantisation chooses carry its number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcu_hybrid.compiler.select.loops import Terms, Values, numbers, seen
from mcu_hybrid.compiler.select.scalar.bounds import clamped
from mcu_hybrid.ops.base import KernelCall


def _depthwise(call: KernelCall, together: int) -> Terms:
    """``together``: outputs of a row that share their weights."""
    v = numbers(call)
    rows, form = seen(v, "h"), v["form"]
    channels = v["in_c"] * v["multiplier"]
    blocks, single = -(-(v["out_w"] - 1) // together), v["out_w"] % together == 1
    kind = _kind(v)
    lines = channels * v["out_h"]
    terms = {
        **_bands(v),
        "clear": v["row_width"] * v["copy_rows"],
        f"{kind} line": lines,
        "above": channels * int(rows.before.sum()),
        "below": channels * int(rows.behind.sum()),
        f"{kind} block {form}": lines * blocks,
        f"{kind} single {form}": lines * single,
        **clamped(v, v["out_h"] * v["out_w"] * channels),
    }
    if together == 4:
        whole, left = divmod(v["out_w"], 4)
        terms[f"{kind} whole"] = lines * whole
        terms[f"{kind} end"] = lines * (whole > 0 and left < 2)
        terms[f"{kind} third"] = lines * (left == 3)
    return terms | _taps(v, kind, channels * rows.total, blocks, single)


def _taps(v: Values, kind: str, lines: int, blocks: int, single: int) -> Terms:
    """``lines``: window rows inside the map, over all rows of outputs and channels."""
    terms: Terms = {f"{kind} taps": lines * blocks, f"{kind} single taps": lines * single}
    if kind.startswith("3"):
        return terms
    if kind == "any":
        each = {"each": v["kernel_w"]}
    else:
        threes, ones = divmod(v["kernel_w"], 3)
        each = {"threes": threes, "has threes": threes > 0, "ones": ones, "has ones": ones > 0}
    for name, count in each.items():
        terms[f"{kind} {name}"] = lines * blocks * count
        terms[f"{kind} single {name}"] = lines * single * count
    return terms


def _kind(v: Values) -> str:
    """Which function of the kernel takes the layer."""
    if v["dilation_w"] != 1 or v["stride_w"] > 2:
        return "any"
    return f"{'3' if v['kernel_w'] == 3 else 'n'}s{v['stride_w']}"


def _bands(v: Values) -> Terms:
    """Calls, and the copies of the bands of output rows."""
    starts = np.arange(0, v["out_h"], v["band_rows"])
    rows = np.minimum(v["band_rows"], v["out_h"] - starts)
    first = starts * v["stride_h"] - v["pad_top"]
    end = first + (rows - 1) * v["stride_h"] + (v["kernel_h"] - 1) * v["dilation_h"] + 1
    copied = int((np.minimum(end, v["in_h"]) - np.maximum(first, 0)).clip(0).sum()) * v["in_c"]
    quads, rest = divmod(v["in_w"], 4)
    return {
        "call": 1,
        "band": starts.size,
        "band's input": starts.size * v["in_c"],
        "band's channel": starts.size * v["in_c"] * v["multiplier"],
        "copied row": copied,
        "copied quads": copied * quads,
        "copied rest": copied * rest,
    }


def _wide_depthwise(call: KernelCall) -> Terms:
    return _depthwise(call, 4)


def _narrow_depthwise(call: KernelCall) -> Terms:
    return _depthwise(call, 2)


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "scalar_depthwise": _wide_depthwise,
}
NARROW_TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "scalar_depthwise": _narrow_depthwise
}  # Armv6-M: for want of registers
