"""DEPTHWISE_CONV_2D on MVE: planes of one channel each, a window being one run of bytes.

``mh_nn_mve.h`` has the layout of the stream. A single input channel makes a layer an ordinary
convolution (../matrix). Not here: factors of one or more, which no form of the kernel takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.mve.depthwise.pack import (
    LANES,
    OUTPUTS,
    Shape,
    lanes_of,
    pack_stream,
)
from mcu_hybrid.compiler.select.mve.matrix.match import convolution
from mcu_hybrid.compiler.select.mve.requant import ANY, Requant, requant_of
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import CStruct, CSymbol, CTable, KernelCall, KernelId
from mcu_hybrid.ops.depthwise_conv2d import DEPTHWISE_CONV_2D
from mcu_hybrid.ops.padding import Window
from mcu_hybrid.ops.weighted import weights_of

SCRATCH_BYTES = 8192  # planes of all channels may take this, else blocks of channels take turns
_SPREAD = 32  # channels that the kernel moves to their planes together
_UINT16 = 65535


@dataclass(frozen=True)
class Layer:
    """What the costs depend on; ``columns`` are all that an output row's windows see."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    columns: int
    window: Window
    kernel: tuple[int, int]


def match(graph: Graph, op: Op) -> Choice | None:
    """The kernel of a depthwise convolution; None for other operators and very large windows."""
    if not DEPTHWISE_CONV_2D.serves(op):
        return None
    weights = weights_of(graph, op)
    source, target = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    if source[3] == 1:
        return convolution(graph, op, weights.transpose(3, 1, 2, 0))
    requant = requant_of(graph, op, weights.astype(np.int64).sum((0, 1, 2)))
    if requant.form == ANY:
        return None
    columns = _columns(op, source, target, weights)
    shapes = [
        shape
        for shape in _shapes(op, weights)
        if (OUTPUTS - 1) * columns * shape.band_rows <= _UINT16
        and ((shape.rows - 1) * target[2] + OUTPUTS) * target[3] <= _UINT16
    ]
    if not shapes:
        return None
    layer = Layer(source, target, columns, op.attrs.window, (weights.shape[1], weights.shape[2]))
    choices = [_choice(graph, op, weights, requant, shape, layer) for shape in shapes]
    return min(choices, key=lambda choice: choice.instructions or 0)


def _columns(op: Op, source: tuple[int, ...], target: tuple[int, ...], weights: np.ndarray) -> int:
    window, kernel = op.attrs.window, weights.shape[1:3]
    left = window.before(source[1:3], kernel)[1]
    reach = (target[2] - 1) * window.stride[1] + window.reach(kernel)[1]
    return int(max(reach, left + source[2]))


def _shapes(op: Op, weights: np.ndarray) -> Iterator[Shape]:
    """Those that the kernels have and that hold the window."""
    stride = op.attrs.window.stride[0]
    height, width = op.attrs.window.reach(weights.shape[1:3])
    for rows in (1, 2, 4):
        if stride > {1: stride, 2: 2, 4: 1}[rows]:
            continue
        band_rows = height + (rows - 1) * stride
        span = (width - 1) * band_rows + height
        for vectors in (1,) if rows == 4 else (1, 2, 3, 4):
            shape = Shape(rows, stride if rows > 1 else 1, vectors, band_rows)
            if span + (stride if shape.is_shared else 0) <= LANES * vectors:
                yield shape
                break


def _choice(
    graph: Graph, op: Op, weights: np.ndarray, requant: Requant, shape: Shape, layer: Layer
) -> Choice:
    source, target, window, kernel = layer.source, layer.target, layer.window, layer.kernel
    top, left = window.before((source[1], source[2]), kernel)
    plane_bytes = layer.columns * shape.band_rows
    block = _block(source[3], plane_bytes)
    stream, weight_bytes = pack_stream(weights, requant)
    tile = (shape.rows, shape.stride, shape.vectors)
    name = "_".join(("mh_form_planes", requant.form, *map(str, tile)))
    lanes = lanes_of(kernel, window.dilation, shape)
    params = CStruct(
        "mh_mve_depthwise_params",
        (
            ("form", CSymbol(name, "mve_depthwise_s8")),
            ("stream", CTable("stream", "uint32_t", stream)),
            ("lanes", CTable("lanes", "uint8_t", lanes)),
            ("weight_bytes", weight_bytes),
            ("in_h", source[1]),
            ("in_w", source[2]),
            ("in_c", source[3]),
            ("out_h", target[1]),
            ("out_w", target[2]),
            ("multiplier", target[3] // source[3]),
            ("stride_h", window.stride[0]),
            ("stride_w", window.stride[1]),
            ("pad_top", top),
            ("pad_left", left),
            ("in_zp", graph.tensor(op.inputs[0]).require_quant().zero_point),
            ("out_zp", requant.out_zp),
            ("lo", requant.lo),
            ("hi", requant.hi),
            ("band_rows", shape.band_rows),
            ("plane_bytes", plane_bytes),
            ("block", block),
        ),
    )
    call = KernelCall(
        KernelId("mve_depthwise", tile, requant.form),
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        "mve_depthwise_s8",
        ("mve_planes_s8", "mve_multiply_s8"),
    )
    beyond = OUTPUTS // shape.rows * window.stride[1] * shape.band_rows + LANES * shape.vectors
    found = cost.instructions(call, cost.MVE)
    forms = {f"mve {requant.form}": target[3]}
    return Choice(call, block * plane_bytes + beyond, (), found, forms)


def _block(channels: int, plane_bytes: int) -> int:
    """Channels whose planes lie in scratch at the same time."""
    fitting = max(SCRATCH_BYTES // plane_bytes, 8)
    if channels <= fitting:
        return channels
    return fitting // _SPREAD * _SPREAD or fitting // 8 * 8
