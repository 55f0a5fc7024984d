"""Cuts a part out of a .tflite: the operators between given inputs and given outputs.

Only the TFLM engine needs it: it runs flatbuffers, so a model whose float edges come off, or that
is two networks in one file (base and router), must be written again. Tensors, quantisation, options
and weights are copied as they are; what the firmware does not read (metadata) is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

import flatbuffers
import tflite

from mcu_hybrid.errors import ModelError
from mcu_hybrid.tflite_file import builtin_code, deprecated_code, without_absent_bias

_ALIGN = 16  # TFLM reads int32 biases straight from the file
_OPTION_NAMES = {
    value: name for name, value in vars(tflite.BuiltinOptions).items() if name[0].isupper()
}


def cut(data: bytes, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
    """Return a .tflite with only what computes ``outputs`` from ``inputs`` (tensor indices).

    Raises:
        ModelError: the outputs also depend on another input of the model.
    """
    model = tflite.Model.GetRootAsModel(without_absent_bias(data), 0)
    return _Cutter(model, model.Subgraphs(0), inputs, outputs).write()


class _Cutter:
    """One cut: which parts are kept, and their new numbers."""

    def __init__(self, model: Any, graph: Any, ins: Sequence[int], outs: Sequence[int]) -> None:
        self.model, self.graph, self.ins, self.outs = model, graph, ins, outs
        self.ops = self._needed_ops()
        self.tensors = _numbered([*ins, *(t for op in self.ops for t in _ports(op)), *outs])
        self.codes = _numbered(op.OpcodeIndex() for op in self.ops)
        buffers = (graph.Tensors(t).Buffer() for t in self.tensors)
        self.buffers = _numbered([0, *buffers])  # buffer 0 is TFLite's "no data"
        self.b = flatbuffers.Builder(1 << 16)

    def _needed_ops(self) -> list[Any]:
        """The operators, in the file's order, that the outputs need."""
        ops = [self.graph.Operators(i) for i in range(self.graph.OperatorsLength())]
        wanted, kept = set(self.outs) - set(self.ins), []
        for op in reversed(ops):
            if wanted.intersection(_indices(op.OutputsAsNumpy())):
                kept.append(op)
                wanted -= set(_indices(op.OutputsAsNumpy()))
                wanted |= set(_indices(op.InputsAsNumpy())) - {-1, *self.ins}
        free = wanted.intersection(_indices(self.graph.InputsAsNumpy()))
        if free:
            name = self.graph.Tensors(min(free)).Name().decode("utf-8", "replace")
            raise ModelError(
                f"the part to run alone also reads the input '{name}'", "export the model again"
            )
        return kept[::-1]

    def write(self) -> bytes:
        """The new file."""
        b = self.b
        buffers = self._vector(self.buffers, lambda i: self._buffer(self.model.Buffers(i)))
        codes = self._vector(self.codes, lambda i: self._code(self.model.OperatorCodes(i)))
        tensors = self._vector(self.tensors, lambda i: self._tensor(self.graph.Tensors(i)))
        ops = self._vector(self.ops, self._op)
        ins, outs = self._numbers(self.ins), self._numbers(self.outs)
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, tensors)
        tflite.SubGraphAddInputs(b, ins)
        tflite.SubGraphAddOutputs(b, outs)
        tflite.SubGraphAddOperators(b, ops)
        subgraphs = self._offsets([tflite.SubGraphEnd(b)])
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, self.model.Version())
        tflite.ModelAddOperatorCodes(b, codes)
        tflite.ModelAddSubgraphs(b, subgraphs)
        tflite.ModelAddBuffers(b, buffers)
        b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
        return bytes(b.Output())

    def _vector(self, items: Iterable[Any], write: Callable[[Any], int]) -> int:
        return self._offsets([write(item) for item in items])

    def _offsets(self, offsets: list[int]) -> int:
        self.b.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.b.PrependUOffsetTRelative(offset)
        return int(self.b.EndVector())

    def _numbers(self, tensors: Iterable[int]) -> int:
        return self._int32s([self.tensors[t] if t >= 0 else t for t in tensors])

    def _int32s(self, values: Sequence[int]) -> int:
        self.b.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.b.PrependInt32(value)
        return int(self.b.EndVector())

    def _buffer(self, old: Any) -> int:
        content = None
        if old.DataLength():
            self.b.Prep(_ALIGN, old.DataLength())
            content = self.b.CreateByteVector(old.DataAsNumpy().tobytes())
        tflite.BufferStart(self.b)
        if content is not None:
            tflite.BufferAddData(self.b, content)
        return int(tflite.BufferEnd(self.b))

    def _code(self, old: Any) -> int:
        b = self.b
        tflite.OperatorCodeStart(b)
        builtin = builtin_code(old)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, deprecated_code(builtin))
        tflite.OperatorCodeAddVersion(b, old.Version())
        tflite.OperatorCodeAddBuiltinCode(b, builtin)
        return int(tflite.OperatorCodeEnd(b))

    def _tensor(self, old: Any) -> int:
        b = self.b
        shape = self._int32s(_indices(old.ShapeAsNumpy()) if old.ShapeLength() else [])
        name = b.CreateString(old.Name() or b"")
        quant = self._quant(old.Quantization())
        tflite.TensorStart(b)
        tflite.TensorAddShape(b, shape)
        tflite.TensorAddType(b, old.Type())
        tflite.TensorAddBuffer(b, self.buffers[old.Buffer()])
        tflite.TensorAddName(b, name)
        if quant is not None:
            tflite.TensorAddQuantization(b, quant)
        return int(tflite.TensorEnd(b))

    def _quant(self, old: Any) -> int | None:
        if old is None or not old.ScaleLength():
            return None
        b = self.b
        scale = b.CreateNumpyVector(old.ScaleAsNumpy())
        zero = b.CreateNumpyVector(old.ZeroPointAsNumpy()) if old.ZeroPointLength() else None
        tflite.QuantizationParametersStart(b)
        tflite.QuantizationParametersAddScale(b, scale)
        if zero is not None:
            tflite.QuantizationParametersAddZeroPoint(b, zero)
        tflite.QuantizationParametersAddQuantizedDimension(b, old.QuantizedDimension())
        return int(tflite.QuantizationParametersEnd(b))

    def _op(self, old: Any) -> int:
        b = self.b
        ins = self._numbers(_indices(old.InputsAsNumpy()))
        outs = self._numbers(_indices(old.OutputsAsNumpy()))
        kind = old.BuiltinOptionsType()
        options = self._options(_OPTION_NAMES[kind], old.BuiltinOptions()) if kind else None
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, self.codes[old.OpcodeIndex()])
        tflite.OperatorAddInputs(b, ins)
        tflite.OperatorAddOutputs(b, outs)
        if options is not None:
            tflite.OperatorAddBuiltinOptionsType(b, kind)
            tflite.OperatorAddBuiltinOptions(b, options)
        return int(tflite.OperatorEnd(b))

    def _options(self, name: str, table: Any) -> int:
        """Copy an options table field by field, through the generated classes of ``tflite``."""
        module = import_module(f"tflite.{name}")
        old = getattr(module, name)()
        old.Init(table.Bytes, table.Pos)
        prefix = f"{name}Add"
        values = {}
        for field in [n.removeprefix(prefix) for n in vars(module) if n.startswith(prefix)]:
            if not hasattr(module, f"{name}Start{field}Vector"):
                values[field] = getattr(old, field)()
            elif getattr(old, f"{field}Length")():  # of the supported operators: integers, all
                values[field] = self._int32s(_indices(getattr(old, f"{field}AsNumpy")()))
        getattr(module, f"{name}Start")(self.b)
        for field, value in values.items():
            getattr(module, prefix + field)(self.b, value)
        return int(getattr(module, f"{name}End")(self.b))


def _indices(array: Any) -> list[int]:
    return [int(i) for i in array]


def _ports(op: Any) -> list[int]:
    return [t for t in _indices(op.InputsAsNumpy()) + _indices(op.OutputsAsNumpy()) if t >= 0]


def _numbered(keys: Iterable[int]) -> dict[int, int]:
    """New numbers in order of first use."""
    return {key: number for number, key in enumerate(dict.fromkeys(keys))}
