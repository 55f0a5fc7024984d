"""Checks that several elementwise and data-movement operators share, with one wording.

Here: dtype, size, per-tensor quantisation, equal quantisation, axes. Not here: shape rules of one
operator (they live in its module) and graph-wide rules (reference/verify.py).
"""

from __future__ import annotations

from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op, Tensor

# Far beyond any board's memory, and below what 32-bit indices of the kernels can count.
MAX_ELEMENTS = 1 << 25
STATE_HINT = (
    "use a network without state, that sees a whole window of the signal at once (a DS-CNN for "
    "keywords), or make each state an input and an output of the model"
)


def where(op: Op[object]) -> str:
    """How error messages name an operator."""
    return f"{op.kind} '{op.name}'"


def require_operands(graph: Graph, op: Op[object], inputs: int, outputs: int = 1) -> None:
    """Raise ModelError unless the operator has this many inputs and outputs."""
    if len(op.inputs) != inputs or len(op.outputs) != outputs:
        raise ModelError(
            f"has {len(op.inputs)} inputs and {len(op.outputs)} outputs, "
            f"expected {inputs} and {outputs}",
            "export the model again; the file is damaged or of another schema",
            key=where(op),
        )


def require_int8(op: Op[object], *tensors: Tensor) -> None:
    """Raise UnsupportedOp unless every tensor is int8 with one scale and zero point."""
    for tensor in tensors:
        if tensor.dtype != "int8" or tensor.quant is None:
            found = tensor.dtype if tensor.dtype != "int8" else "int8 without quantisation"
            raise UnsupportedOp(
                f"'{tensor.name}' is {found}; only quantised int8 runs on the device",
                "export with full-integer int8 quantisation (int8 activations and weights)",
                key=where(op),
            )
        if tensor.quant.per_channel:
            raise UnsupportedOp(
                f"'{tensor.name}' is quantised per channel; this operator takes one scale",
                "export it with per-tensor quantisation (TFLite does so for activations)",
                key=where(op),
            )


def require_same_quant(op: Op[object], source: Tensor, target: Tensor) -> None:
    """Raise ModelError unless both tensors have the same scale and zero point."""
    a, b = source.require_quant(), target.require_quant()
    if (a.scale, a.zero_point) != (b.scale, b.zero_point):
        raise ModelError(
            f"'{source.name}' (scale {a.scale:.9g}, zero point {a.zero_point}) and '{target.name}' "
            f"(scale {b.scale:.9g}, zero point {b.zero_point}) differ; the bytes are only moved, "
            "never rescaled (nor does TFLM)",
            "export with the TFLite converter, which gives both one scale",
            key=where(op),
        )


def require_size(tensor: Tensor, op: Op[object] | None = None) -> None:
    """Raise ModelError where a tensor is larger than any board holds; nothing is allocated."""
    if tensor.elements > MAX_ELEMENTS:
        raise ModelError(
            f"tensor '{tensor.name}' has shape {list(tensor.shape)}, {tensor.elements:,} values; "
            f"the engine takes at most {MAX_ELEMENTS:,} in a tensor",
            "use a smaller input or network: no board holds this one",
            key=where(op) if op else "",
        )


def require_8_bits(tensor: Tensor, op: Op[object] | None = None) -> None:
    """Raise UnsupportedOp where a tensor's values have fewer than 8 bits."""
    if tensor.bits < 8:
        raise UnsupportedOp(
            f"tensor '{tensor.name}' is {tensor.dtype} with {tensor.bits} bits a value; the "
            "kernels take 8",
            "export with full-integer int8 quantisation (int8 weights and activations)",
            key=where(op) if op else "",
        )


def require_no_state(tensor: Tensor, op: Op[object] | None = None) -> None:
    """Raise UnsupportedOp where a tensor lives from one inference to the next."""
    if tensor.state:
        raise UnsupportedOp(
            f"keeps state in the tensor '{tensor.name}'; the engine does not run state yet",
            STATE_HINT,
            key=where(op) if op else "",
        )


def require_same_shape(op: Op[object], source: Tensor, target: Tensor) -> None:
    """Raise ModelError unless both tensors have the same shape."""
    require_shape(op, target, source.shape)


def require_shape(op: Op[object], tensor: Tensor, expected: tuple[int, ...]) -> None:
    """Raise ModelError unless the tensor has this shape."""
    if tensor.shape != expected:
        raise ModelError(
            f"'{tensor.name}' has shape {list(tensor.shape)}, expected {list(expected)}",
            "export the model again with fixed shapes and batch 1",
            key=where(op),
        )


def with_size(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    """The shape with this size along the (positive) axis."""
    return (*shape[:axis], size, *shape[axis + 1 :])


def positive_axis(op_name: str, axis: int, rank: int) -> int:
    """Return ``axis`` counted from the front; raises ModelError where it is out of range."""
    if not -rank <= axis < rank:
        raise ModelError(
            f"axis {axis} is outside a tensor of rank {rank}",
            "export the model again; the axis must name one of the tensor's dimensions",
            key=op_name,
        )
    return axis % rank


def require_left_shift(op: Op[object], shift: int, limit: int) -> None:
    """Raise ModelError where a rescaling factor of 2**shift would overflow 32 bits."""
    if shift > limit:
        raise ModelError(
            f"the output's scale is more than 2**{limit} times finer than the input's",
            "check the representative data set: one of the two ranges is not sensible",
            key=where(op),
        )
