"""Calls of the matrix kernels (gemm, conv, convb) for whatever operator is a matrix product.

Here: names, params and scratch of the kernels in mh_nn_fast.h. Not here: which operator is which
(conv.py, fully_connected.py) and how constants are packed (packing.py).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import ceil

import numpy as np

from mcu_hybrid.codegen.fast import Choice
from mcu_hybrid.codegen.fast.cost import columns_cost, gemm_cost
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
    def row_bytes(self) -> int:
        """Bytes of one row of the window."""
        return self.kernel_w * self.in_c

    @property
    def rest_bytes(self) -> int:
        """Bytes that are left of the rows after their groups of 4, as a multiple of 4."""
        return -(-(self.row_bytes % 4) * self.kernel_h // 4) * 4


def columns(weights: np.ndarray) -> np.ndarray:
    """Filters [out, height, width, in] as [out, sum's length] in the order of the columns."""
    rows = weights.reshape(*weights.shape[:2], -1)
    whole = rows.shape[2] // 4 * 4
    parts = rows[:, :, :whole], rows[:, :, whole:]
    return np.concatenate([part.reshape(weights.shape[0], -1) for part in parts], 1)


def product(op: Op, packed: Packed, pixels: int) -> Choice:
    """Multiply ``pixels`` vectors, a multiple of 4 long, that lie one after the other."""
    params = CStruct("mh_gemm_params", (*packed.fields, ("pixels", pixels)))
    scratch = (24 if pixels >= 3 else 8) * packed.steps
    return _choice(op, packed, "gemm", params, scratch, gemm_cost(packed, pixels))


def sliding(op: Op, packed: Packed, geometry: Geometry) -> Choice:
    """Multiply what a window sees at each of its places."""
    names = tuple(geometry.__dataclass_fields__)
    fields = (*packed.fields, *zip(names, astuple(geometry), strict=True))
    if geometry.in_c % 4 == 0:
        name, extra = "conv", geometry.in_c
    else:
        name, extra = "convb", 3 * (geometry.rest_bytes + geometry.kernel_h * geometry.row_bytes)
    scratch = 24 * packed.steps + extra
    cost = gemm_cost(packed, geometry.out_h * geometry.out_w) + columns_cost(geometry)
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
