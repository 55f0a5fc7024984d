"""A table that only clamps what the layer before it gives becomes that layer's activation.

RELU and RELU6 as operators of their own, mostly. Exact: tried for every value that the layer can
have before its own clamp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.passes.compose_tables import byte_function
from mcu_hybrid.compiler.passes.edit import Edit, counted, same_quant
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.activation import NONE, RELU, RELU6, RELU_N1_TO_1, activation_range


def fuse_clamps(graph: Graph, metadata: Mapping[str, Any] | None = None) -> Graph:
    """Return the graph with clamping tables fused into the layers before them."""
    edit = Edit(graph)
    fused = 0
    for op in graph.ops:
        current = edit.current(op)
        function = byte_function(edit.now(), current, {})
        if function is None or edit.only_reader(function.root) is not current:
            continue
        layer = edit.producer(function.root)
        if layer is None or not ops.traits(layer).clamps:
            continue
        source, target = edit.tensors[function.root], edit.tensors[current.outputs[0]]
        activation = _activation(edit, layer, function.table)
        if activation is None or not same_quant(source, target) or source.shape != target.shape:
            continue
        edit.remove(current)
        attrs = replace(layer.attrs, activation=activation)
        edit.replace_op(layer, replace(layer, outputs=current.outputs, attrs=attrs))
        fused += 1
    return edit.finish("fuse_clamps", f"{counted(fused, 'activation')} fused into layers")


def _activation(edit: Edit, layer: Op, table: np.ndarray) -> int | None:
    """The activation that does what the layer's own one and then the table do, or None."""
    quant = edit.tensors[layer.outputs[0]].require_quant()
    # Beyond int8 every clamp is saturated: this covers all values before it.
    values = np.arange(-1024, 1024)
    clamped = np.clip(values, *activation_range(layer.attrs.activation, quant))
    wanted = table[clamped.astype(np.int8).view(np.uint8)]
    for activation in (layer.attrs.activation, NONE, RELU, RELU6, RELU_N1_TO_1):
        if np.array_equal(np.clip(values, *activation_range(activation, quant)), wanted):
            return int(activation)
    return None
