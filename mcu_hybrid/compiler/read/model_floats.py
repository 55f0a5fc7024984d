"""Models that compute in float: throughout, at their head, at their tail, or in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from mcu_hybrid.compiler.read.float_edges import Edges
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import ABSENT
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.ops.quantize import DEQUANTIZE, QUANTIZE

FLOATS = ("float32", "float16", "bfloat16", "float64")
EXPORT_HINT = (
    "quantise it fully: converter.optimizations=[DEFAULT], a representative_dataset, "
    "target_spec.supported_ops=[TFLITE_BUILTINS_INT8], inference_input_type and "
    "inference_output_type int8; or let mcu-hybrid export do it from ONNX or a checkpoint"
)


def place(op: RawOp) -> str:
    """Which operator of the file this is."""
    return f"operator {op.position} {op.kind}, layer '{op.name}'"


def raise_float(edges: Edges, dtypes: set[str]) -> NoReturn:
    """Tell apart: float throughout, int8 weights only, and where float operators stand.

    Args:
        dtypes: of all values that flow between operators.
    """
    inside = [op for op in edges.ops if _dtypes(edges, op.outputs) & set(FLOATS)]
    loose = [i for i in edges.inputs if edges.tensors[i].dtype in FLOATS]
    if "int8" in dtypes and not inside and loose:
        index = loose[0]
        readers = ", ".join(op.kind for op in edges.ops if index in op.inputs) or "nothing"
        raise ModelError(
            f"float input '{edges.tensors[index].name}' is read by {readers}; a float edge can be "
            "taken off only where one QUANTIZE reads it",
            EXPORT_HINT,
        )
    if "int8" in dtypes and inside:
        _raise_mixed(edges, inside)
    constants = _dtypes(edges, [i for op in edges.ops for i in op.inputs], constant=True)
    if "int8" in constants:
        raise ModelError(
            "has int8 weights but computes in float (dynamic-range quantisation)", EXPORT_HINT
        )
    if "float16" in constants:
        raise ModelError("is a float model with float16 weights", EXPORT_HINT)
    raise ModelError("is a float model", EXPORT_HINT)


def _raise_mixed(edges: Edges, inside: list[RawOp]) -> NoReturn:
    """int8 and float: where floats are only at one end, that end can be cut off."""
    work = [op for op in inside if op.kind not in (DEQUANTIZE, QUANTIZE.kind)] or inside
    more = f" and {len(work) - 1} more" if len(work) > 1 else ""
    made = {i for op in inside for i in op.outputs}
    floating = {op.position for op in inside}
    back = [op for op in edges.ops if op.position not in floating and made & set(op.inputs)]
    bridges = [i for op in inside for i in op.inputs if _is_int8(edges, i)]
    if bridges and not back:  # nothing comes back from float
        name = edges.tensors[bridges[0]].name
        raise ModelError(
            f"is int8 up to '{name}' and ends in float: {place(work[0])}{more}",
            f"end the network at '{name}' and do the rest on the host, or {EXPORT_HINT}",
        )
    if back and not bridges and back[0].outputs:
        name = edges.tensors[back[0].outputs[0]].name
        raise ModelError(
            f"begins in float: {place(work[0])}{more}; it is int8 from '{name}' on",
            f"begin the network at '{name}' and do the first steps on the host, or {EXPORT_HINT}",
        )
    raise ModelError(
        f"is only partially quantised; {len(inside)} of {len(edges.ops)} operators give float "
        f"values: {place(work[0])}{more}",
        EXPORT_HINT,
    )


def _is_int8(edges: Edges, index: int) -> bool:
    """True for an int8 value that is computed, or given; not for a constant."""
    if index == ABSENT:
        return False
    tensor = edges.tensors[index]
    return tensor.dtype == "int8" and not tensor.is_const


def _dtypes(edges: Edges, indices: Sequence[int], constant: bool = False) -> set[str]:
    """Types of these tensors: of those that are computed, or of the constants."""
    tensors = [edges.tensors[i] for i in indices if i != ABSENT]
    return {tensor.dtype for tensor in tensors if tensor.is_const == constant}
