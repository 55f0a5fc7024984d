"""RESHAPE, SQUEEZE and EXPAND_DIMS: the same bytes under another shape; no code on the device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops.base import Monotone, Operands, Operator, RawOp, Shape, Tflm, Ties, Traits
from mcu_hybrid.ops.checks import require_int8, require_same_quant, where


@dataclass(frozen=True)
class Attrs:
    """The output tensor's shape says everything."""


def read(raw: RawOp) -> Attrs:
    """Nothing to read: TFLM, too, takes the shape from the output tensor."""
    return Attrs()


def check(graph: Graph, op: Op[Attrs]) -> None:
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


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The same values under the output's shape."""
    return (np.asarray(inputs[0]).reshape(graph.tensor(op.outputs[0]).shape),)


def lower(graph: Graph, op: Op[Attrs]) -> None:
    """A view: the output aliases input 0."""


def shapes(raw: RawOp) -> list[Shape]:
    """RESHAPE's: the operand's, or the option's; one size may be -1 (what is left)."""
    source = raw.shape(0)
    if len(raw.inputs) > 1 and raw.inputs[1] != ABSENT:
        wanted = [int(n) for n in raw.const(1).reshape(-1)]
    else:
        wanted = [int(n) for n in raw.options["new_shape"]]
    if -1 in wanted:
        rest = -prod(wanted)
        wanted[wanted.index(-1)] = prod(source) // rest if rest > 0 else 0
    if prod(wanted) != prod(source):
        raise ModelError(
            f"cannot view {list(source)} as {wanted}",
            "give the --input-shape that the network was made for: this layer fixes it",
            key=f"{raw.kind} '{raw.name}'",
        )
    return [tuple(wanted)]


def squeezed(raw: RawOp) -> list[Shape]:
    """SQUEEZE's: without the given axes of size 1, or without all of them."""
    source = raw.shape(0)
    given = raw.options.get("squeeze_dims", ())
    axes = {int(axis) % len(source) for axis in given}
    axes = axes or {axis for axis, size in enumerate(source) if size == 1}
    return [tuple(size for axis, size in enumerate(source) if axis not in axes)]


def expanded(raw: RawOp) -> list[Shape]:
    """EXPAND_DIMS's: with an axis of size 1 more."""
    source, axis = raw.shape(0), int(raw.const(1).reshape(-1)[0])
    at = axis + len(source) + 1 if axis < 0 else axis
    return [(*source[:at], 1, *source[at:])]


def ties(graph: Graph, op: Op[Attrs]) -> Ties:
    """The longer of the two rows of channels repeats the shorter one."""
    source, target = (graph.tensor(i).shape for i in (op.inputs[0], op.outputs[0]))
    if not source:
        return []
    before, after = source[-1], target[-1] if target else 1
    short = min(before, after)
    if before % short or after % short:
        return []
    return [(op.inputs[0], np.arange(before) % short), (op.outputs[0], np.arange(after) % short)]


RESHAPE = Operator(
    "RESHAPE",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    traits=Traits(view=True, monotone=Monotone.ALL, tflm=Tflm("AddReshape")),
    shapes=shapes,
    ties=ties,
)
SQUEEZE = replace(
    RESHAPE,
    kind="SQUEEZE",
    shapes=squeezed,
    traits=replace(RESHAPE.traits, tflm=Tflm("AddSqueeze")),
)
EXPAND_DIMS = replace(
    RESHAPE,
    kind="EXPAND_DIMS",
    shapes=expanded,
    traits=replace(RESHAPE.traits, tflm=Tflm("AddExpandDims")),
)
