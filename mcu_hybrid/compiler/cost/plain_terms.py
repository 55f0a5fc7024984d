"""Terms of the plain kernels (kernels/cortex_m_plain): how often each part of their loops runs.

Terms of the arithmetic that a layer's form of requantisation chooses carry its number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcu_hybrid.compiler.cost.loops import Seen, Terms, Values, numbers, seen
from mcu_hybrid.ops.base import KernelCall
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

GROUP = 4  # channels of a product


def _clamped(v: Values, outputs: int) -> Terms:
    is_bounded = (v["lo"], v["hi"]) != (INT8_MIN, INT8_MAX)
    quads, rest = divmod(outputs * is_bounded, 4)
    return {"clamp": is_bounded, "clamp's quads": quads, "clamp's rest": rest}


def _add(call: KernelCall) -> Terms:
    v = numbers(call)
    quads, rest = divmod(v["size"], 4)
    return {"call": 1, "quads": quads, "rest": rest, **_clamped(v, v["size"])}


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


def _products(v: Values, pixels: int) -> Terms:
    """mh_plain_pixels2 for all pairs, mh_plain_pixel for the last of an odd number."""
    pairs, odd = divmod(pixels, 2)
    groups, rest = divmod(v["out_c"], GROUP)
    form, steps, every = v["form"], v["steps"], groups + (rest > 0)
    return {
        "call": 1,
        "pair": pairs,
        "pair's whole": pairs * (groups > 0),
        f"pair's group {form}": pairs * groups,
        "pair's step": pairs * groups * steps,
        "pair's rest": pairs * (rest > 0),
        "rest's step": pairs * (rest > 0) * steps,
        f"rest's output {form}": pairs * rest,
        "single": odd,
        "single's group": odd * every,
        "single's step": odd * every * steps,
        f"single's output {form}": odd * v["out_c"],
        **_clamped(v, pixels * v["out_c"]),
    }


def _gemm(call: KernelCall) -> Terms:
    v = numbers(call)
    return _products(v, v["pixels"])


def _conv(call: KernelCall) -> Terms:
    v = numbers(call)
    rows, columns = seen(v, "h"), seen(v, "w")
    pixels = v["out_h"] * v["out_w"]
    outside = v["out_h"] * v["kernel_h"] - rows.total
    gathered = _gathered(v, rows, columns)
    return (
        _products(v, pixels)
        | gathered
        | {
            "line": v["out_h"],
            "window": pixels,
            "outside": outside * v["out_w"],
            "filled": outside * v["out_w"] * v["kernel_w"] * v["in_c"],
            "cleared": 8 * v["steps"],
        }
    )


def _gathered(v: Values, rows: Seen, columns: Seen) -> Terms:
    """The bytes of window rows inside the map: copied by words and bytes, or filled."""
    depth, lines = v["in_c"], rows.total
    beyond = columns.before + columns.behind
    if v["dilation_w"] == 1:
        sizes = columns.inside * depth
        words, rest = int((sizes // 4).sum()), int((sizes % 4).sum())
        return {
            "row": lines * v["out_w"],
            "word": lines * words,
            "byte": lines * rest,
            "sides": lines * int((columns.before > 0).sum() + (columns.behind > 0).sum()),
            "side's byte": lines * int(beyond.sum()) * depth,
        }
    inside = columns.total
    return {
        "far row": lines * v["out_w"],
        "far place": lines * inside,
        "far word": lines * inside * (depth // 4),
        "far byte": lines * inside * (depth % 4),
        "far side": lines * int(beyond.sum()),
        "far side's byte": lines * int(beyond.sum()) * depth,
    }


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
        **_clamped(v, v["out_h"] * v["out_w"] * channels),
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
    "plain_add": _add,
    "plain_average_pool": _average_pool,
    "plain_gemm": _gemm,
    "plain_conv": _conv,
    "plain_depthwise": _wide_depthwise,
}
NARROW_TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "plain_depthwise": _narrow_depthwise
}  # Armv6-M: for want of registers
