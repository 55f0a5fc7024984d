"""Terms of the vector extension's matrix kernels: how often each part of them runs."""

from __future__ import annotations

from collections.abc import Callable

from mcu_hybrid.compiler.select.loops import Terms, numbers, seen
from mcu_hybrid.compiler.select.mve.bounds import VECTOR, clamped
from mcu_hybrid.ops.base import KernelCall

GROUP = 4  # channels of a tile


def _tiles(call: KernelCall) -> Terms:
    """mh_mve_multiply, a call for each row of outputs."""
    v, form = numbers(call), call.kernel.form
    short = call.kernel.tile > (0,)
    rows, pixels = v["out_h"], v["out_w"]
    pairs, odd = divmod(pixels, 2)
    full, rest = divmod(v["out_c"], GROUP)
    blocks, turns = v["blocks"], -(-v["blocks"] // 4)
    four = rows * pairs * full
    lasts = rows * pixels * (rest > 0)
    one = rows * odd * full + lasts
    return {
        "call": 1,
        "row": rows,
        "pairs": rows * (pairs > 0) * (full > 0),
        "pair": rows * pairs * (full > 0),
        f"pair's group, {form}": four,
        "pair's short": four * short,
        "pair's block": four * blocks,
        "pair's turn": four * turns,
        "single": rows * odd * (full > 0),
        f"single's group, {form}": one,
        "single's short": one * short,
        "single's block": one * blocks,
        "last row": rows * (rest > 0),
        "last": lasts,
        "last channel": lasts * rest,
        **clamped(v, rows * pixels * v["out_c"]),
    }


def _conv(call: KernelCall) -> Terms:
    v = numbers(call)
    rows, step = seen(v, "h"), v["kernel_h"] * v["in_c"]
    inside, outside = rows.total, v["out_h"] * v["kernel_h"] - rows.total
    whole, part = divmod(v["in_c"], VECTOR)
    terms = _tiles(call) | {
        "filled": (v["columns"] * step + VECTOR) // VECTOR,
        "band row": inside,
        "outside": outside,
        "outside pixel": outside * v["in_w"],
        "outside vector": outside * v["in_w"] * whole,
    }
    if whole:
        return terms | {
            "pass": inside * whole,
            "pass's vector": inside * whole * v["in_w"],
            "part": inside * (part > 0),
            "part's vector": inside * (part > 0) * v["in_w"],
        }
    fitting = VECTOR // v["in_c"]
    together = fitting if (fitting - 1) * step + v["in_c"] <= 256 else 1
    return terms | {"shared row": inside, "shared": inside * (v["in_w"] // together)}


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "mve_gemm": _tiles,
    "mve_conv": _conv,
}
