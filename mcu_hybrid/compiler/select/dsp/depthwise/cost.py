"""Terms of the depthwise kernels of the DSP extension.

Their assembly is counted (counts.py), here is what the params of a call say of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcu_hybrid.compiler.select.dsp.depthwise import counts
from mcu_hybrid.compiler.select.loops import Terms, bounded, numbers, seen
from mcu_hybrid.ops.base import CTable, KernelCall
from mcu_hybrid.quant import INT8_MIN


def _shape(
    call: KernelCall, stride_w: int, *, is_clipped: bool = False, in_blocks: bool = False
) -> counts.Shape:
    v, fixup = numbers(call), dict(call.params.fields)["fixup"]
    fixed = fixup.data[:-1].astype(int) if isinstance(fixup, CTable) else np.zeros(0, int)
    return counts.Shape(
        (v["in_h"], v["in_w"], v["in_c"]),
        (v["out_h"], v["out_w"], v["in_c"] * v["multiplier"]),
        v["multiplier"],
        (v["kernel_h"], v["kernel_w"]),
        (v["stride_h"], stride_w),
        (v["pad_top"], v["pad_left"]),
        v["strip"],
        v["tile"],
        call.kernel.form == "exact",
        fixed.size,
        tuple(int(n) for n in np.unique(fixed // v["multiplier"] // 4)),
        is_clipped,
        in_blocks,
    )


def _outputs(call: KernelCall) -> Terms:
    v = numbers(call)
    return bounded(v, v["out_h"] * v["out_w"] * v["in_c"] * v["multiplier"])


def _three(call: KernelCall) -> Terms:
    stride, row = call.kernel.tile
    parts = counts.counts3(_shape(call, stride), 4 * row)
    names = ("assembly", "call", "tile", "strip", "part", "core")
    return dict(zip(names, parts, strict=True)) | _outputs(call)


def _kronecker(call: KernelCall) -> Terms:
    words, width, phases = call.kernel.tile
    is_clipped = numbers(call)["in_zp"] == INT8_MIN
    shape = _shape(call, phases, is_clipped=is_clipped, in_blocks=width == 0)
    parts = counts.counts_kronecker(shape, words)
    names = ("assembly", "call", "tile", "strip", "table", "core", "copied")
    return dict(zip(names, parts, strict=True)) | _outputs(call)


def _any(call: KernelCall) -> Terms:
    v = numbers(call)
    rows, columns = seen(v, "h"), seen(v, "w")
    fours, pixels = -(-v["in_c"] // 4), v["out_h"] * v["out_w"]
    some = int(np.count_nonzero(rows.inside)) * int(np.count_nonzero(columns.inside))
    return {
        "call": 1,
        "row": v["out_h"],
        "pixel": pixels,
        "four": pixels * fours,
        "sum": some * fours,
        "line": rows.total * int(np.count_nonzero(columns.inside)) * fours,
        "value": rows.total * columns.total * fours,
    }


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "dw3": _three,
    "dwk": _kronecker,
    "dw_any": _any,
}
