"""Edits a .tflite flatbuffer: order and names of its edges, our JSON entry, the score's range.

Not here: what the JSON says (package.py). Buffers are written with the 16-byte alignment that the
schema demands and TFLM needs on a microcontroller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np

from mcu_hybrid import json_text
from mcu_hybrid.errors import MissingTool, ModelError
from mcu_hybrid.tflite_file import builtin_code

NAME = "mcu_hybrid"
_IDENTIFIER = b"TFL3"
_ALIGN = 16
_HUGE = 1e6  # a range that no layer's real values have


class _Builder(flatbuffers.Builder):
    """Byte vectors (the weights) start at multiples of 16, as the schema's ``force_align`` says."""

    def StartVector(self, elem_size: int, count: int, alignment: int) -> Any:  # noqa: N802
        aligned = _ALIGN if elem_size == 1 else alignment
        return super().StartVector(elem_size, count, aligned)


def tidy(
    data: bytes, inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[bytes, dict[str, str]]:
    """Put inputs and outputs in this order under these names; name layers readably.

    The order comes from the converter's signature: inputs by name, outputs as output_0, output_1.
    Returns the file and the map from each old tensor name to its new one.

    Raises:
        ModelError: the signature has other inputs or outputs.
    """
    schema = _schema()
    model = _open(data)
    graph = model.subgraphs[0]
    signature = model.signatureDefs[0]
    found_in = {m.name.decode(): m.tensorIndex for m in signature.inputs}
    keys = sorted(signature.outputs, key=lambda m: (len(m.name), m.name))
    if set(found_in) != set(inputs) or len(keys) != len(outputs):
        raise ModelError(
            f"the converter kept inputs {sorted(found_in)} and {len(keys)} outputs, expected "
            f"{sorted(inputs)} and {len(outputs)}",
            "give a network that uses all of its inputs",
        )
    old = {index: tensor.name.decode() for index, tensor in enumerate(graph.tensors)}
    _name_layers(schema, model, graph, {found_in[name]: name for name in inputs})
    for name in inputs:
        graph.tensors[found_in[name]].name = name.encode()
    for entry, name in zip(keys, outputs, strict=True):
        graph.tensors[entry.tensorIndex].name = entry.name = name.encode()
    graph.inputs = np.array([found_in[name] for name in inputs], np.int32)
    graph.outputs = np.array([entry.tensorIndex for entry in keys], np.int32)
    # The converter's own version string and conversion record carry nothing that a device needs.
    model.metadata = [m for m in model.metadata or () if m.name == b"min_runtime_version"][:1]
    model.description = b"mcu-hybrid"
    names = {old[i]: tensor.name.decode() for i, tensor in enumerate(graph.tensors)}
    return pack(model), names


def _name_layers(schema: Any, model: Any, graph: Any, edges: Mapping[int, str]) -> None:
    """base/conv_2d_0, router/fully_connected_1: by the input a layer depends on, and its kind."""
    kinds = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    belongs = {index: "router" if "route" in name else "base" for index, name in edges.items()}
    count: dict[str, int] = {}
    for op in graph.operators:
        part = next((belongs[i] for i in op.inputs if i in belongs), "base")
        code = model.operatorCodes[op.opcodeIndex]
        kind = kinds[builtin_code(code)].lower()
        for index in op.outputs:
            belongs[index] = part
            number = count.get(part, 0)
            count[part] = number + 1
            graph.tensors[index].name = f"{part}/{kind}_{number}".encode()
        layer = graph.tensors[op.outputs[0]].name.decode()
        for role, index in zip(("weights", "bias"), list(op.inputs)[1:3], strict=False):
            if index >= 0 and index not in belongs:
                graph.tensors[index].name = f"{layer}/{role}".encode()


def with_metadata(data: bytes, content: Mapping[str, Any]) -> bytes:
    """The file with our JSON entry set (an older one is replaced)."""
    schema = _schema()
    model = _open(data)
    text = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    kept = [m for m in model.metadata or () if m.name != NAME.encode()]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(text, np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = NAME.encode(), len(model.buffers) - 1
    model.metadata = [*kept, entry]
    return pack(model)


def metadata_of(data: bytes) -> dict[str, Any]:
    """Our JSON entry of a file; empty where it has none."""
    model = _open(data)
    for entry in model.metadata or ():
        if entry.name == NAME.encode():
            found: dict[str, Any] = json_text.loads(bytes(model.buffers[entry.buffer].data))
            return found
    return {}


def destroyed_layer(data: bytes) -> tuple[str, float] | None:
    """The first layer whose range leaves int8 nothing of real values, and that range."""
    schema, model = schema_and_model(data)
    graph = model.subgraphs[0]
    kinds = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        for tensor in (graph.tensors[index] for index in op.outputs):
            quant = tensor.quantization
            if quant is None or quant.scale is None or len(quant.scale) == 0:
                continue
            span = 255 * float(max(quant.scale))
            if span > _HUGE:
                return f"{kind} '{tensor.name.decode()}'", span
    return None


def with_output(data: bytes, index: int) -> bytes:
    """The file with the tensor ``index`` among its outputs, as the last one where it was none.

    Nothing else changes: operators, weights, and the outputs that were there with every bit.
    """
    model = _open(data)
    graph = model.subgraphs[0]
    if index in list(graph.outputs):
        return data
    graph.outputs = np.array([*graph.outputs, index], np.int32)
    return pack(model)


def set_output_range(data: bytes, name: str, low: float, high: float) -> bytes:
    """Spread low..high over the 256 levels of an output; values outside saturate.

    Legal for a layer's last output only: nothing else in the file depends on its scale.
    """
    model = _open(data)
    graph = model.subgraphs[0]
    for index in graph.outputs:
        tensor = graph.tensors[index]
        if tensor.name.decode() == name:
            scale = np.float32(max(high - low, 1e-6) / 255)
            zero = int(np.clip(round(-128 - low / float(scale)), -128, 127))
            tensor.quantization.scale = np.array([scale], np.float32)
            tensor.quantization.zeroPoint = np.array([zero], np.int64)
            tensor.quantization.min = tensor.quantization.max = None
            return pack(model)
    raise ModelError(f"has no output '{name}'", "export again")


def schema_and_model(data: bytes) -> tuple[Any, Any]:
    """The schema's classes and the file as their objects, for edits that ``pack`` writes back."""
    return _schema(), _open(data)


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise MissingTool(
            "ai-edge-litert is not installed", "pip install 'mcu-hybrid[export]'"
        ) from error
    return schema


def _open(data: bytes) -> Any:
    return _schema().ModelT.InitFromPackedBuf(bytearray(data), 0)


def pack(model: Any) -> bytes:
    """The bytes of a file from its objects."""
    builder = _Builder(1 << 16)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())
