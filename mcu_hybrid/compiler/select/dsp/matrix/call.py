"""Calls of the matrix kernels (gemm, conv, conv_band) for whatever operator is a matrix product.

Here: names, params and scratch of the kernels in mh_nn_fast.h. Not here: which operator is which
(match.py) and how constants are packed (pack.py).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace

import numpy as np

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.dsp.limits import fit_int16
from mcu_hybrid.compiler.select.dsp.matrix.pack import SMALL, Packed
from mcu_hybrid.graph.types import Op
from mcu_hybrid.ops.base import CStruct, CSymbol, Field, KernelCall, KernelId

_HELPERS = ("gemm_s8", "widen_s8")


@dataclass(frozen=True)
class Geometry:
    """A window over a map; the fields of mh_conv_fast_params, in their order."""

    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int
    in_zp: int

    @property
    def band_bytes(self) -> int:
        """Bytes of the rows that an output row sees, padded, and what groups of 4 read over."""
        reach = (self.out_w - 1) * self.stride_w + (self.kernel_w - 1) * self.dilation_w + 1
        pixels = max(reach, self.pad_left + self.in_w)
        return (pixels * self.kernel_h * self.in_c + 3 + 3) // 4 * 4

    def overlap(self, out_c: int) -> int:
        """How far the map must lie above the output where the two overlap (Choice.overlap).

        Pixels are written in threes, each three after its windows have been read; where channels
        are not a multiple of 4, all rows that an output row sees are read before it.
        """
        y = np.maximum(np.arange(self.out_h) * self.stride_h - self.pad_top, 0)
        x = np.maximum(np.arange(self.out_w) * self.stride_w - self.pad_left, 0)
        row_bytes, pixels = self.in_w * self.in_c, self.out_h * self.out_w
        if self.in_c % 4:
            written, read = np.arange(self.out_h) * self.out_w, y * row_bytes
        else:
            starts = (y[:, None] * row_bytes + x[None, :] * self.in_c).reshape(-1)
            read = np.minimum.accumulate(starts[::-1])[::-1]  # no later pixel reads below
            written = np.arange(3, pixels, 3) if pixels > 3 else np.zeros(0, np.int64)
            written = np.union1d(written, np.arange(pixels - pixels % 3, pixels))
            read = read[written]
        return max(int((written * out_c - read).max(initial=0)), 0)

    def columns(self, weights: np.ndarray) -> np.ndarray:
        """Filters [out, height, width, in] as [out, sum's length] in the order of the kernel."""
        order = weights if self.in_c % 4 == 0 else weights.transpose(0, 2, 1, 3)
        return order.reshape(weights.shape[0], -1)


def product(op: Op, packed: Packed, pixels: int) -> Choice:
    """Multiply ``pixels`` vectors, a multiple of 4 long, that lie one after the other."""
    kernel = packed.kernel("gemm")
    params = CStruct("mh_gemm_params", (_form(kernel), *packed.fields, ("pixels", pixels)))
    scratch = (24 if pixels >= 3 or packed.is_small else 8) * packed.steps
    # Pixels are written in threes, each three after it has been read.
    before_last = pixels - 1 if pixels % 3 else pixels - 3
    overlap = max(before_last * (packed.out_c - 4 * packed.steps), 0)
    found = _choice(op, packed, kernel, params, scratch, overlap)
    small = None if packed.is_small else packed.small()
    return found if small is None else replace(found, others=(product(op, small, pixels),))


def sliding(op: Op, packed: Packed, geometry: Geometry) -> Choice | None:
    """Multiply what a window sees at each of its places; None where a map is too large."""
    if not fit_int16(astuple(geometry)):
        return None
    names = tuple(geometry.__dataclass_fields__)
    band = ("band_bytes", geometry.band_bytes)
    is_aligned = geometry.in_c % 4 == 0
    kernel = packed.kernel("conv" if is_aligned else "conv_band")
    sizes = zip(names, astuple(geometry), strict=True)
    extra = geometry.in_c if is_aligned else 12 * packed.steps + geometry.band_bytes
    scratch = 24 * packed.steps + extra
    params = CStruct("mh_conv_fast_params", (_form(kernel), *packed.fields, *sizes, band))
    found = _choice(op, packed, kernel, params, scratch, geometry.overlap(packed.out_c))
    small = None if packed.is_small else packed.small()
    other = None if small is None else sliding(op, small, geometry)
    return found if other is None else replace(found, others=(other,))


def _form(kernel: KernelId) -> Field:
    """The mh_gemm_form of a kernel."""
    if kernel.variant == SMALL:
        return "form", CSymbol(f"mh_form_{kernel.form_name}_small", "gemm_small_s8")
    return "form", CSymbol(f"mh_form_{kernel.form_name}", "gemm_s8")


def _choice(
    op: Op, packed: Packed, kernel: KernelId, params: CStruct, scratch: int, overlap: int
) -> Choice:
    call = KernelCall(
        kernel,
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        f"{kernel.family}_fast_s8",
        (*_HELPERS, *_on_demand(packed)),
    )
    found = cost.instructions(call, cost.DSP)
    return Choice(call, scratch, (), found, packed.forms, overlap)


def _on_demand(packed: Packed) -> tuple[str, ...]:
    """Kernel files for the small tile, the channel left of an odd number, and for bounds."""
    small = ("gemm_small_s8",) if packed.is_small else ()
    odd = ("gemm_odd_s8",) if packed.out_c % 2 else ()
    return (*small, *odd, *(("bound_s8",) if packed.is_clamped else ()))
