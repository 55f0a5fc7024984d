"""Says which kind of model a .tflite is where it is not full-integer int8, and what to do then.

Every sentence here is about the file in hand: what it is, at which layer, and a way out. Not here:
operators that are missing one by one (read_tflite.py), and shapes (input_shapes.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

from mcu_hybrid import ops
from mcu_hybrid.compiler.read.float_edges import Edges
from mcu_hybrid.compiler.read.model_floats import FLOATS, place, raise_float
from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import ABSENT, BITS, Tensor
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.ops.checks import STATE_HINT, require_8_bits
from mcu_hybrid.ops.file_kinds import CONTROL, STATE
from mcu_hybrid.ops.quantize import DEQUANTIZE

# Files that another tool has compiled: their layers are inside as code of an accelerator.
_COMPILED = {
    "CUSTOM:ethos-u": ("an Arm Ethos-U", "Vela"),
    "CUSTOM:edgetpu-custom-op": ("a Google Edge TPU", "the Edge TPU compiler"),
    "CUSTOM:NeutronGraph": ("an NXP Neutron NPU", "the Neutron converter"),
}


def refuse_subgraphs(count: int, kinds: Sequence[str]) -> NoReturn:
    """Raise ModelError for a file of several subgraphs, by what its operators use them for."""
    compiled = next((kind for kind in kinds if kind in _COMPILED), None)
    if compiled:
        _raise_compiled(compiled, "")
    state = _listed(kind for kind in kinds if kind in STATE)
    if state:
        raise UnsupportedOp(
            f"keeps state from one inference to the next ({state}), set up by a subgraph of its "
            "own; the engine does not run state yet",
            STATE_HINT,
        )
    control = _listed(kind for kind in kinds if kind in CONTROL)
    if control:
        raise UnsupportedOp(
            f"has control flow ({control}), each branch in a subgraph; the engine runs one",
            "export a single function whose layers always run, all of them",
        )
    raise ModelError(
        f"has {count} subgraphs, expected one",
        "export a single function (one signature) without control flow",
    )


def _listed(kinds: Iterable[str]) -> str:
    return ", ".join(sorted(set(kinds)))


def require_own_layers(edges: Edges) -> None:
    """Raise ModelError where the layers are another processor's code, or keep state."""
    for op in edges.ops:
        if op.kind in _COMPILED:
            _raise_compiled(op.kind, f" ({place(op)})")
    stateful = [op for op in edges.ops if op.kind in STATE]
    if stateful:
        more = f" and {len(stateful) - 1} more" if len(stateful) > 1 else ""
        raise UnsupportedOp(
            f"keeps state from one inference to the next: {place(stateful[0])}{more}; the "
            "engine does not run state yet",
            STATE_HINT,
        )


def require_no_variables(edges: Edges) -> None:
    """Raise UnsupportedOp where an operator uses a variable tensor, which TFLM sets to zero."""
    for op in edges.ops:
        for index in (*op.inputs, *op.outputs):
            if index != ABSENT and edges.tensors[index].state:
                raise UnsupportedOp(
                    f"keeps state in the variable tensor '{edges.tensors[index].name}' "
                    f"({place(op)}); the engine does not run state yet",
                    STATE_HINT,
                )


def _raise_compiled(kind: str, where: str) -> NoReturn:
    processor, tool = _COMPILED[kind]
    raise UnsupportedOp(
        f"is compiled for {processor}{where}: its layers are inside as code of that processor",
        f"take the file from before {tool}: the int8 .tflite that was given to it",
    )


def require_full_integer(edges: Edges) -> None:
    """Raise ModelError unless all values that flow between operators are int8.

    What an operator writes that we do not run is left to the message that names the operator.
    """
    flowing = _flowing(edges)
    dtypes = {tensor.dtype for tensor in flowing}
    if dtypes & set(FLOATS):
        raise_float(edges, dtypes)
    strange = [tensor for tensor in flowing if tensor.dtype != "int8"]
    for tensor in strange:
        if tensor.dtype in BITS:
            require_8_bits(tensor)
    if not strange:
        return
    kinds = {tensor.dtype for tensor in strange}
    is_int8_inside = any(edges.tensors[i].dtype == "int8" for op in edges.ops for i in op.outputs)
    if is_int8_inside and kinds & {"uint8", "int16"}:
        _raise_edge(edges, next(t for t in strange if t.dtype in ("uint8", "int16")))
    if "int16" in kinds:
        raise ModelError(
            "is quantised to int16 activations (16x8 scheme)",
            "export with int8 activations: supported_ops=[TFLITE_BUILTINS_INT8]",
        )
    if "uint8" in kinds:
        name = next(tensor.name for tensor in strange if tensor.dtype == "uint8")
        raise ModelError(
            f"is quantised to uint8 ('{name}'), the scheme of TensorFlow 1",
            "export with inference_input_type and inference_output_type int8, by a converter of "
            "TensorFlow 2",
        )
    tensor = strange[0]
    producer = next((op for op in edges.ops if _writes(edges, op, tensor)), None)
    where = f" ({place(producer)})" if producer else ""
    raise ModelError(
        f"tensor '{tensor.name}' is {tensor.dtype}{where}; the engine runs int8 only",
        "give the network int8 inputs and outputs: indices, tokens and sizes that depend on the "
        "input are the host's work",
    )


def _raise_edge(edges: Edges, tensor: Tensor) -> NoReturn:
    """int8 inside; something at an edge, or behind one operator, is another integer."""
    at = next(i for i, known in enumerate(edges.tensors) if known is tensor)
    side = "input" if at in edges.inputs else "output" if at in edges.outputs else "tensor"
    op = next((op for op in edges.ops if at in (*op.inputs, *op.outputs)), None)
    scaled = ""
    if tensor.quant is not None:
        scaled = f" of scale {tensor.quant.scale:.9g}, zero point {tensor.quant.zero_point}"
    where = f" ({place(op)})" if op else ""
    raise ModelError(
        f"is int8 inside, but its {side} '{tensor.name}' is {tensor.dtype}{scaled}{where}; only "
        "an edge that is float, or uint8 with the same scale and a zero point 128 higher, can be "
        "taken off",
        "export with inference_input_type and inference_output_type int8",
    )


def _flowing(edges: Edges) -> list[Tensor]:
    """Graph inputs, and what operators write that we run; outputs are among these."""
    indices = dict.fromkeys(edges.inputs)
    for op in edges.ops:
        if op.kind in ops.known() or op.kind == DEQUANTIZE:
            indices.update(dict.fromkeys(i for i in op.outputs if i != ABSENT))
        else:
            floats = (i for i in op.outputs if i != ABSENT and edges.tensors[i].dtype in FLOATS)
            indices.update(dict.fromkeys(floats))
    return [edges.tensors[i] for i in indices]


def _writes(edges: Edges, op: RawOp, tensor: Tensor) -> bool:
    return any(edges.tensors[i] is tensor for i in op.outputs if i != ABSENT)
