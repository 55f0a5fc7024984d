"""FULLY_CONNECTED on the DSP tiles: a matrix product, with one input vector or several."""

from __future__ import annotations

from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.matrix import Geometry, product, sliding
from mcu_hybrid.compiler.select.packing import pack_layer
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.fully_connected import FULLY_CONNECTED
from mcu_hybrid.ops.weighted import weights_of


def match(graph: Graph, op: Op) -> Choice | None:
    """The fast kernel of a fully connected layer, or None (other operators, no exact form)."""
    if not FULLY_CONNECTED.serves(op):
        return None
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
