"""Terms of the matrix kernels of the DSP extension: how often each part of them runs.

Their loops are assembly, the columns that they multiply are gathered by C. Terms of what a
layer's tile and form of requantisation choose carry their names.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcu_hybrid.compiler.select.loops import Terms, Values, bounded, filled, numbers, seen
from mcu_hybrid.ops.base import KernelCall

_UNROLLED = {"tile": 8, "small": 2, "plain": 1}  # steps of three pixels


def _tiles(call: KernelCall, pixels: int) -> Terms:
    """mh_gemm_pixels3 and mh_gemm_pixel; the small tile takes a single pixel for three."""
    v, form, tile = numbers(call), call.kernel.form, _tile(call)
    triples, singles = divmod(pixels, 3)
    pairs, odd = divmod(v["out_c"], 2)
    every, more = pairs + odd, v["steps"] - (tile != "plain")
    terms: Terms = {
        "call": 1,
        "triple": triples,
        "triple with pairs": triples * (pairs > 0),
        f"triple's pair, {form} {tile}": triples * every,
        f"triple's step, {tile}": triples * every * more,
        f"triple's turn, {tile}": triples * every * -(-more // _UNROLLED[tile]),
        "triple's last": triples * odd,
        f"single, {tile}": singles,
        "single with pairs": singles * (pairs > 0),
        f"single's pair, {form} {tile}": singles * every,
        "single's last": singles * odd,
        **_single_steps(tile, singles * every, more),
        **bounded(v, pixels * v["out_c"]),
    }
    return terms


def _single_steps(tile: str, pairs: int, more: int) -> Terms:
    if tile == "tile":
        double, odd = divmod(more, 2)
        return {
            "single's double step": pairs * double,
            "single's turn": pairs * -(-double // 4),
            "single's odd step": pairs * odd,
        }
    steps: Terms = {f"single's step, {tile}": pairs * more}
    return steps | {f"single's turn, {tile}": pairs * -(-more // _UNROLLED[tile])}


def _tile(call: KernelCall) -> str:
    """Which tile multiplies: that of the variant, or the form's own."""
    kernel = call.kernel
    return kernel.variant or ("plain" if kernel.form == "plain" else "tile")


def _widened(name: str, calls: float, groups: int) -> Terms:
    """mh_widen3 or mh_widen1."""
    return {f"{name} groups": calls * groups, f"{name} even groups": calls * (groups // 2)}


def _gemm(call: KernelCall) -> Terms:
    v, tile = numbers(call), _tile(call)
    triples, singles = divmod(v["pixels"], 3)
    terms = _tiles(call, v["pixels"]) | _widened("triple's", triples, v["steps"])
    return terms | _widened(f"single's {tile}", singles, v["steps"])


def _conv(call: KernelCall) -> Terms:
    v, tile = numbers(call), _tile(call)
    groups, places = v["in_c"] // 4, v["kernel_h"] * v["kernel_w"]
    whole = _whole_windows(v)
    triples, singles = divmod(whole.size, 3)
    inner = int(whole[: 3 * triples].reshape(-1, 3).all(1).sum())
    border = triples - inner
    return {
        **_tiles(call, whole.size),
        **filled(np.array(v["in_c"])),
        "row": v["out_h"],
        "inner": inner,
        "inner row": inner * v["kernel_h"],
        "inner group": inner * places * groups,
        "border": border,
        "border row": border * v["kernel_h"],
        "border place": border * places,
        **_widened("border", border * places, groups),
        "single's row": singles * v["kernel_h"],
        f"single's place, {tile}": singles * places,
        **_widened(f"single's {tile}", singles * places, groups),
    }


def _whole_windows(v: Values) -> np.ndarray:
    """For each output pixel in order: True where its window hangs over no side of the map."""
    y = np.arange(v["out_h"]) * v["stride_h"] - v["pad_top"]
    x = np.arange(v["out_w"]) * v["stride_w"] - v["pad_left"]
    rows = (y >= 0) & (y + (v["kernel_h"] - 1) * v["dilation_h"] < v["in_h"])
    columns = (x >= 0) & (x + v["kernel_w"] <= v["in_w"]) & (v["dilation_w"] == 1)
    return (rows[:, None] & columns[None, :]).reshape(-1)


def _conv_band(call: KernelCall) -> Terms:
    v, tile = numbers(call), _tile(call)
    pixels = v["out_h"] * v["out_w"]
    triples, singles = divmod(pixels, 3)
    return {
        **_tiles(call, pixels),
        **filled(np.array(v["band_bytes"] + 12 * v["steps"])),
        **_widened("triple's", triples, v["steps"]),
        **_widened(f"single's {tile}", singles, v["steps"]),
        "row": v["out_h"],
        "pixel": pixels,
        **_band(v),
        **_kept(v, pixels),
    }


def _band(v: Values) -> Terms:
    """Rows of the map into the band, and rows outside."""
    rows, width = seen(v, "h"), v["in_w"]
    outside = v["out_h"] * v["kernel_h"] - rows.total
    terms: Terms = {
        "outside": outside,
        "outside pixel": outside * width,
        "outside byte": outside * width * v["in_c"],
    }
    if v["in_c"] == 1:
        return terms | {"transposed 1 row": rows.total, "transposed 1": rows.total * width}
    if v["in_c"] == 3:
        first = np.arange(v["out_h"]) * v["stride_h"] - v["pad_top"]
        end = first + (v["kernel_h"] - 1) * v["dilation_h"]
        last = int(((end >= 0) & (end < v["in_h"])).sum())
        more = rows.total - last
        return terms | {
            "transposed 3 row": rows.total,
            "transposed 3 turns": more * sum(divmod(width - 1, 4)) + last * sum(divmod(width, 4)),
            "transposed 3 words": more * (width - 1),
            "transposed 3 exact": more + last * width,
        }
    inside = rows.total * width
    return terms | {"transposed row": rows.total, **_copies("transposed", inside, v["in_c"])}


def _copies(name: str, calls: int, size: int) -> Terms:
    """Copies of so many bytes each, by the firmware's memcpy."""
    eights, rest = divmod(size, 8)
    return {name: calls, f"{name} 8s": calls * eights, f"{name} bytes": calls * rest}


def _kept(v: Values, pixels: int) -> Terms:
    """Windows that are copied: those that wait for the next row, or all where they have gaps."""
    column = v["kernel_h"] * v["in_c"]
    if v["dilation_w"] > 1:
        return {"kept apart": pixels, **_copies("part", pixels * v["kernel_w"], column)}
    waiting = np.arange(1, v["out_h"] + 1) * v["out_w"] % 3
    kept = int(np.minimum(waiting, v["out_w"]).sum())
    return _copies("kept", kept, v["kernel_w"] * column)


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "gemm": _gemm,
    "conv": _conv,
    "conv_band": _conv_band,
}
