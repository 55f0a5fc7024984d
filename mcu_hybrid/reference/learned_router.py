"""The learned router's scores from its int8 inputs alone: its layers run by their references.

The whole graph's are those of ``interp``; here the router is fed features that need no image.
"""

from __future__ import annotations

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops.route_features import link_of


def base_features(graph: Graph) -> int | None:
    """The int8 tensor z of the base that the router of a linked graph reads; None for none."""
    router, made = _router_ops(graph)
    for op in router:
        for index in op.inputs:
            if index != ABSENT and index not in made and graph.tensor(index).data is None:
                return index
    return None


def _features(graph: Graph) -> int:
    """The tensor of the route features."""
    link = link_of(graph)
    assert link is not None, graph.name
    return link.outputs[0]


def _router_ops(graph: Graph) -> tuple[list[Op], set[int]]:
    """The operators behind the route features; the features' number and those of their outputs."""
    made = {_features(graph)}
    router = []
    for op in graph.ops:
        if made.intersection(op.inputs):
            router.append(op)
            made.update(op.outputs)
    return router, made


def score(graph: Graph, features: np.ndarray, z: np.ndarray | None = None) -> np.ndarray:
    """Scores int32 [N] of int8 features [N, 1 + k]: the integers that the device computes.

    Args:
        graph: the linked graph; its second output is the score.
        z: int8 [N, C], the base's features, for a router that reads them (``base_features``).
    """
    start = _features(graph)
    tensor_z = base_features(graph)
    if (tensor_z is None) != (z is None):
        raise ValueError("z belongs to routers that read the base's features, and to no other")
    router, _ = _router_ops(graph)
    rows = []
    for n, row in enumerate(np.asarray(features, np.int8)):
        values = {start: row.reshape(graph.tensor(start).shape)}
        if tensor_z is not None and z is not None:
            values[tensor_z] = np.asarray(z[n], np.int8).reshape(graph.tensor(tensor_z).shape)
        for op in router:
            operands = [
                None if i == ABSENT else values.get(i, graph.tensor(i).data) for i in op.inputs
            ]
            results = ops.operator(op.kind).reference(graph, op, operands)
            values.update(zip(op.outputs, results, strict=True))
        rows.append(int(values[graph.outputs[1]].ravel()[0]))
    return np.array(rows, np.int32)
