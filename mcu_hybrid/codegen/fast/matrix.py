"""Calls of the matrix kernels (gemm, conv, convb) for whatever operator is a matrix product.

Here: names, params and scratch of the kernels in mh_nn_fast.h. Not here: which operator is which
(conv.py, fully_connected.py) and how constants are packed (packing.py).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import ceil

import numpy as np

from mcu_hybrid.codegen.fast import Choice
from mcu_hybrid.codegen.fast.cost import product_cost, sliding_cost
from mcu_hybrid.codegen.fast.packing import Packed
from mcu_hybrid.graph.types import Op
from mcu_hybrid.ops.base import CStruct, KernelCall

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

    def columns(self, weights: np.ndarray) -> np.ndarray:
        """Filters [out, height, width, in] as [out, sum's length] in the order of the kernel."""
        order = weights if self.in_c % 4 == 0 else weights.transpose(0, 2, 1, 3)
        return order.reshape(weights.shape[0], -1)


def product(op: Op, packed: Packed, pixels: int) -> Choice:
    """Multiply ``pixels`` vectors, a multiple of 4 long, that lie one after the other."""
    params = CStruct("mh_gemm_params", (*packed.fields, ("pixels", pixels)))
    scratch = (24 if pixels >= 3 else 8) * packed.steps
    return _choice(op, packed, "gemm", params, scratch, product_cost(packed, pixels))


def sliding(op: Op, packed: Packed, geometry: Geometry) -> Choice:
    """Multiply what a window sees at each of its places."""
    names = tuple(geometry.__dataclass_fields__)
    band = ("band_bytes", geometry.band_bytes)
    fields = (*packed.fields, *zip(names, astuple(geometry), strict=True), band)
    is_aligned = geometry.in_c % 4 == 0
    name = "conv" if is_aligned else "convb"
    extra = geometry.in_c if is_aligned else 12 * packed.steps + geometry.band_bytes
    scratch = 24 * packed.steps + extra
    cost = sliding_cost(packed, geometry)
    return _choice(op, packed, name, CStruct("mh_conv_fast_params", fields), scratch, cost)


def _choice(
    op: Op, packed: Packed, name: str, params: CStruct, scratch: int, cost: float
) -> Choice:
    call = KernelCall(
        f"mh_{name}_{packed.form}_s8",
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        f"{name}_fast_s8",
        _HELPERS,
    )
    return Choice(call, scratch, (), ceil(cost), packed.forms)
