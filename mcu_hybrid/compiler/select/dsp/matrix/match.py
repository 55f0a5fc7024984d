"""Which layers are matrix products on the DSP tiles: 1x1 convolutions and fully connected layers as
they lie, any window through gathered columns.

Not here: how constants are packed (pack.py), params and scratch (call.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.dsp.matrix.call import Geometry, product, sliding
from mcu_hybrid.compiler.select.dsp.matrix.pack import pack_layer
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import conv2d
from mcu_hybrid.ops.depthwise_conv2d import DEPTHWISE_CONV_2D
from mcu_hybrid.ops.fully_connected import FULLY_CONNECTED
from mcu_hybrid.ops.weighted import WEIGHTS, weights_of


def match(graph: Graph, op: Op) -> Choice | None:
    """The kernel of a matrix layer, or None (other operators, groups, no exact form)."""
    if FULLY_CONNECTED.serves(op):
        return _fully_connected(graph, op)
    return _convolution(graph, op) if conv2d.CONV_2D.serves(op) else None


def _convolution(graph: Graph, op: Op[conv2d.Attrs]) -> Choice | None:
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


def _fully_connected(graph: Graph, op: Op) -> Choice | None:
    weights = weights_of(graph, op)
    packed = pack_layer(graph, op, weights)
    if packed is None:
        return None
    source, in_c = graph.tensor(op.inputs[0]), weights.shape[1]
    vectors = source.elements // in_c
    if in_c % 4 == 0:
        return product(op, packed, vectors)
    # Vectors of odd length lie unaligned: a 1x1 window over a row of them.
    zero_point = source.require_quant().zero_point
    return sliding(
        op, packed, Geometry(1, vectors, in_c, 1, vectors, 1, 1, 1, 1, 1, 1, 0, 0, zero_point)
    )


def match_one_channel(graph: Graph, op: Op) -> Choice | None:
    """DEPTHWISE_CONV_2D of a map of one channel as a convolution, on its kernels; or None.

    The same products, sums and factors, so the same outputs; the kernels gather a row at a time,
    which takes less scratch than the planes of the depthwise ones, and mostly more instructions.
    """
    if not DEPTHWISE_CONV_2D.serves(op) or graph.tensor(op.inputs[0]).shape[3] != 1:
        return None
    index = op.inputs[WEIGHTS]
    old = graph.tensor(index)
    weights = np.ascontiguousarray(weights_of(graph, op).transpose(3, 1, 2, 0))
    quant = replace(old.require_quant(), axis=0)
    transposed = replace(old, shape=weights.shape, data=weights, quant=quant)
    tensors = tuple(transposed if i == index else t for i, t in enumerate(graph.tensors))
    attrs = conv2d.Attrs(op.attrs.window, op.attrs.activation)
    same = conv2d.CONV_2D.make(op.name, op.inputs, op.outputs, attrs)
    return match(graph.with_(tensors=tensors), same)
