"""Weights of a scalar matrix layer, in groups of 4 channels x 4 inputs, and its constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.compiler.select.scalar.requant import FORMS, ScalarRequant, fit
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import CTable, Field

GROUP = 4


@dataclass(frozen=True)
class Packed:
    """A layer in the order of the kernel: the first fields of its params, K / 4, requantisation."""

    fields: tuple[Field, ...]
    steps: int
    requant: ScalarRequant


def pack_layer(graph: Graph, op: Op, weights: np.ndarray) -> Packed | None:
    """Pack weights [out channels, sum's length]; None where no form is exact."""
    requant = fit(graph, op, weights, centred=False)
    if requant is None:
        return None
    channels, length = weights.shape
    filled = np.pad(weights, ((0, -channels % GROUP), (0, -length % GROUP)))
    groups, steps = filled.shape[0] // GROUP, filled.shape[1] // GROUP
    blocks = filled.reshape(groups, GROUP, steps, GROUP).transpose(0, 2, 1, 3)
    start = np.pad(requant.start, (0, -channels % GROUP)).reshape(groups, GROUP)
    words = np.pad(requant.words, ((0, -channels % GROUP), (0, 0))).reshape(groups, -1)
    constants = np.concatenate([start, words], 1).reshape(-1).astype(np.int32)
    fields: tuple[Field, ...] = (
        ("weights", CTable("weights", "int8_t", blocks.reshape(-1).astype(np.int8))),
        ("constants", CTable("constants", "int32_t", constants)),
        ("steps", steps),
        ("out_c", channels),
        ("form", FORMS[requant.form]),
        ("lo", requant.clamp[0]),
        ("hi", requant.clamp[1]),
    )
    return Packed(fields, steps, requant)
