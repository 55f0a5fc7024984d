"""CONV_2D and FULLY_CONNECTED on the MVE tiles: packed weights, params and calls.

``mh_nn_mve.h`` has the layout of the stream. Not here: depthwise convolutions (../depthwise),
and windows that are dilated sideways, whose bytes do not lie together in the kernels' band.
"""

from __future__ import annotations

from dataclasses import astuple

import numpy as np

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.mve.matrix.pack import BLOCK, Geometry, matrix_fields
from mcu_hybrid.compiler.select.mve.requant import requant_of
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import CStruct, KernelCall, KernelId
from mcu_hybrid.ops.conv2d import CONV_2D
from mcu_hybrid.ops.fully_connected import FULLY_CONNECTED
from mcu_hybrid.ops.weighted import weights_of

_STEMS = ("mve_tile_s8", "mve_multiply_s8")


def match(graph: Graph, op: Op) -> Choice | None:
    """The kernel of a convolution or fully connected layer; None for other operators."""
    if FULLY_CONNECTED.serves(op):
        weights = weights_of(graph, op)
        pixels = graph.tensor(op.inputs[0]).elements // weights.shape[1]
        return _gemm(graph, op, weights, pixels)
    if not CONV_2D.serves(op):
        return None
    weights = weights_of(graph, op)
    if weights.shape[3] != graph.tensor(op.inputs[0]).shape[3]:
        return None
    return convolution(graph, op, weights)


def convolution(graph: Graph, op: Op, weights: np.ndarray) -> Choice | None:
    """The kernel of a window with weights [out, height, width, in]; None where it is dilated."""
    source, target = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    out_c, height, width, in_c = weights.shape
    window = op.attrs.window
    size, out = (source[1], source[2]), (target[1], target[2])
    top, left = window.before(size, (height, width))
    is_small = (height, width) == (1, 1) and not any((top, left, *window.after(size, (1, 1))))
    if is_small and window.stride == (1, 1):
        return _gemm(graph, op, weights.reshape(out_c, in_c), out[0] * out[1])
    if window.dilation[1] != 1 and width > 1:
        return None
    columns = max((out[1] - 1) * window.stride[1] + width, left + size[1])
    geometry = Geometry(
        *(size[0], size[1], in_c, out[0], out[1], height),
        *(window.stride[0], window.stride[1], window.dilation[0], top, left),
        graph.tensor(op.inputs[0]).require_quant().zero_point,
        columns,
    )
    flat = weights.transpose(0, 2, 1, 3).reshape(out_c, -1)
    if is_small:
        return _choice(graph, op, "gemm", flat, geometry)
    return _choice(graph, op, "conv", flat, geometry)


def _gemm(graph: Graph, op: Op, weights: np.ndarray, pixels: int) -> Choice:
    in_c = weights.shape[1]
    geometry = Geometry(1, pixels, in_c, 1, pixels, 1, 1, 1, 1, 0, 0, 0, pixels)
    return _choice(graph, op, "gemm", weights, geometry)


def _choice(graph: Graph, op: Op, name: str, weights: np.ndarray, geometry: Geometry) -> Choice:
    requant = requant_of(graph, op, weights.astype(np.int64).sum(1))
    head, tail = matrix_fields(weights, requant)
    fields = (*head, *zip(geometry.__dataclass_fields__, astuple(geometry), strict=True))
    call = KernelCall(
        KernelId(f"mve_{name}", (tail,), requant.form),
        CStruct("mh_mve_matrix_params", fields),
        "unary",
        op.inputs[:1],
        op.outputs,
        f"mve_{name}_s8",
        _STEMS,
    )
    scratch = geometry.band_bytes + BLOCK if name == "conv" else 0
    found = cost.instructions(call, cost.MVE)
    return Choice(call, scratch, (), found, {f"mve {requant.form}": len(weights)})
