"""Says which kind of model a .tflite is where it is not full-integer int8, and what to do then."""

from __future__ import annotations

from mcu_hybrid.codegen.float_edges import Edges
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import ABSENT, Tensor
from mcu_hybrid.ops.base import RawOp

_EXPORT_HINT = (
    "quantise it fully: converter.optimizations=[DEFAULT], a representative_dataset, "
    "target_spec.supported_ops=[TFLITE_BUILTINS_INT8], inference_input_type and "
    "inference_output_type int8; or let mcu-hybrid export do it from ONNX or a checkpoint"
)
_FLOATS = ("float32", "float16", "bfloat16", "float64")


def require_full_integer(edges: Edges) -> None:
    """Raise ModelError unless all values that flow between operators are int8."""
    flowing = _flowing(edges)
    dtypes = {tensor.dtype for tensor in flowing}
    if dtypes <= {"int8"}:
        return
    if dtypes & set(_FLOATS):
        _raise_float(edges, dtypes)
    if "int16" in dtypes:
        raise ModelError(
            "is quantised to int16 activations (16x8 scheme)",
            "export with int8 activations: supported_ops=[TFLITE_BUILTINS_INT8]",
        )
    if "uint8" in dtypes:
        name = next(tensor.name for tensor in flowing if tensor.dtype == "uint8")
        raise ModelError(
            f"is quantised to uint8 ('{name}')",
            "export with inference_input_type and inference_output_type int8, by a converter of "
            "TensorFlow 2",
        )
    name, dtype = next((t.name, t.dtype) for t in flowing if t.dtype != "int8")
    producer = _first_writer(edges, dtype)
    where = f" ({_place(edges, producer)})" if producer else ""
    raise ModelError(f"tensor '{name}' is {dtype}{where}; the engine runs int8 only", _EXPORT_HINT)


def _flowing(edges: Edges) -> list[Tensor]:
    """Graph inputs and outputs, and what operators write."""
    indices = dict.fromkeys(edges.inputs)
    for op in edges.ops:
        indices.update(dict.fromkeys(i for i in op.outputs if i != ABSENT))
    indices.update(dict.fromkeys(edges.outputs))
    return [edges.tensors[i] for i in indices]


def _first_writer(edges: Edges, dtype: str) -> RawOp | None:
    for op in edges.ops:
        if any(edges.tensors[i].dtype == dtype for i in op.outputs if i != ABSENT):
            return op
    return None


def _place(edges: Edges, op: RawOp) -> str:
    return f"operator {edges.ops.index(op)} {op.kind}, layer '{op.name}'"


def _raise_float(edges: Edges, dtypes: set[str]) -> None:
    """Tell apart: float throughout, int8 weights only, and single float operators inside."""
    inside = [
        op
        for op in edges.ops
        if any(edges.tensors[i].dtype in _FLOATS for i in op.outputs if i != ABSENT)
    ]
    constants = {
        edges.tensors[i].dtype
        for op in edges.ops
        for i in op.inputs
        if i != ABSENT and edges.tensors[i].is_const
    }
    loose = [i for i in edges.inputs if edges.tensors[i].dtype in _FLOATS]
    if "int8" in dtypes and not inside and loose:
        index = loose[0]
        readers = ", ".join(op.kind for op in edges.ops if index in op.inputs) or "nothing"
        raise ModelError(
            f"float input '{edges.tensors[index].name}' is read by {readers}; a float edge can be "
            "taken off only where one QUANTIZE reads it",
            _EXPORT_HINT,
        )
    if "int8" in dtypes:
        place = f": {_place(edges, inside[0])} and {len(inside) - 1} more" if inside else ""
        raise ModelError(
            f"is only partially quantised; {len(inside)} of {len(edges.ops)} operators give float "
            f"values{place}",
            _EXPORT_HINT,
        )
    if "int8" in constants:
        raise ModelError(
            "has int8 weights but computes in float (dynamic-range quantisation)", _EXPORT_HINT
        )
    raise ModelError("is a float model", _EXPORT_HINT)
