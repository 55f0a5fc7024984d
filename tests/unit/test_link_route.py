"""The pass that joins base and router: order, outputs, entropy-only form, foreign metadata."""

from __future__ import annotations

import numpy as np
import pytest

from mcu_hybrid.compiler.passes.link_route import link_route
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops import route_features as rf
from mcu_hybrid.quant import QuantParams

ATTRS = rf.make_attrs(4, 0.1, [0.5] * 5, [0.5] * 5, 1 / 127, -1)
METADATA = {
    "logits": "logits",
    "route_features": "route_features",
    "route_score": "route_score",
    "features": ATTRS.to_json(),
}


def tensor(name: str, size: int, scale: float = 0.1) -> Tensor:
    return Tensor(name, (1, size), "int8", QuantParams((scale,), (0,)))


def two_input_graph() -> Graph:
    """The router's operator comes first in the file: nothing in TFLite orders the two halves."""
    tensors = (
        tensor("image", 4),
        tensor("route_features", 5),
        tensor("logits", 4),
        tensor("route_score", 1),
    )
    ops = (
        Op("RELU", "router", (1,), (3,), None),
        Op("RELU", "base", (0,), (2,), None),
    )
    return Graph("m.tflite", tensors, ops, (0, 1), (3, 2))


def test_features_come_between_base_and_router():
    linked = link_route(two_input_graph(), METADATA)
    assert [op.kind for op in linked.ops] == ["RELU", "ROUTE_FEATURES", "RELU"]
    assert [op.name for op in linked.ops] == ["base", "route_features", "router"]
    assert linked.inputs == (0,)
    names = [linked.tensor(i).name for i in linked.outputs]
    assert names == ["logits", "route_score", "route_scores"]
    assert linked.tensor(linked.outputs[2]).dtype == "int32"
    outs = rf.reference(linked, linked.ops[1], [np.array([[9, -3, 2, 0]], np.int8)])
    assert outs[0].shape == (1, 5) and outs[1].shape == (1, 3)


def test_models_without_features_are_left_alone():
    graph = two_input_graph()
    assert link_route(graph, None) is graph
    assert link_route(graph, {"labels": ["a"]}) is graph


def test_a_plain_classifier_gets_the_simple_scores_as_last_output():
    graph = Graph(
        "m",
        (tensor("image", 4), tensor("logits", 4)),
        (Op("RELU", "b", (0,), (1,), None),),
        (0,),
        (1,),
    )
    linked = link_route(graph, {"logits": "logits", "features": ATTRS.to_json()})
    assert [linked.tensor(i).name for i in linked.outputs] == ["logits", "route_scores"]
    assert [op.kind for op in linked.ops] == ["RELU", "ROUTE_FEATURES"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"logits": "nothing"}, "names a tensor 'nothing'"),
        ({"route_score": "x"}, "names a tensor 'x'"),
        ({"route_features": "logits"}, "'logits' is not an input"),
        ({"features": {**ATTRS.to_json(), "scale_q24": 5}}, "of another model"),
        ({"features": {**ATTRS.to_json(), "top": 9}}, "top must be 4"),
    ],
)
def test_foreign_metadata_is_refused(change, words):
    with pytest.raises(ModelError, match=words):
        link_route(two_input_graph(), {**METADATA, **change})
