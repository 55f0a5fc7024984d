"""One-operator models from tensors in their order of use: as our graph, and as a .tflite for TFLM.

For operators whose options and constants are drawn at random. Not here: how a case runs (rig.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcu_hybrid import ops
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.quant import QuantParams
from tests.support import rig


def quant(scale: float, zero_point: int) -> QuantParams:
    """Per-tensor quantisation with the float32 scale that a model file would hold."""
    return QuantParams((float(np.float32(scale)),), (int(zero_point),))


def int8(name: str, shape: Any, params: QuantParams, data: np.ndarray | None = None) -> Tensor:
    """An int8 tensor; a constant where ``data`` is given."""
    return Tensor(name, tuple(int(n) for n in shape), "int8", params, data)


def const(name: str, values: Any) -> Tensor:
    """An int32 constant: axes, sizes, permutations."""
    data = np.asarray(values, np.int32)
    return Tensor(name, data.shape, "int32", None, data)


@dataclass
class Case:
    """One operator; ``options`` has the names of TFLite's options table in snake_case."""

    kind: str
    ins: list[Tensor]
    outs: list[Tensor]
    options: dict[str, Any] = field(default_factory=dict)
    arrays: list[np.ndarray] = field(default_factory=list)

    def fill(self, rng: np.random.Generator) -> Case:
        """Random values for the variable inputs."""
        for tensor in self.ins:
            if tensor.data is None:
                self.arrays.append(rng.integers(-128, 128, tensor.shape).astype(np.int8))
        return self

    def operands(self) -> list[np.ndarray]:
        """One array per input, constants included."""
        variable = iter(self.arrays)
        return [next(variable) if t.data is None else t.data for t in self.ins]

    def graph(self) -> tuple[Graph, Op]:
        """The checked graph."""
        # A tensor that is given twice is one tensor, as in ADD(x, x).
        tensors = tuple({id(tensor): tensor for tensor in (*self.ins, *self.outs)}.values())
        where = {id(tensor): index for index, tensor in enumerate(tensors)}
        ins = tuple(where[id(tensor)] for tensor in self.ins)
        outs = tuple(where[id(tensor)] for tensor in self.outs)
        module = ops.operator(self.kind)
        attrs = module.read(RawOp(self.kind, "op", ins, outs, self.options, tensors))
        op = Op(self.kind, "op", ins, outs, attrs)
        variable = tuple(dict.fromkeys(i for i in ins if tensors[i].data is None))
        graph = Graph("one", tensors, (op,), variable, outs)
        module.check(graph, op)
        return graph, op

    def our(self) -> tuple[np.ndarray, ...]:
        """The numpy reference."""
        graph, op = self.graph()
        return tuple(ops.operator(self.kind).reference(graph, op, self.operands()))

    def in_rig(self) -> rig.Case:
        """For rig.check against C; without the .tflite, which ``judge`` compares."""
        graph, _ = self.graph()
        return rig.Case(str(self), graph, tuple(self.arrays[: len(graph.inputs)]))

    def tflite(self) -> bytes:
        """The same operator as a .tflite file."""
        model, sub = schema.ModelT(), schema.SubGraphT()
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, self.kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        model.version, model.operatorCodes = 3, [code]
        model.buffers, model.subgraphs = [schema.BufferT()], [sub]
        sub.tensors = [_tensor(model, tensor) for tensor in (*self.ins, *self.outs)]
        operator = schema.OperatorT()
        operator.inputs = list(range(len(self.ins)))
        operator.outputs = list(range(len(self.ins), len(sub.tensors)))
        _set_options(operator, self.kind, self.options)
        sub.operators, sub.outputs = [operator], operator.outputs
        sub.inputs = [i for i, tensor in enumerate(self.ins) if tensor.data is None]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def judge(self) -> list[np.ndarray]:
        """TFLM's outputs."""
        return rig.interpret(self.tflite(), self.arrays, len(self.outs), arena_bytes=1 << 18)

    def __str__(self) -> str:
        tensors = ", ".join(f"{t.name}{list(t.shape)} {t.quant}" for t in (*self.ins, *self.outs))
        return f"{self.kind} {self.options} {tensors}"


def _tensor(model: Any, tensor: Tensor) -> Any:
    out = schema.TensorT()
    out.name, out.shape = tensor.name.encode(), list(tensor.shape)
    out.type = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}[tensor.dtype]
    if tensor.quant is not None:
        out.quantization = schema.QuantizationParametersT()
        out.quantization.scale = list(tensor.quant.scales)
        out.quantization.zeroPoint = list(tensor.quant.zero_points)
    if tensor.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(tensor.data.tobytes(), np.uint8)
        model.buffers.append(buffer)
        out.buffer = len(model.buffers) - 1
    return out


def _set_options(operator: Any, kind: str, options: dict[str, Any]) -> None:
    name = "".join(word.capitalize() for word in kind.split("_")) + "Options"
    if not hasattr(schema, f"{name}T"):
        return
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    operator.builtinOptions = getattr(schema, f"{name}T")()
    for key, value in options.items():
        camel = re.sub(r"_(\w)", lambda match: match[1].upper(), key)
        assert hasattr(operator.builtinOptions, camel), (name, camel)
        setattr(operator.builtinOptions, camel, value)
