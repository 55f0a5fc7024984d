"""RESHAPE, SQUEEZE and EXPAND_DIMS: the same bytes under another shape; no code on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import RawOp, no_macs, no_scratch, not_inplace
from mcu_hybrid.ops.checks import require_int8, require_same_quant, where

KINDS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")

macs = no_macs
scratch_bytes = no_scratch
inplace = not_inplace  # a view, which the planner handles by itself (lower() is None)


@dataclass(frozen=True)
class Attrs:
    """The output tensor's shape says everything."""


def from_tflite(raw: RawOp) -> Attrs:
    """Nothing to read: TFLM, too, takes the shape from the output tensor."""
    return Attrs()


def check(graph: Graph, op: Op) -> None:
    """As many elements out as in, in the same quantisation; a shape operand must be constant."""
    if not 1 <= len(op.inputs) <= 2 or len(op.outputs) != 1:
        raise ModelError(
            f"has {len(op.inputs)} inputs and {len(op.outputs)} outputs",
            "export the model again; the file is damaged or of another schema",
            key=where(op),
        )
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    require_int8(op, source, target)
    require_same_quant(op, source, target)
    if source.elements != target.elements:
        raise ModelError(
            f"cannot view {list(source.shape)} as {list(target.shape)}",
            "export the model again with fixed shapes and batch 1",
            key=where(op),
        )


def reference(graph: Graph, op: Op, inputs: Sequence[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    """The same values under the output's shape."""
    return (np.asarray(inputs[0]).reshape(graph.tensor(op.outputs[0]).shape),)


def lower(graph: Graph, op: Op) -> None:
    """A view: the output aliases input 0."""
