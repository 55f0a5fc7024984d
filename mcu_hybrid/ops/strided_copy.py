"""TRANSPOSE and STRIDED_SLICE in C: five nested loops that read with strides, write in order.

Not here: which strides (each operator's module).
"""

from __future__ import annotations

from math import prod

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import CStruct, CTable, KernelCall, KernelId

LOOPS = 5  # MH_COPY_LOOPS: dimensions of TFLM's TRANSPOSE


def element_strides(shape: tuple[int, ...]) -> list[int]:
    """Distance in elements between neighbours along each dimension of a dense tensor."""
    return [prod(shape[i + 1 :]) for i in range(len(shape))]


def lower_copy(
    graph: Graph, op: Op[object], offset: int, extents: list[int], strides: list[int]
) -> KernelCall | None:
    """The call of mh_strided_copy_s8, or None where the bytes stay in place and in order.

    Args:
        offset: element of the input that the first output element copies.
        extents: output elements per loop, outermost first; at most ``LOOPS``.
        strides: input elements per step of each loop; negative goes backwards.
    """
    extents, strides = merge(extents, strides)
    source = graph.tensor(op.inputs[0])
    if (offset, extents, strides) == (0, [source.elements], [1]) and not source.is_const:
        return None
    missing = LOOPS - len(extents)
    loops = np.array([[1] * missing + extents, [0] * missing + strides], np.int32)
    fields = (("offset", offset), ("loops", CTable("loops", "int32_t", loops.reshape(-1))))
    params = CStruct("mh_strided_copy_params", fields)
    return KernelCall(
        KernelId("strided_copy"), params, "unary", op.inputs[:1], op.outputs, "strided_copy_s8"
    )


def merge(extents: list[int], strides: list[int]) -> tuple[list[int], list[int]]:
    """The same copy in as few loops as possible (at least one): long inner runs are fast."""
    merged: list[tuple[int, int]] = []
    for extent, stride in zip(extents, strides, strict=True):
        if extent == 1:
            continue
        if merged and merged[-1][1] == extent * stride:
            extent *= merged.pop()[0]
        merged.append((extent, stride))
    merged = merged or [(1, 1)]
    return [extent for extent, _ in merged], [stride for _, stride in merged]
