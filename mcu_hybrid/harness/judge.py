"""The judge of exactness: TFLM's host interpreter (package tflite-micro), int8 in and int8 out.

Only this module imports tflite_micro. Float edges are undone here: a float input is fed with
exactly the values that its QUANTIZE turns into the given int8 tensor, a float output is taken back
to the int8 tensor ahead of its DEQUANTIZE (both are exact, the scale is the model's own float32).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid.errors import InputError, MissingTool, ModelError
from mcu_hybrid.ops import route_features
from mcu_hybrid.tflite_file import builtin_code

_FIRST_ARENA_BYTES = 4 << 20
_LAST_ARENA_BYTES = 1 << 30
_INSTALL = "pip install --pre tflite-micro"


@dataclass(frozen=True)
class _Edge:
    """An input or output of the file; ``scale`` and ``zero_point`` are those of its int8 tensor."""

    name: str
    shape: tuple[int, ...]
    is_float: bool
    scale: np.float32
    zero_point: int


class Judge:
    """Runs a .tflite in TFLM's reference kernels.

    Args:
        tflite: The file's bytes.
        metadata: The file's own metadata. With ``features`` in it (a hybrid model) ``run`` takes
            the image alone, computes the route features from the logits, runs again with them,
            and gives the simple scores as last output: what the device does in one pass.

    Raises:
        MissingTool: tflite-micro is not installed.
        ModelError: TFLM cannot run the file.
    """

    def __init__(self, tflite: bytes, metadata: Mapping[str, Any] | None = None) -> None:
        self._inputs, self._outputs = _edges(tflite)
        self._interpreter = _interpreter(tflite)
        self._features: route_features.Attrs | None = None
        self._route_input: int | None = None
        if metadata is not None and "features" in metadata:
            self._features = route_features.from_json(metadata["features"], "metadata")
            self._logits = _position(self._outputs, metadata, "logits")
            if "route_score" in metadata:
                self._route_input = _position(self._inputs, metadata, "route_features")

    @property
    def features(self) -> route_features.Attrs | None:
        """The route features of a hybrid with a learned router, else None."""
        return self._features if self._features and self._route_input is not None else None

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the inputs that ``run`` takes, in order."""
        return [edge.shape for i, edge in enumerate(self._inputs) if i != self._route_input]

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference: int8 inputs to int8 outputs, in order (and a hybrid's int32 scores)."""
        if self._features is None:
            return self._invoke(inputs)
        given = list(inputs)
        if self._route_input is not None:
            given.insert(self._route_input, np.zeros(self._features.top + 1, np.int8))
        outputs = self._invoke(given)
        features, scores = route_features.compute(
            self._features, outputs[self._logits].reshape(1, -1)
        )
        if self._route_input is not None:
            given[self._route_input] = features
            outputs = self._invoke(given)
        return [*outputs, scores]

    def _invoke(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        if len(inputs) != len(self._inputs):
            raise InputError(f"the model has {len(self._inputs)} inputs, given {len(inputs)}")
        with _quiet():
            self._interpreter.reset()
            for index, (edge, array) in enumerate(zip(self._inputs, inputs, strict=True)):
                self._interpreter.set_input(_to_edge(edge, array), index)
            self._interpreter.invoke()
            raw = [self._interpreter.get_output(i) for i in range(len(self._outputs))]
        return [_from_edge(edge, out) for edge, out in zip(self._outputs, raw, strict=True)]


def _to_edge(edge: _Edge, array: np.ndarray) -> np.ndarray:
    if array.size != int(np.prod(edge.shape)):
        raise InputError(
            f"input '{edge.name}' takes {int(np.prod(edge.shape))} values {edge.shape}, given "
            f"{array.size}"
        )
    array = array.reshape(edge.shape)
    if not edge.is_float:
        return np.ascontiguousarray(array, np.int8)
    steps = array.astype(np.int32) - edge.zero_point
    return edge.scale * steps.astype(np.float32)


def _from_edge(edge: _Edge, out: np.ndarray) -> np.ndarray:
    if not edge.is_float:
        return np.array(out)
    steps = np.rint(out.astype(np.float64) / np.float64(edge.scale))
    return (steps + edge.zero_point).astype(np.int8)


def _interpreter(tflite: bytes) -> Any:
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        raise MissingTool(
            "the Python package tflite-micro (TFLM's host interpreter) is not installed", _INSTALL
        ) from error
    arena_bytes = max(_FIRST_ARENA_BYTES, 10 * len(tflite))
    while True:
        with _quiet() as said:
            try:
                return runtime.Interpreter.from_bytes(tflite, arena_size=arena_bytes)
            except Exception as error:  # the wrapper raises bare RuntimeError and SystemError
                failure, text = error, said()
        if "arena" not in text.lower() or arena_bytes >= _LAST_ARENA_BYTES:
            raise ModelError(
                f"TFLM's interpreter refuses the model: {failure}; {text[-500:]}",
                "the comparison is with TFLM: use operators and options that it has",
            ) from failure
        arena_bytes *= 8


@contextmanager
def _quiet() -> Iterator[Any]:
    """TFLM writes to the process's standard error from C++: keep it, give it as text on demand."""
    with tempfile.TemporaryFile() as log:
        kept = os.dup(2)
        os.dup2(log.fileno(), 2)

        def said() -> str:
            log.seek(0)
            return log.read().decode("utf-8", "replace").strip()

        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _position(edges: Sequence[_Edge], metadata: Mapping[str, Any], key: str) -> int:
    for index, edge in enumerate(edges):
        if edge.name == metadata.get(key):
            return index
    raise ModelError(
        f"the metadata names a tensor {metadata.get(key)!r} that is no edge of the model",
        "export the model again",
        key=key,
    )


def _edges(tflite: bytes) -> tuple[list[_Edge], list[_Edge]]:
    """The file's inputs and outputs, read from the flatbuffer."""
    import tflite as schema

    try:
        model = schema.Model.GetRootAs(tflite, 0)
        graph = model.Subgraphs(0)
        inputs = [
            _edge(schema, model, graph, graph.Inputs(i), True) for i in range(graph.InputsLength())
        ]
        outputs = [
            _edge(schema, model, graph, graph.Outputs(i), False)
            for i in range(graph.OutputsLength())
        ]
    except ModelError:
        raise
    except Exception as error:  # whatever the flatbuffer reader trips over
        raise ModelError(f"is not a readable .tflite: {error}", "export it again") from error
    return inputs, outputs


def _edge(schema: Any, model: Any, graph: Any, index: int, is_input: bool) -> _Edge:
    tensor = graph.Tensors(index)
    is_float = tensor.Type() == schema.TensorType.FLOAT32
    inner = _across(schema, model, graph, index, is_input) if is_float else tensor
    quant = inner.Quantization() if inner is not None else None
    if quant is None or quant.ScaleLength() != 1 or inner.Type() != schema.TensorType.INT8:
        raise ModelError(
            f"'{tensor.Name().decode()}' is not int8, nor float behind a QUANTIZE or DEQUANTIZE",
            "convert with full-integer int8 quantisation",
        )
    return _Edge(
        tensor.Name().decode(),
        tuple(tensor.Shape(i) for i in range(tensor.ShapeLength())),
        is_float,
        np.float32(quant.Scale(0)),
        int(quant.ZeroPoint(0)),
    )


def _across(schema: Any, model: Any, graph: Any, index: int, is_input: bool) -> Any:
    """The int8 tensor on the other side of the QUANTIZE or DEQUANTIZE at this edge, or None."""
    wanted = schema.BuiltinOperator.QUANTIZE if is_input else schema.BuiltinOperator.DEQUANTIZE
    for position in range(graph.OperatorsLength()):
        op = graph.Operators(position)
        code = model.OperatorCodes(op.OpcodeIndex())
        kind = builtin_code(code)
        here, there = (op.Inputs, op.Outputs) if is_input else (op.Outputs, op.Inputs)
        if kind == wanted and here(0) == index:
            return graph.Tensors(there(0))
    return None
