"""CONV_2D on the DSP tiles: 1x1 as a matrix product, any window through gathered columns."""

from __future__ import annotations

from mcu_hybrid.codegen.fast import Choice
from mcu_hybrid.codegen.fast.matrix import Geometry, columns, product, sliding
from mcu_hybrid.codegen.fast.packing import pack_layer
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.weighted import weights_of

KINDS = ("CONV_2D",)


def match(graph: Graph, op: Op) -> Choice | None:
    """The fast kernel of a convolution, or None (other operators, groups, no exact form)."""
    if op.kind not in KINDS:
        return None
    weights = weights_of(graph, op)
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    out_c, height, width, depth = weights.shape
    if depth != source.shape[3]:
        return None
    packed = pack_layer(graph, op, columns(weights))
    if packed is None:
        return None
    window = op.attrs.window
    if (height, width) == (1, 1) and window.stride == (1, 1) and depth % 4 == 0:
        return product(op, packed, target.shape[1] * target.shape[2])
    geometry = Geometry(
        *source.shape[1:],
        *target.shape[1:3],
        *(height, width),
        *window.stride,
        *window.dilation,
        *window.before(source.shape[1:3], (height, width)),
        source.require_quant().zero_point,
    )
    return sliding(op, packed, geometry)
