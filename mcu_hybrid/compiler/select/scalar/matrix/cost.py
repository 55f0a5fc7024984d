"""Terms of the scalar matrix kernels: how often each part of their loops runs.

Terms of the arithmetic that a layer's form of requantisation chooses carry its number.
"""

from __future__ import annotations

from collections.abc import Callable

from mcu_hybrid.compiler.select.loops import Seen, Terms, Values, numbers, seen
from mcu_hybrid.compiler.select.scalar.bounds import clamped
from mcu_hybrid.ops.base import KernelCall

GROUP = 4  # channels of a product


def _products(v: Values, pixels: int) -> Terms:
    """mh_scalar_pixels2 for all pairs, mh_scalar_pixel for the last of an odd number."""
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
        **clamped(v, pixels * v["out_c"]),
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


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "scalar_gemm": _gemm,
    "scalar_conv": _conv,
}
