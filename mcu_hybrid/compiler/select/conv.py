"""CONV_2D on the DSP tiles: 1x1 as a matrix product, any window through gathered columns."""

from __future__ import annotations

from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.matrix import Geometry, product, sliding
from mcu_hybrid.compiler.select.packing import pack_layer
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import conv2d
from mcu_hybrid.ops.weighted import weights_of


def match(graph: Graph, op: Op) -> Choice | None:
    """The fast kernel of a convolution, or None (other operators, groups, no exact form)."""
    if not conv2d.CONV_2D.serves(op):
        return None
    weights = weights_of(graph, op)
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    height, width, depth = weights.shape[1:]
    if depth != source.shape[3]:
        return None
    window = op.attrs.window
    size, out = (source.shape[1], source.shape[2]), (target.shape[1], target.shape[2])
    top, left = window.before(size, (height, width))
    geometry = Geometry(
        *(size[0], size[1], depth),
        *(out[0], out[1]),
        *(height, width),
        *(window.stride[0], window.stride[1]),
        *(window.dilation[0], window.dilation[1]),
        *(top, left),
        source.require_quant().zero_point,
    )
    packed = pack_layer(graph, op, geometry.columns(weights))
    if packed is None:
        return None
    if (height, width) == (1, 1) and window.stride == (1, 1) and depth % 4 == 0:
        return product(op, packed, out[0] * out[1])
    return sliding(op, packed, geometry)
