"""Calls of the matrix kernels (gemm, conv, convb) for whatever operator is a matrix product.

Here: names, params and scratch of the kernels in mh_nn_fast.h. Not here: which operator is which
(conv.py, fully_connected.py) and how constants are packed (packing.py).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import ceil

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


def product(op: Op, packed: Packed, pixels: int) -> Choice:
    """Multiply ``pixels`` vectors, a multiple of 4 long, that lie one after the other."""
    params = CStruct("mh_gemm_params", (*packed.fields, ("pixels", pixels)))
    scratch = (24 if pixels >= 3 else 8) * packed.steps
    return _choice(op, packed, "gemm", params, scratch, gemm_cost(packed, pixels))


def sliding(op: Op, packed: Packed, geometry: Geometry) -> Choice:
    """Multiply what a window sees at each of its places."""
    names = tuple(geometry.__dataclass_fields__)
    fields = (*packed.fields, *zip(names, astuple(geometry), strict=True))
    is_aligned = geometry.in_c % 4 == 0
    name = "conv" if is_aligned else "convb"
    scratch = 24 * packed.steps + (geometry.in_c if is_aligned else 12 * packed.steps)
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
