"""Calls of the DSP depthwise kernels: params, forms and streams (mh_nn_fast_dw.h).

Not here: which kernel takes a layer, and in which parts (match.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.compiler.select.dsp.depthwise.layer import Layer
from mcu_hybrid.compiler.select.dsp.depthwise.pack import Form, Rows
from mcu_hybrid.compiler.select.dsp.limits import bound_sources
from mcu_hybrid.graph.types import Op
from mcu_hybrid.ops.base import CStruct, CSymbol, CTable, Field, KernelCall, KernelId

ANY_WIDTH = 0  # of dwk's tile: rows of any width
FIXUP = "fixup"  # the variant that computes some channels again, with the exact form
_END = 0xFFFF
_SOURCES = {
    "dw3": ("depthwise3_s8", ("gather_s8",)),
    "dwk": ("depthwise_kronecker_s8", ("gather_kronecker_s8", "gather_s8")),
}


@dataclass(frozen=True)
class Cut:
    """The parts in which a layer is computed: output rows and columns at a time, scratch bytes."""

    strip: int
    tile: int
    scratch: int


def kernel_id(family: str, tile: tuple[int, ...], form: Form) -> KernelId:
    """Tiles: dw3 (stride, bytes of a plane's row), dwk (words, width of rows, phases)."""
    return KernelId(family, tile, form.name, form.shift, "" if form.fixup is None else FIXUP)


def _form_field(kernel: KernelId) -> Field:
    end = f"{kernel.form_name}{'x' if kernel.variant == FIXUP else ''}"
    source = _SOURCES[kernel.family][0]
    if kernel.family == "dw3":
        stride, row = kernel.tile
        return "form.three", CSymbol(f"mh_form_dw3s{stride}w{row}_{end}", source)
    words, width, phases = kernel.tile
    rows = "any" if width == ANY_WIDTH else f"w{width}"
    return "form.kronecker", CSymbol(f"mh_form_dwk{words}{rows}_s{phases}_{end}", source)


def kernel_call(
    op: Op,
    layer: Layer,
    form: Form,
    cut: Cut,
    kernel: KernelId,
    words: np.ndarray,
    again: np.ndarray,
) -> KernelCall:
    """The call of a kernel; ``words`` and ``again`` are the packed weights of the form's rows."""
    fixup: tuple[Field, ...] = (("fixup_stream", None), ("fixup", None))
    if form.fixup is not None:
        numbers = np.append(form.fixup.channels, _END).astype(np.uint16)
        fixup = (
            ("fixup_stream", _stream("fixup_stream", again, form.fixup)),
            ("fixup", CTable("fixup", "uint16_t", numbers)),
        )
    fields = (
        _form_field(kernel),
        ("stream", _stream("stream", words, form.rows)),
        *fixup,
        *zip(("in_h", "in_w", "in_c"), layer.in_shape, strict=True),
        *zip(("out_h", "out_w"), layer.out_shape[:2], strict=True),
        *zip(("in_pixel", "in_row"), layer.steps(layer.in_shape), strict=True),
        *zip(("out_pixel", "out_row"), layer.steps(layer.out_shape), strict=True),
        ("multiplier", layer.multiplier),
        *zip(("pad_top", "pad_left"), layer.pad, strict=True),
        ("in_zp", layer.in_zp),
        *zip(("kernel_h", "kernel_w"), layer.kernel, strict=True),
        ("stride_h", layer.stride[0]),
        ("strip", cut.strip),
        ("tile", cut.tile),
        ("lo", layer.channels.lo),
        ("hi", layer.channels.hi),
    )
    source, helpers = _SOURCES[kernel.family]
    return KernelCall(
        kernel,
        CStruct("mh_dw_params", fields),
        "unary",
        op.inputs[:1],
        op.outputs,
        source,
        (*helpers, *bound_sources(layer.channels.lo, layer.channels.hi)),
    )


def _stream(name: str, words: np.ndarray, rows: Rows) -> CTable:
    data = np.concatenate([words, rows.constants], 1) & 0xFFFFFFFF
    return CTable(name, "uint32_t", data.astype(np.uint32).reshape(-1))


def inplace(layer: Layer, cut: Cut) -> tuple[tuple[int, int], ...]:
    """((0, 0),) where what a strip writes lies on pixels that have all been gathered."""
    (in_h, in_w, _), (out_h, out_w, _) = layer.in_shape, layer.out_shape
    if layer.multiplier != 1 or cut.tile < out_w:
        return ()
    if layer.is_transposed and cut.strip < out_h and (in_h, in_w) != (out_h, out_w):
        return ()
    for end in range(cut.strip, out_h + cut.strip, cut.strip):
        rows = (min(end, out_h) - 1) * layer.stride[0] - layer.pad[0] + layer.kernel[0]
        if min(end, out_h) * out_w > min(rows, in_h) * in_w:
            return ()
    return ((0, 0),)
