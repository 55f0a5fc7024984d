"""CONV_2D and FULLY_CONNECTED on the scalar tiles: weights in groups of 4 channels x 4 inputs."""

from __future__ import annotations

from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.scalar.matrix.pack import GROUP, Packed, pack_layer
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import CStruct, KernelCall, KernelId
from mcu_hybrid.ops.conv2d import CONV_2D
from mcu_hybrid.ops.fully_connected import FULLY_CONNECTED
from mcu_hybrid.ops.padding import window_fields
from mcu_hybrid.ops.weighted import weights_of

_HELPERS = ("scalar_dot_s8", "scalar_matrix_s8")


def match(graph: Graph, op: Op) -> Choice | None:
    """The scalar kernel of a matrix layer, or None (other operators, groups, no exact form)."""
    if FULLY_CONNECTED.serves(op):
        return _dense(graph, op)
    if not CONV_2D.serves(op):
        return None
    weights, source = weights_of(graph, op), graph.tensor(op.inputs[0])
    height, width, depth = weights.shape[1:]
    if depth != source.shape[3]:
        return None
    layer = pack_layer(graph, op, weights.reshape(len(weights), -1))
    if layer is None:
        return None
    target = graph.tensor(op.outputs[0])
    is_point = (height, width) == (1, 1) and source.shape == (*target.shape[:3], depth)
    if is_point and op.attrs.window.stride == (1, 1) and depth % GROUP == 0:
        return _gemm(op, layer, target.shape[1] * target.shape[2])
    return _conv(graph, op, layer, (height, width))


def _dense(graph: Graph, op: Op) -> Choice | None:
    weights = weights_of(graph, op)
    layer = pack_layer(graph, op, weights)
    if layer is None:
        return None
    depth = weights.shape[1]
    vectors = graph.tensor(op.inputs[0]).elements // depth
    return _gemm(op, layer, vectors) if depth % GROUP == 0 else _rows(graph, op, layer, vectors)


def _gemm(op: Op, layer: Packed, pixels: int) -> Choice:
    params = CStruct("mh_scalar_gemm_params", (*layer.fields, ("pixels", pixels)))
    return _choice(op, layer, "gemm", params, 0)


def _conv(graph: Graph, op: Op, layer: Packed, kernel: tuple[int, int]) -> Choice:
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    sizes = (
        ("in_h", source.shape[1]),
        ("in_w", source.shape[2]),
        ("in_c", source.shape[3]),
        ("out_h", target.shape[1]),
        ("out_w", target.shape[2]),
        *window_fields(graph, op, op.attrs.window, kernel, dilated=True),
        ("in_zp", source.require_quant().zero_point),
    )
    params = CStruct("mh_scalar_conv_params", (*layer.fields, *sizes))
    return _choice(op, layer, "conv", params, 8 * layer.steps)


def _rows(graph: Graph, op: Op, layer: Packed, vectors: int) -> Choice:
    """Vectors of odd length: a 1x1 window over a row of them."""
    source = graph.tensor(op.inputs[0])
    ones = ("in_h", "out_h", "kernel_h", "kernel_w")
    steps = ("stride_h", "stride_w", "dilation_h", "dilation_w")
    sizes = dict.fromkeys((*ones, *steps), 1)
    sizes |= {"in_w": vectors, "out_w": vectors, "in_c": source.elements // vectors}
    sizes |= {"pad_top": 0, "pad_left": 0, "in_zp": source.require_quant().zero_point}
    params = CStruct("mh_scalar_conv_params", (*layer.fields, *sizes.items()))
    return _choice(op, layer, "conv", params, 8 * layer.steps)


def _choice(op: Op, layer: Packed, name: str, params: CStruct, scratch: int) -> Choice:
    call = KernelCall(
        KernelId(f"scalar_{name}"),
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        f"scalar_{name}_s8",
        _HELPERS,
    )
    return Choice(call, scratch, (), None, layer.requant.forms)
