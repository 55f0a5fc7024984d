"""Terms of the reference kernels (kernels/ref): how often each part of their loops runs.

One function per kernel; the names of the terms are those of the constants in measured.json.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import log

import numpy as np

from mcu_hybrid.compiler.select.loops import (
    Terms,
    copied,
    copied_narrow,
    numbers,
    products,
    seen,
    table,
)
from mcu_hybrid.ops.base import KernelCall

Copies = Callable[[np.ndarray, np.ndarray, np.ndarray], Terms]


def _softmax(call: KernelCall) -> Terms:
    v = numbers(call)
    return {"call": 1, "row": v["rows"], "value": v["rows"] * v["depth"]}


def _lut(call: KernelCall) -> Terms:
    return {"call": 1, "value": numbers(call)["size"]}


def _broadcast(call: KernelCall) -> Terms:
    outer, middle, runs, values = products(table(call, "loops")[:4])
    return {"call": 1, "outer": outer, "middle": middle, "run": runs, "value": values}


def _parts(call: KernelCall, copies: Copies, is_split: bool) -> Terms:
    """Runs that are copied one after the other, out of several tensors or into them."""
    outer, runs = numbers(call)["outer"], np.array(table(call, "runs"))
    alone = np.arange(outer)[:, None] * runs[None, :]
    together = np.arange(outer)[:, None] * runs.sum() + (np.cumsum(runs) - runs)[None, :]
    ends = (together, alone) if is_split else (alone, together)
    return {"call": 1, "outer": outer} | copies(*ends, runs[None, :])


def _resize(call: KernelCall, copies: Copies) -> Terms:
    v = numbers(call)
    rows, size = v["batch"] * v["out_h"], v["channels"]
    starts = np.arange(v["batch"])[:, None] * v["in_h"] + np.array(table(call, "rows"))[None, :]
    columns = np.array(table(call, "columns"))
    source = (starts.reshape(-1, 1) * v["in_w"] + columns[None, :]) * size
    target = np.arange(source.size).reshape(source.shape) * size
    return {"call": 1, "row": rows} | copies(source, target, np.array(size))


def _pad(call: KernelCall) -> Terms:
    extents = table(call, "in_extent")
    before, after = table(call, "before"), table(call, "after")
    out = [b + n + a for b, n, a in zip(before, extents, after, strict=True)]
    outer, middle, rows, values = products(out)
    terms: Terms = {"call": 1, "outer": outer, "middle": middle, "row": rows, "value": values}
    within = float(values)
    for n, (size, total) in enumerate(zip(extents, out, strict=True)):
        within *= size / total
        terms[f"inside {n}"] = within
    return terms


def _copy(call: KernelCall) -> Terms:
    a, b, c, runs, values = products(table(call, "loops")[:5])
    return {"call": 1, "a": a, "b": b, "c": c, "run": runs, "value": values}


def _mean(call: KernelCall) -> Terms:
    *kept, outputs = products(table(call, "kept_extent"))
    a, b, lines, values = products(table(call, "reduced_extent"))
    terms: Terms = {"call": 1, "kept": sum(kept), "output": outputs}
    return terms | {
        "a": outputs * a,
        "b": outputs * b,
        "line": outputs * lines,
        "value": outputs * values,
    }


def _average_pool(call: KernelCall) -> Terms:
    v = numbers(call)
    rows, columns = seen(v, "h"), seen(v, "w")
    pixels = v["out_h"] * v["out_w"]
    return {
        "call": 1,
        "row": v["out_h"],
        "pixel": pixels,
        "output": pixels * v["channels"],
        "line": rows.total * v["out_w"] * v["channels"],
        "value": rows.total * columns.total * v["channels"],
    }


def _windows(call: KernelCall, channels: int) -> Terms:
    """Kernels that visit every position of the window and leave out those beyond the map."""
    v = numbers(call)
    rows, columns = seen(v, "h"), seen(v, "w")
    pixels = v["out_h"] * v["out_w"]
    width = v["out_w"] * v["kernel_w"]
    return {
        "call": 1,
        "row": v["out_h"],
        "pixel": pixels,
        "output": pixels * channels,
        "line": pixels * v["kernel_h"] * channels,
        "above": int(rows.before.sum()) * width * channels,
        "below": int(rows.behind.sum()) * width * channels,
        "left": rows.total * int(columns.before.sum()) * channels,
        "right": rows.total * int(columns.behind.sum()) * channels,
        "place": rows.total * columns.total * channels,
    }


def _max_pool(call: KernelCall) -> Terms:
    return _windows(call, numbers(call)["channels"])


def _conv(call: KernelCall) -> Terms:
    v = numbers(call)
    terms = _windows(call, v["out_c"])
    return terms | {"mac": terms["place"] * v["in_c"] / v["groups"]}


def _depthwise(call: KernelCall) -> Terms:
    v = numbers(call)
    return _windows(call, v["in_c"] * v["multiplier"])


def _fully_connected(call: KernelCall) -> Terms:
    v = numbers(call)
    outputs = v["rows"] * v["out_c"]
    return {"call": 1, "row": v["rows"], "output": outputs, "mac": outputs * v["in_c"]}


def _route_features(call: KernelCall) -> Terms:
    v = numbers(call)
    classes, top = v["classes"], v["top"]
    # Of classes in random order: those among the best so far, which move half of these on.
    inserted = top * (1 + log(classes / top))
    return {"call": 1, "class": classes, "top": top, "insert": inserted, "move": inserted * top}


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "softmax": _softmax,
    "lut": _lut,
    "add": _broadcast,
    "sub": _broadcast,
    "mul": _broadcast,
    "concatenation": partial(_parts, copies=copied, is_split=False),
    "split": partial(_parts, copies=copied, is_split=True),
    "resize_nearest": partial(_resize, copies=copied),
    "pad": _pad,
    "strided_copy": _copy,
    "mean": _mean,
    "average_pool2d": _average_pool,
    "max_pool2d": _max_pool,
    "conv2d": _conv,
    "depthwise_conv2d": _depthwise,
    "fully_connected": _fully_connected,
    "route_features": _route_features,
}
NARROW_TERMS: dict[str, Callable[[KernelCall], Terms]] = {  # Armv6-M
    "concatenation": partial(_parts, copies=copied_narrow, is_split=False),
    "split": partial(_parts, copies=copied_narrow, is_split=True),
    "resize_nearest": partial(_resize, copies=copied_narrow),
}
