"""Channels whose factor is 0 get weights and bias 0.

A factor below 2**-31 is 0 in TFLite's arithmetic, and the channel's output its zero point whatever
the sum is; converters write a saturated bias there, with which a sum of 32 bits would overflow.
Exact. Always done, for the reference kernels too; taking the channels out is fold_dead's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcu_hybrid.graph.types import ABSENT, Graph, Op, Tensor
from mcu_hybrid.ops import traits
from mcu_hybrid.ops.base import Weighted
from mcu_hybrid.ops.weighted import BIAS, WEIGHTS, factors


def silence(graph: Graph, metadata: Mapping[str, Any] | None = None) -> Graph:
    """Return the graph without weights that no output depends on."""
    tensors, ops = list(graph.tensors), list(graph.ops)
    for position, op in enumerate(ops):
        weighted = traits(op).weighted
        if weighted is None:
            continue
        silent = factors(graph, op, graph.tensor(op.outputs[0]).shape[-1])[0] == 0
        if silent.any():
            ops[position] = _silenced(op, weighted, tensors, silent)
    if len(tensors) == len(graph.tensors):
        return graph
    return graph.with_(tensors=tuple(tensors), ops=tuple(ops))


def _silenced(
    op: Op[Any], weighted: Weighted, tensors: list[Tensor], silent: np.ndarray
) -> Op[Any]:
    """The operator with constants of its own: others may read the same ones."""
    inputs = list(op.inputs)
    for place in (WEIGHTS, BIAS):
        if place >= len(inputs) or inputs[place] == ABSENT:
            continue
        old = tensors[inputs[place]]
        assert old.data is not None  # checked when it was read
        axis = weighted.channel_axis if place == WEIGHTS else -1
        data = np.moveaxis(old.data.copy(), axis, -1)
        data[..., silent] = 0
        data = np.ascontiguousarray(np.moveaxis(data, -1, axis))
        if not np.array_equal(data, old.data):
            inputs[place] = len(tensors)
            tensors.append(replace(old, data=data))
    return replace(op, inputs=tuple(inputs))
