"""A router that reads the base's features z: the base is converted alone, the router put behind.

Through the converter together, one scale for the features and z would also become that of the
base's layers before z. Here the base keeps every byte that it has without such a router. What is
put behind are TFLite's own operators, quantised by TFLite's rules:

    CONCATENATION [route features; z] - FULLY_CONNECTED, RELU - FULLY_CONNECTED -> score
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.export import link
from mcu_hybrid.export import metadata as flat
from mcu_hybrid.export.facts import ReadGraph
from mcu_hybrid.export.link import Band
from mcu_hybrid.export.tflite import PROBES, Converted, convert
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets.checkpoint import Hybrid
from mcu_hybrid.nets.penultimate import with_features
from mcu_hybrid.nets.router_head import Collapsed
from mcu_hybrid.ops.concatenation import CONCATENATION
from mcu_hybrid.ops.fully_connected import FULLY_CONNECTED
from mcu_hybrid.quant import QuantParams
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.images import to_int8
from mcu_hybrid.tflite_file import builtin_code

JOINED, HIDDEN, SCORE = "router/concatenation_0", "router/fully_connected_1", "route_score"
FEATURES = "route_features"
_LEAST_CORRELATION = 0.9  # of z in both orders: rounding costs a hundredth
_HINT = "train with --router-inputs top_k, or end the network with a pool and nn.Linear"


def make(hybrid: Hybrid, x_fit: np.ndarray, half: float, read: ReadGraph) -> tuple[Converted, Band]:
    """The file with two inputs and outputs, and where the features lie; score spans -half..half.

    Raises:
        ModelError: the converter's base does not hold z as one vector in the network's order.
    """
    from mcu_hybrid.export import onnx

    with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as folder:
        path = Path(folder) / "base.onnx"
        onnx.write_base(hybrid, path)
        rows = {onnx.IMAGE: link.with_extremes(x_fit.astype(np.float32) / 255)}
        converted = convert(path, rows, (onnx.LOGITS,))
    graph = read(converted.tflite, "model.tflite")
    probes = x_fit[:PROBES]
    z = _z_of(graph, hybrid)
    floats = _float_z(hybrid, probes)
    _require_same_order(graph, z, probes, floats)
    quant = graph.tensor(z).require_quant()
    band = Band.of(quant)
    count = len(hybrid.router.centers)
    head = band.head(hybrid.router.head, count)
    data = _put_behind(converted.tflite, z, head, count, half)
    own = link.float_features(hybrid.router, link.base_logits(hybrid.base, probes))
    values = dict(converted.float_activations)
    values[JOINED] = np.concatenate([band.place(own), floats], axis=1)
    values[HIDDEN] = np.clip(values[JOINED] @ head.w1.T + head.b1, 0, 1)  # the range that it has
    values[SCORE] = values[HIDDEN] @ head.w2[:, None] + head.b2
    return Converted(data, values), band


def _z_of(graph: Graph, hybrid: Hybrid) -> int:
    """The tensor that the layer of the logits reads."""
    op = graph.producer(graph.outputs[0])
    if op is None or not FULLY_CONNECTED.serves(op):
        kind = "an input" if op is None else op.kind
        raise ModelError(f"the converter ends the base in {kind}, not FULLY_CONNECTED", _HINT)
    shape, wanted = graph.tensor(op.inputs[0]).shape, hybrid.router.features
    if shape[-1] != wanted or graph.tensor(op.inputs[0]).elements != wanted:
        raise ModelError(f"z has shape {list(shape)}, not {wanted} values in its last axis", _HINT)
    return op.inputs[0]


def _float_z(hybrid: Hybrid, x: np.ndarray) -> np.ndarray:
    """z [N, C] of uint8 images NHWC, by the network itself."""
    import torch

    images = torch.as_tensor(x).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return np.asarray(with_features(hybrid.base, hybrid.shape)(images)[1].numpy())


def _require_same_order(graph: Graph, z: int, x: np.ndarray, floats: np.ndarray) -> None:
    """Nothing in the file says in which order the converter keeps z: its values do."""
    rows = [interp.run(graph, [image[None]], keep=True)[z].ravel() for image in to_int8(graph, x)]
    got = np.array(rows, np.float64)
    if got.std() == 0 or floats.std() == 0:
        return  # z says nothing, in any order
    if np.corrcoef(got.ravel(), floats.ravel())[0, 1] < _LEAST_CORRELATION:
        raise ModelError("the converter keeps z in another order than the network", _HINT)


def _put_behind(data: bytes, z: int, head: Collapsed, features: int, half: float) -> bytes:
    """The file with the router's input, operators and output.

    Args:
        head: on [features; z] as the file holds them, its hidden units balanced to reach 1.
    """
    file = _File(data)
    quant, shape = file.quant(z), file.shape(z)
    before = shape[:-1]
    given = file.tensor(FEATURES, (*before, features), quant)
    joined = file.tensor(JOINED, (*before, features + shape[-1]), quant)
    hidden = file.tensor(HIDDEN, (1, len(head.b1)), QuantParams((1 / 255,), (-128,)))
    score = file.tensor(SCORE, (1, 1), QuantParams((2 * half / 255,), (0,)))
    file.concatenate([given, z], joined, axis=len(shape) - 1)
    file.dense(joined, hidden, head.w1, head.b1, relu=True)
    file.dense(hidden, score, head.w2[None, :], np.array([head.b2]), relu=False)
    return file.done(given, score)


class _File:
    """Adds tensors and operators to the one subgraph of a .tflite."""

    def __init__(self, data: bytes) -> None:
        self.schema, self.model = flat.schema_and_model(data)
        self.graph = self.model.subgraphs[0]

    def quant(self, index: int) -> QuantParams:
        """The per-tensor quantisation of a tensor that is there."""
        found = self.graph.tensors[index].quantization
        return QuantParams((float(found.scale[0]),), (int(found.zeroPoint[0]),))

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor that is there."""
        return tuple(int(n) for n in self.graph.tensors[index].shape)

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        quant: QuantParams,
        values: np.ndarray | None = None,
    ) -> int:
        """Add an int8 tensor, or an int8 or int32 constant with ``values``; returns its index."""
        schema = self.schema
        made = schema.TensorT()
        made.name, made.shape = name.encode(), np.array(shape, np.int32)
        wide = values is not None and values.dtype == np.int32
        made.type = schema.TensorType.INT32 if wide else schema.TensorType.INT8
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = np.array(quant.scales, np.float32)
        made.quantization.zeroPoint = np.array(quant.zero_points, np.int64)
        made.buffer = 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            made.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def concatenate(self, ins: list[int], out: int, axis: int) -> None:
        """CONCATENATION of tensors of one scale."""
        options = self.schema.ConcatenationOptionsT()
        options.axis = axis
        self._op(CONCATENATION.kind, "ConcatenationOptions", options, ins, out, version=2)

    def dense(self, x: int, out: int, weights: np.ndarray, bias: np.ndarray, *, relu: bool) -> None:
        """FULLY_CONNECTED with symmetric int8 weights of one scale, and int32 bias."""
        schema, name = self.schema, self.graph.tensors[out].name.decode()
        layer = "router/fully_connected_2" if name == SCORE else name
        scale = float(np.float32(max(float(np.abs(weights).max()) / 127, 1e-9)))
        q = np.clip(np.round(weights / scale), -127, 127).astype(np.int8)
        step = float(np.float32(self.quant(x).scale * scale))
        limit = float(2**31 - 1)
        b = np.clip(np.round(bias / step), -limit, limit).astype(np.int32)
        ins = [
            x,
            self.tensor(f"{layer}/weights", q.shape, QuantParams((scale,), (0,)), q),
            self.tensor(f"{layer}/bias", b.shape, QuantParams((step,), (0,)), b),
        ]
        options = schema.FullyConnectedOptionsT()
        kinds = schema.ActivationFunctionType
        options.fusedActivationFunction = kinds.RELU if relu else kinds.NONE
        self._op(FULLY_CONNECTED.kind, "FullyConnectedOptions", options, ins, out, version=4)

    def _op(
        self, kind: str, options_kind: str, options: Any, ins: list[int], out: int, version: int
    ) -> None:
        schema = self.schema
        made = schema.OperatorT()
        made.opcodeIndex = self._code(getattr(schema.BuiltinOperator, kind), version)
        made.inputs, made.outputs = np.array(ins, np.int32), np.array([out], np.int32)
        made.builtinOptionsType = getattr(schema.BuiltinOptions, options_kind)
        made.builtinOptions = options
        self.graph.operators.append(made)

    def _code(self, builtin: int, version: int) -> int:
        codes = self.model.operatorCodes
        for index, code in enumerate(codes):
            if builtin_code(code) == builtin:
                return index
        made = self.schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = builtin
        made.version = version
        codes.append(made)
        return len(codes) - 1

    def done(self, given: int, score: int) -> bytes:
        """The file with one more input and output; its signature, made for one, is dropped."""
        self.graph.inputs = np.array([*self.graph.inputs, given], np.int32)
        self.graph.outputs = np.array([*self.graph.outputs, score], np.int32)
        self.model.signatureDefs = None
        return flat.pack(self.model)
