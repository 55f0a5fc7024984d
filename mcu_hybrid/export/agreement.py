"""Float against int8: accuracy of both, and the signal-to-noise ratio of every layer.

The int8 side is the integer reference (reference/interp.py), which the device equals bit for
bit; the float side is the network before quantisation, run by the converter on the same images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcu_hybrid import mechanisms
from mcu_hybrid.artifacts.export import NoiseRow
from mcu_hybrid.events import OnEvent
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.mechanisms.base import SCORE
from mcu_hybrid.ops.route_features import link_of
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.images import to_int8

HURTS_BELOW_DB = 20.0  # noise above a tenth of the signal's amplitude


@dataclass(frozen=True)
class Int8Run:
    """What the device computes for N images; ``scores`` of the routers that the model has."""

    logits: np.ndarray  # int8 [N, K]
    scores: Mapping[str, np.ndarray]  # router -> int32 [N], higher = more in need of the cloud


def run_int8(
    graph: Graph, x: np.ndarray, *, label: str = "int8 reference", on_event: OnEvent | None = None
) -> Int8Run:
    """Run uint8 images through the graph; the logits are what its routers read, else output 0."""
    return run_tensors(graph, to_int8(graph, x), label=label, on_event=on_event)


def run_tensors(
    graph: Graph,
    images: np.ndarray,
    *,
    label: str = "int8 reference",
    on_event: OnEvent | None = None,
) -> Int8Run:
    """Likewise of int8 inputs [N, ...], as the graph takes them."""
    rows: list[list[np.ndarray]] = []
    for i, image in enumerate(images):
        rows.append([out.ravel() for out in interp.run(graph, [image[None]])])
        if on_event and (i % 50 == 49 or i + 1 == len(images)):
            on_event(label, i + 1, len(images))
    columns = [np.stack(column) for column in zip(*rows, strict=True)]
    outputs = {
        graph.tensor(t).name: column for t, column in zip(graph.outputs, columns, strict=True)
    }
    scores = {
        one.name: outputs[one.output][:, one.column].astype(np.int32)
        for one in mechanisms.every()
        if one.output in outputs
    }
    link = link_of(graph)
    position = graph.outputs.index(link.inputs[0]) if link is not None else 0
    return Int8Run(columns[position], scores)


def layer_noise(graph: Graph, x: np.ndarray, floats: Mapping[str, np.ndarray]) -> list[NoiseRow]:
    """Per layer: name, op, and SQNR in dB = 10 log10(signal power / noise power) over the images.

    Layers whose float counterpart the converter fused away or named otherwise have SQNR None.

    Args:
        floats: tensor name -> values [N, ...] for the same images, in the same order.
    """
    images = to_int8(graph, x)
    sums: dict[int, tuple[float, float]] = {}
    for i, image in enumerate(images):
        values = interp.run(graph, [image[None]], keep=True)
        for op in graph.ops:
            tensor = graph.tensor(op.outputs[0])
            wanted = floats.get(tensor.name)
            if tensor.quant is None or wanted is None or len(wanted) <= i:
                continue
            real = (values[op.outputs[0]].astype(np.float64) - tensor.quant.zero_point) * float(
                tensor.quant.scale
            )
            if wanted[i].size != real.size:
                continue
            exact = wanted[i].astype(np.float64).ravel()
            if tensor.name == SCORE:
                # Its range leaves out the surest inputs on purpose (link.centre_scores).
                low, high = (np.array([-128, 127]) - tensor.quant.zero_point) * tensor.quant.scale
                exact = np.clip(exact, low, high)
            signal, noise = sums.get(op.outputs[0], (0.0, 0.0))
            error = real.ravel() - exact
            sums[op.outputs[0]] = (
                signal + float(exact @ exact),
                noise + float(error @ error),
            )
    return [
        NoiseRow(
            name=graph.tensor(op.outputs[0]).name,
            op=op.kind,
            sqnr_db=_decibel(*sums[op.outputs[0]]) if op.outputs[0] in sums else None,
        )
        for op in graph.ops
    ]


def first_that_hurts(layers: Sequence[NoiseRow]) -> str | None:
    """Name of the first layer whose SQNR lies below 20 dB; None where none does."""
    for layer in layers:
        if layer.sqnr_db is not None and layer.sqnr_db < HURTS_BELOW_DB:
            return layer.name
    return None


def _decibel(signal: float, noise: float) -> float:
    """Finite also without noise (capped at 120 dB) or without signal."""
    if signal <= 0:
        return 0.0
    return round(min(120.0, 10 * math.log10(signal / max(noise, signal * 1e-12))), 2)
