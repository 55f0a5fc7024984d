"""Joins base and router: the file's second input becomes ROUTE_FEATURES of the logits.

An exported hybrid has two inputs (image, route features) because TFLite cannot compute the
features. Here the second input goes away and the operator that computes it goes in. Nothing else
changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.pixels import pixels_from_json
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.mechanisms import of_logits
from mcu_hybrid.mechanisms.base import SCORES
from mcu_hybrid.ops import route_features
from mcu_hybrid.quant import QuantParams


def link_route(graph: Graph, metadata: Mapping[str, Any] | None) -> Graph:
    """Return the graph with outputs (logits, route score, simple scores) and one input less.

    A model without metadata, or without ``features`` in it, is returned as it is. Without a
    ``route_score`` (a plain classifier, packed) only the simple scores are added, as last output.

    The real numbers of the image's pixels come from the metadata too.

    Raises:
        ModelError: the metadata names a tensor that is not there, or its features are faulty.
    """
    graph = _with_pixels(graph, metadata or {})
    if metadata is None or "features" not in metadata:
        return graph
    attrs, scored = route_features.from_json(metadata["features"], graph.name), of_logits()
    logits = _named(graph, metadata, "logits")
    _check_scale(graph, logits, attrs)
    tensors = list(graph.tensors)
    if "route_score" in metadata:
        score = _named(graph, metadata, "route_score")
        features = _named(graph, metadata, "route_features")
        if features not in graph.inputs:
            raise ModelError(
                f"'{graph.tensor(features).name}' is not an input",
                "export the model again",
                path=graph.name,
                key="route_features",
            )
        outputs: tuple[int, ...] = (logits, score, len(tensors))
    else:
        features = len(tensors)
        tensors.append(
            Tensor("route_features", (1, attrs.top + 1), "int8", QuantParams((1 / 127,), (0,)))
        )
        outputs = (*graph.outputs, len(tensors))
    tensors.append(Tensor(SCORES, (1, len(scored)), "int32", None))
    op = route_features.ROUTE_FEATURES.make(
        "route_features", (logits,), (features, len(tensors) - 1), attrs
    )
    inputs = tuple(i for i in graph.inputs if i != features)
    ops = _ordered(graph, op, inputs)
    linked = graph.with_(tensors=tuple(tensors), ops=ops, inputs=inputs, outputs=outputs)
    route_features.check(linked, op)
    return linked


def _with_pixels(graph: Graph, metadata: Mapping[str, Any]) -> Graph:
    """The graph that knows what a pixel is worth to it, where the metadata says so."""
    told = metadata.get("input")
    if not isinstance(told, Mapping) or "pixels" not in told:
        return graph
    return graph.with_(pixels=pixels_from_json(told["pixels"], graph.name))


def _named(graph: Graph, metadata: Mapping[str, Any], key: str) -> int:
    """Index of the tensor that the metadata names under ``key``."""
    name = metadata.get(key)
    for index, tensor in enumerate(graph.tensors):
        if tensor.name == name:
            return index
    raise ModelError(
        f"the metadata names a tensor {name!r} that the model does not have",
        "export the model again",
        path=graph.name,
        key=key,
    )


def _check_scale(graph: Graph, logits: int, attrs: route_features.Attrs) -> None:
    """The metadata must belong to this file: its scale is that of the logits tensor."""
    quant = graph.tensor(logits).quant
    if quant is None or round(quant.scale * (1 << 24)) != attrs.scale_q24:
        raise ModelError(
            "the metadata is of another model: the scale of the logits differs",
            "export the model again",
            path=graph.name,
            key="scale_q24",
        )


def _ordered(graph: Graph, link: Op, inputs: tuple[int, ...]) -> tuple[Op, ...]:
    """All operators, the file's order kept except that the router's wait for the features."""
    waiting = list(graph.ops)
    waiting.append(link)
    produced = {out for op in waiting for out in op.outputs}
    ready = set(inputs)
    done: list[Op] = []
    while waiting:
        for op in (link, *waiting):
            if op in done:
                continue
            if all(i in ready or i not in produced for i in op.inputs):
                break
        else:
            raise ModelError(
                "its operators form a cycle", "export the model again", path=graph.name
            )
        waiting.remove(op)
        ready.update(op.outputs)
        done.append(op)
    return tuple(done)
