"""The judge of exactness: TFLM's host interpreter (package tflite-micro), int8 in and int8 out.

TFLM runs in a process of its own (judge_process.py), which it may take down with it. Edges of other
types are undone here: a float input is fed with exactly the values that its QUANTIZE turns into the
given int8 tensor, a float output is taken back to the int8 tensor ahead of its DEQUANTIZE (both are
exact, the scale is the model's own float32); uint8 is int8 + 128 behind or ahead of a QUANTIZE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.ops import route_features
from mcu_hybrid.ops.quantize import DEQUANTIZE, QUANTIZE
from mcu_hybrid.reference.judge_process import TflmModel, Unjudged, is_installed
from mcu_hybrid.tflite_file import builtin_code, without_absent_bias

__all__ = ["Judge", "Unjudged", "is_installed"]

# Types that an edge may have beside int8, and the operator that gives them at an output.
_ACROSS = {"float32": DEQUANTIZE, "uint8": QUANTIZE.kind}


@dataclass(frozen=True)
class _Edge:
    """An input or output of the file; ``scale`` and ``zero_point`` are those of its int8 tensor.

    ``dtype`` is the file's own: int8, float32 or uint8. ``inner`` is the int8 tensor's name.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: np.float32
    zero_point: int
    inner: str


class Judge:
    """Runs a .tflite in TFLM's reference kernels.

    Args:
        tflite: The file's bytes.
        metadata: The file's own metadata. With ``features`` in it (a hybrid model) ``run`` takes
            the image alone, computes the route features from the logits, runs again with them,
            and gives the simple scores as last output: what the device does in one pass.

    Raises:
        MissingTool: tflite-micro is not installed.
        ModelError: the file is not one that can be judged.
        Unjudged: TFLM refuses the file, or died of it; from ``run`` too.
    """

    def __init__(self, tflite: bytes, metadata: Mapping[str, Any] | None = None) -> None:
        self._inputs, self._outputs = _edges(tflite)
        self._model = TflmModel(without_absent_bias(tflite))
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
        given = [_to_edge(edge, array) for edge, array in zip(self._inputs, inputs, strict=True)]
        raw = self._model.run(given, len(self._outputs))
        return [_from_edge(edge, out) for edge, out in zip(self._outputs, raw, strict=True)]


def _to_edge(edge: _Edge, array: np.ndarray) -> np.ndarray:
    if array.size != int(np.prod(edge.shape)):
        raise InputError(
            f"input '{edge.name}' takes {int(np.prod(edge.shape))} values {edge.shape}, given "
            f"{array.size}"
        )
    array = array.reshape(edge.shape)
    if edge.dtype == "int8":
        return np.ascontiguousarray(array, np.int8)
    if edge.dtype == "uint8":
        return (array.astype(np.int16) + 128).astype(np.uint8)
    steps = array.astype(np.int32) - edge.zero_point
    return edge.scale * steps.astype(np.float32)


def _from_edge(edge: _Edge, out: np.ndarray) -> np.ndarray:
    if edge.dtype == "int8":
        return np.array(out)
    if edge.dtype == "uint8":
        return (out.astype(np.int16) - 128).astype(np.int8)
    steps = np.rint(out.astype(np.float64) / np.float64(edge.scale))
    return (steps + edge.zero_point).astype(np.int8)


def _position(edges: Sequence[_Edge], metadata: Mapping[str, Any], key: str) -> int:
    for index, edge in enumerate(edges):
        if metadata.get(key) in (edge.name, edge.inner):
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
    name = _name(tensor, index)
    types = {getattr(schema.TensorType, known.upper()): known for known in ("int8", *_ACROSS)}
    dtype = types.get(tensor.Type(), "another type")
    inner = tensor if dtype == "int8" else _across(schema, model, graph, index, is_input, dtype)
    quant = inner.Quantization() if inner is not None else None
    if quant is None or quant.ScaleLength() != 1 or inner.Type() != schema.TensorType.INT8:
        raise ModelError(
            f"'{name}' is not int8, nor float or uint8 behind a QUANTIZE or DEQUANTIZE",
            "convert with full-integer int8 quantisation",
        )
    return _Edge(
        name,
        tuple(tensor.Shape(i) for i in range(tensor.ShapeLength())),
        dtype,
        np.float32(quant.Scale(0)),
        int(quant.ZeroPoint(0)) if quant.ZeroPointLength() else 0,
        _name(inner, index),
    )


def _name(tensor: Any, index: int) -> str:
    return (tensor.Name() or b"").decode("utf-8", "replace") or f"tensor_{index}"


def _across(schema: Any, model: Any, graph: Any, index: int, is_input: bool, dtype: str) -> Any:
    """The int8 tensor on the other side of the QUANTIZE or DEQUANTIZE at this edge, or None."""
    if dtype not in _ACROSS:
        return None
    wanted = getattr(schema.BuiltinOperator, QUANTIZE.kind if is_input else _ACROSS[dtype])
    for position in range(graph.OperatorsLength()):
        op = graph.Operators(position)
        code = model.OperatorCodes(op.OpcodeIndex())
        kind = builtin_code(code)
        here, there = (op.Inputs, op.Outputs) if is_input else (op.Outputs, op.Inputs)
        if kind == wanted and here(0) == index:
            return graph.Tensors(there(0))
    return None
