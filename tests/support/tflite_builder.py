"""Builds small .tflite files for tests: any tensors and operators, right or deliberately wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

# Options tables whose name does not follow from the operator's: CONV_2D is Conv2DOptions.
_OPTIONS = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "PADV2": "PadV2Options",
}


@dataclass(frozen=True)
class Spec:
    """One tensor; ``scale`` and ``zero`` are numbers, or one per channel of ``axis``."""

    name: str
    shape: Sequence[int]
    dtype: str = "int8"
    scale: float | Sequence[float] | None = None
    zero: int | Sequence[int] = 0
    axis: int = 0
    data: np.ndarray | None = None


@dataclass(frozen=True)
class OpSpec:
    """One operator: TFLite's name (or "CUSTOM:name"), tensor indices, snake_case options."""

    kind: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Mapping[str, Any] = field(default_factory=dict)


def build(
    tensors: Sequence[Spec],
    ops: Sequence[OpSpec],
    inputs: Sequence[int],
    outputs: Sequence[int],
    *,
    metadata: Mapping[str, bytes] | None = None,
    subgraphs: int = 1,
) -> bytes:
    """Return the bytes of a .tflite with these tensors, operators, graph inputs and outputs."""
    model = schema.ModelT()
    model.version = 3
    model.description = "test"
    model.buffers = [schema.BufferT()]
    model.operatorCodes = []
    graph = schema.SubGraphT()
    graph.name = "main"
    graph.inputs, graph.outputs = list(inputs), list(outputs)
    graph.tensors = [_tensor(model, spec) for spec in tensors]
    graph.operators = [_operator(model, spec) for spec in ops]
    model.subgraphs = [graph] * subgraphs
    model.metadata = []
    for name, payload in (metadata or {}).items():
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, _buffer(model, np.frombuffer(payload, np.uint8))
        model.metadata.append(entry)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def build_one(
    kind: str,
    inputs: Sequence[Spec | None],
    outputs: Sequence[Spec],
    options: Mapping[str, Any] | None = None,
) -> bytes:
    """A model of one operator; inputs without data become graph inputs, None is an absent one."""
    tensors = [spec for spec in (*inputs, *outputs) if spec is not None]
    index = {id(spec): i for i, spec in enumerate(tensors)}
    op_inputs = [-1 if spec is None else index[id(spec)] for spec in inputs]
    op_outputs = [index[id(spec)] for spec in outputs]
    open_inputs = [index[id(s)] for s in inputs if s is not None and s.data is None]
    op = OpSpec(kind, op_inputs, op_outputs, options or {})
    return build(tensors, [op], list(dict.fromkeys(open_inputs)), op_outputs)


def _buffer(model: Any, data: np.ndarray) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _tensor(model: Any, spec: Spec) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape = spec.name, list(spec.shape)
    tensor.type = getattr(schema.TensorType, spec.dtype.upper())
    tensor.buffer = 0 if spec.data is None else _buffer(model, spec.data)
    if spec.scale is not None:
        quant = schema.QuantizationParametersT()
        quant.scale = [float(s) for s in np.atleast_1d(spec.scale)]
        zeros = np.atleast_1d(spec.zero)
        quant.zeroPoint = [int(z) for z in np.broadcast_to(zeros, len(quant.scale))]
        quant.quantizedDimension = spec.axis
        tensor.quantization = quant
    return tensor


def _operator(model: Any, spec: OpSpec) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = _opcode(model, spec.kind)
    operator.inputs, operator.outputs = list(spec.inputs), list(spec.outputs)
    guessed = "".join(part.capitalize() for part in spec.kind.lower().split("_")) + "Options"
    name = _OPTIONS.get(spec.kind, guessed)
    if not hasattr(schema.BuiltinOptions, name):
        assert not spec.options, f"no options table {name}"
        return operator
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    operator.builtinOptions = getattr(schema, f"{name}T")()
    for key, value in spec.options.items():
        attribute = re.sub(r"_(\w)", lambda match: match.group(1).upper(), key)
        assert hasattr(operator.builtinOptions, attribute), f"{name} has no field {attribute}"
        setattr(operator.builtinOptions, attribute, value)
    return operator


def _opcode(model: Any, kind: str) -> int:
    code = schema.OperatorCodeT()
    builtin, _, custom = kind.partition(":")
    number = getattr(schema.BuiltinOperator, builtin)
    code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
    code.customCode = custom or None
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
