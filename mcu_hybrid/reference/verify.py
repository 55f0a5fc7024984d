"""What must hold for every graph, after reading and after each pass.

Here: rules that span the graph, and one call of each operator's own check. Not here: the rules of
one operator (ops/<name>.py).
"""

from __future__ import annotations

import math

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import ABSENT, BITS, Graph, Op, Tensor
from mcu_hybrid.ops.checks import STATE_HINT, require_8_bits, require_no_state, require_size
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

_HINT = "export the model again; if a pass is named, this is a fault of mcu-hybrid: report it"


def verify(graph: Graph, after: str = "") -> None:
    """Raise ModelError (UnsupportedOp for a missing operator) unless the graph is sound.

    Args:
        graph: the graph.
        after: name of the pass that made it, for the message.
    """
    try:
        _check_edges(graph)
        written = set(graph.inputs)
        for op in graph.ops:
            _check_order(graph, op, written)
            for index in (*op.inputs, *op.outputs):
                if index != ABSENT:
                    _check_tensor(graph.tensor(index), op)
            _check_op(graph, op, after)
        for index in graph.outputs:
            if index not in written:
                _fail(f"graph output '{graph.tensor(index).name}' is never computed")
    except ModelError as error:
        if not after:
            raise
        raise type(error)(f"after pass {after}: {error.message}", error.hint) from error


def _check_op(graph: Graph, op: Op, after: str) -> None:
    """The operator's own rules; what damaged numbers break in them names the operator."""
    own = ops.operator(op.kind)
    if own.traits.stateful:
        raise UnsupportedOp(
            "keeps state from one inference to the next; the engine does not run state yet",
            STATE_HINT,
            key=f"{op.kind} '{op.name}'",
        )
    try:
        own.check(graph, op)
    except (ArithmeticError, LookupError, ValueError, TypeError, AttributeError) as error:
        if after:  # a pass made it: our fault, not the file's
            raise
        _fail(f"has values that make no sense ({error})", op)


def _fail(message: str, op: Op | None = None) -> None:
    raise ModelError(message, _HINT, key=f"{op.kind} '{op.name}'" if op else "")


def _check_edges(graph: Graph) -> None:
    indices = [*graph.inputs, *graph.outputs]
    for op in graph.ops:
        indices += [i for i in op.inputs if i != ABSENT]
        indices += op.outputs
    if any(not 0 <= i < len(graph.tensors) for i in indices):
        _fail("a tensor index is outside the list of tensors")
    if not graph.ops or not graph.inputs or not graph.outputs:
        _fail("a graph needs an input, an operator and an output")
    if len(set(graph.inputs)) != len(graph.inputs):
        _fail("a tensor is listed as graph input twice")
    for index in (*graph.inputs, *graph.outputs):
        tensor = graph.tensor(index)
        _check_tensor(tensor, None)
        if tensor.is_const:
            _fail(f"graph input or output '{tensor.name}' is a constant")


def _check_order(graph: Graph, op: Op, written: set[int]) -> None:
    """Inputs come before their readers, and each tensor has one writer."""
    for index in op.inputs:
        if index != ABSENT and index not in written and not graph.tensor(index).is_const:
            name = graph.tensor(index).name
            if any(index in other.outputs for other in graph.ops):
                _fail(f"reads '{name}' before anything writes it", op)
            _fail(
                f"reads '{name}', which is no input, no constant with data, and never written", op
            )
    if not op.outputs or not op.inputs or op.inputs[0] == ABSENT:
        _fail("has no input or no output", op)
    for index in op.outputs:
        if index in written or graph.tensor(index).is_const:
            _fail(f"writes '{graph.tensor(index).name}', which has another source", op)
        written.add(index)


def _check_tensor(tensor: Tensor, op: Op | None) -> None:
    name = f"tensor '{tensor.name}'"
    if tensor.dtype not in BITS:
        raise UnsupportedOp(
            f"{name} is {tensor.dtype}, which the engine does not have",
            "export with full-integer int8 quantisation (int8 weights and activations)",
            key=f"{op.kind} '{op.name}'" if op else "",
        )
    if min(tensor.shape, default=1) < 1:
        _fail(f"{name} has shape {list(tensor.shape)}; dimensions must be fixed and at least 1", op)
    require_size(tensor, op)
    require_8_bits(tensor, op)
    require_no_state(tensor, op)
    if tensor.data is not None and (
        tensor.data.shape != tensor.shape or tensor.data.dtype != np.dtype(tensor.dtype)
    ):
        found = f"{tensor.data.dtype} {list(tensor.data.shape)}"
        _fail(f"{name} is {tensor.dtype} {list(tensor.shape)}, its data {found}", op)
    if tensor.dtype == "int8":
        _check_quant(tensor, name, op)


def _check_quant(tensor: Tensor, name: str, op: Op | None) -> None:
    quant = tensor.quant
    if quant is None:
        _fail(f"{name} is int8 without scale and zero point", op)
        return
    if not quant.scales or len(quant.scales) != len(quant.zero_points):
        _fail(f"{name} has {len(quant.scales)} scales, {len(quant.zero_points)} zero points", op)
    if not all(math.isfinite(scale) and scale > 0 for scale in quant.scales):
        _fail(f"{name} has a scale that is not a positive number", op)
    if not all(INT8_MIN <= zero <= INT8_MAX for zero in quant.zero_points):
        _fail(f"{name} has a zero point outside int8", op)
    if quant.per_channel:
        axis_ok = 0 <= quant.axis < len(tensor.shape)
        if not axis_ok or tensor.shape[quant.axis] != len(quant.scales):
            _fail(f"{name} has {len(quant.scales)} scales for axis {quant.axis}", op)
        if not tensor.is_const:
            _fail(f"{name} is an activation with a scale per channel", op)
