"""DEPTHWISE_CONV_2D of a map of one channel: a convolution, on the convolution's kernels.

The same products, sums and factors, so the same outputs; the kernels gather a row at a time, which
takes less scratch than the planes of the depthwise ones, and mostly more instructions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcu_hybrid.compiler.select import Choice, conv
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import conv2d
from mcu_hybrid.ops.depthwise_conv2d import DEPTHWISE_CONV_2D
from mcu_hybrid.ops.weighted import WEIGHTS, weights_of


def match(graph: Graph, op: Op) -> Choice | None:
    """The convolution's kernel, or None (several channels, no fast kernel)."""
    if not DEPTHWISE_CONV_2D.serves(op) or graph.tensor(op.inputs[0]).shape[3] != 1:
        return None
    index = op.inputs[WEIGHTS]
    old = graph.tensor(index)
    weights = np.ascontiguousarray(weights_of(graph, op).transpose(3, 1, 2, 0))
    quant = replace(old.require_quant(), axis=0)
    turned = replace(old, shape=weights.shape, data=weights, quant=quant)
    tensors = tuple(turned if i == index else t for i, t in enumerate(graph.tensors))
    attrs = conv2d.Attrs(op.attrs.window, op.attrs.activation)
    same = conv2d.CONV_2D.make(op.name, op.inputs, op.outputs, attrs)
    return conv.match(graph.with_(tensors=tensors), same)
