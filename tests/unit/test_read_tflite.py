"""Reading .tflite files: what is taken, what is refused, and with which words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.compiler.read.tflite import ModelFile, read_tflite
from mcu_hybrid.errors import McuHybridError, ModelError, UnsupportedOp
from mcu_hybrid.ops import conv2d, fully_connected, pooling
from tests.support.tflite_builder import OpSpec, Spec, build, build_one

SHAPE = (1, 4, 4, 2)


def _int8(name: str, shape: Sequence[int] = SHAPE, scale: float = 0.5, zero: int = 3) -> Spec:
    return Spec(name, shape, scale=scale, zero=zero)


def _float(name: str, shape: Sequence[int] = SHAPE) -> Spec:
    return Spec(name, shape, "float32")


def _weights(dtype: str = "int8", zero: int = 0) -> Spec:
    data = np.ones((3, 1, 1, 2), dtype if dtype != "int4" else "int8")
    return Spec("w", (3, 1, 1, 2), dtype, scale=[0.1, 0.2, 0.3], zero=zero, data=data)


CONV_OPTIONS = {"stride_h": 1, "stride_w": 1}


def _conv(**changes: Spec) -> bytes:
    parts = {"source": _int8("in"), "weights": _weights(), "target": _int8("out", (1, 4, 4, 3))}
    parts |= changes
    inputs = [parts["source"], parts["weights"]]
    return build_one("CONV_2D", inputs, [parts["target"]], CONV_OPTIONS)


def test_tensors_options_and_quantisation_are_read() -> None:
    model = read_tflite(_conv(), "conv.tflite")
    graph = model.graph
    (op,) = graph.ops
    assert (op.kind, op.name, graph.name) == ("CONV_2D", "out", "conv.tflite")
    assert isinstance(op.attrs, conv2d.Attrs)
    assert (op.attrs.window.stride, op.attrs.window.dilation) == ((1, 1), (1, 1))
    weights = graph.tensor(op.inputs[1])
    assert weights.require_quant().scales == tuple(float(np.float32(s)) for s in (0.1, 0.2, 0.3))
    assert weights.data is not None and weights.data.shape == (3, 1, 1, 2)
    assert graph.tensor(graph.inputs[0]).require_quant().zero_point == 3
    assert model.metadata is None
    assert graph.notes == ()


def test_our_metadata_is_read_and_others_are_left_alone() -> None:
    tensors = [_int8("in"), _int8("out", (1, 2, 2, 2))]
    options = {"filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2, "padding": 1}
    ops = [OpSpec("AVERAGE_POOL_2D", [0], [1], options)]
    metadata = {"min_runtime_version": b"2.0", "mcu_hybrid": json.dumps({"version": 1}).encode()}
    model = read_tflite(build(tensors, ops, [0], [1], metadata=metadata), "m")
    assert model.metadata == {"version": 1}
    assert isinstance(model.graph.ops[0].attrs, pooling.PoolAttrs)
    for wrong in (b"{", b"[1]", b"\xff"):
        with pytest.raises(ModelError, match="not a JSON object"):
            read_tflite(build(tensors, ops, [0], [1], metadata={"mcu_hybrid": wrong}), "m")


def _with_float_edges(first: int = 1) -> bytes:
    tensors = [
        _float("image"),
        _int8("q"),
        _int8("relu"),
        _float("scores"),
    ]
    ops = [
        OpSpec("QUANTIZE", [0], [1]),
        OpSpec("RELU", [first], [2]),
        OpSpec("DEQUANTIZE", [2], [3]),
    ]
    return build(tensors, ops, [0], [3])


def test_float_edges_are_taken_off_and_named() -> None:
    graph = read_tflite(_with_float_edges(), "m").graph
    assert [op.kind for op in graph.ops] == ["RELU"]
    assert (graph.inputs, graph.outputs) == ((1,), (2,))
    assert graph.notes == (
        "QUANTIZE at float input 'image' taken off; the device takes 'q' "
        "(int8, scale 0.5, zero point 3)",
        "DEQUANTIZE at float output 'scores' taken off; the device gives 'relu' "
        "(int8, scale 0.5, zero point 3)",
    )


def _read_error(data: bytes, kind: type[ModelError] = ModelError) -> ModelError:
    with pytest.raises(kind) as caught:
        read_tflite(data, "net.tflite")
    assert type(caught.value) is kind
    assert str(caught.value).startswith("net.tflite: ")
    assert caught.value.hint
    return caught.value


def test_files_that_are_no_tflite() -> None:
    assert "empty" in _read_error(b"").message
    for data in (b"\0" * 8, b"PK\3\4 a zip file", b"\x08\x07\x12\x07pytorch onnx file"):
        assert "not a .tflite file" in _read_error(data).message
    assert "damaged or truncated" in _read_error(b"\xff\xff\xff\x7fTFL3").message


def test_every_truncation_is_refused() -> None:
    data = _conv()
    for length in range(0, len(data) - 1, 7):
        _read_error(data[:length])


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_never_cause_anything_but_our_errors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = _conv() if seed % 2 else _with_float_edges()
    for _ in range(250):
        damaged = bytearray(data)
        for place in rng.integers(8, len(data), rng.integers(1, 4)):
            damaged[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(0, 256))])
        try:
            assert isinstance(read_tflite(bytes(damaged), "m"), ModelFile)
        except McuHybridError as error:
            assert error.hint


def test_a_float_model() -> None:
    weights = Spec("w", (3, 1, 1, 2), "float32", data=np.ones((3, 1, 1, 2), np.float32))
    model = _conv(source=_float("in"), weights=weights, target=_float("out", (1, 4, 4, 3)))
    error = _read_error(model)
    assert "is a float model" in error.message
    assert "representative_dataset" in error.hint


def test_a_dynamic_range_model() -> None:
    model = _conv(source=_float("in"), target=_float("out", (1, 4, 4, 3)))
    assert "int8 weights but computes in float" in _read_error(model).message


def test_a_partially_quantised_model_names_the_first_float_layer() -> None:
    tensors = [_int8("in"), _float("loose"), _float("softmax_1"), _int8("out")]
    ops = [
        OpSpec("DEQUANTIZE", [0], [1]),
        OpSpec("SOFTMAX", [1], [2], {"beta": 1.0}),
        OpSpec("QUANTIZE", [2], [3]),
    ]
    message = _read_error(build(tensors, ops, [0], [3])).message
    assert "only partially quantised; 2 of 3 operators give float values" in message
    assert message.endswith("operator 1 SOFTMAX, layer 'softmax_1'")


def test_a_float_input_with_two_readers() -> None:
    tensors = [_float("image"), _int8("a"), _int8("b", scale=0.25), _int8("out")]
    ops = [
        OpSpec("QUANTIZE", [0], [1]),
        OpSpec("QUANTIZE", [0], [2]),
        OpSpec("ADD", [1, 2], [3]),
    ]
    message = _read_error(build(tensors, ops, [0], [3])).message
    assert "float input 'image' is read by QUANTIZE, QUANTIZE" in message


@pytest.mark.parametrize(
    ("dtype", "words"),
    [("int16", "int16 activations"), ("uint8", "uint8 ('in')"), ("int64", "'in' is int64")],
)
def test_other_integer_types(dtype: str, words: str) -> None:
    source = Spec("in", SHAPE, dtype, scale=0.5, zero=0)
    target = Spec("out", (1, 4, 4, 3), dtype, scale=0.5, zero=0)
    assert words in _read_error(_conv(source=source, target=target)).message


def test_unsupported_operators_are_all_named_with_the_first_layer() -> None:
    tensors = [_int8("in"), _int8("relu"), _int8("floor_1"), _int8("out")]
    ops = [
        OpSpec("RELU", [0], [1]),
        OpSpec("FLOOR", [1], [2]),
        OpSpec("CUSTOM:Detect", [2], [3]),
    ]
    error = _read_error(build(tensors, ops, [0], [3]), UnsupportedOp)
    assert "operator 1 FLOOR (layer 'floor_1') is not supported" in error.message
    assert "also not supported in this model: CUSTOM:Detect" in error.message
    assert "CONV_2D" in error.hint


def test_batches_subgraphs_and_dynamic_shapes() -> None:
    batch = build_one("RELU", [_int8("in", (4, 8))], [_int8("out", (4, 8))])
    assert "shape [4, 8]; the device runs one input" in _read_error(batch).message
    dynamic = build_one("RELU", [_int8("in", (1, -1))], [_int8("out", (1, -1))])
    assert "has dynamic dimensions [1, -1]" in _read_error(dynamic).message
    tensors, ops = [_int8("in"), _int8("out")], [OpSpec("RELU", [0], [1])]
    assert "2 subgraphs" in _read_error(build(tensors, ops, [0], [1], subgraphs=2)).message
    assert "0 operators" in _read_error(build(tensors, [], [0], [0])).message


def test_unsupported_options_name_the_layer() -> None:
    tanh = {**CONV_OPTIONS, "fused_activation_function": 4}
    target = _int8("out", (1, 4, 4, 3))
    model = build_one("CONV_2D", [_int8("in"), _weights()], [target], tanh)
    message = _read_error(model, UnsupportedOp).message
    assert "CONV_2D 'out': fused activation number 4" in message
    no_options = build_one("CONV_2D", [_int8("in"), _weights()], [target])
    assert "stride (0, 0)" in _read_error(no_options).message


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"weights": _weights(zero=1)}, UnsupportedOp, "asymmetric (zero point 1)"),
        ({"weights": _weights("int16")}, UnsupportedOp, "'w' are int16"),
        ({"weights": _weights("int4")}, UnsupportedOp, "int4"),
        ({"target": _int8("out", (1, 4, 4, 4))}, ModelError, "expected [1, 4, 4, 3]"),
        ({"target": Spec("out", (1, 4, 4, 3))}, ModelError, "int8 without scale"),
        ({"target": _int8("out", (1, 4, 4, 3), scale=float("nan"))}, ModelError, "positive number"),
        ({"target": _int8("out", (1, 4, 4, 3), scale=0.0)}, ModelError, "positive number"),
        ({"source": _int8("in", zero=200)}, ModelError, "zero point outside int8"),
        ({"target": _int8("out", (1, 4, 4, 3), scale=1e-9)}, UnsupportedOp, "exceed 32 bits"),
        (
            {"weights": Spec("w", (3, 1, 1, 2), scale=0.1, data=np.ones(5, np.int8))},
            ModelError,
            "constant 'w' holds 5 bytes",
        ),
    ],
)
def test_what_a_convolution_must_be(
    changes: dict[str, Spec], kind: type[ModelError], words: str
) -> None:
    assert words in _read_error(_conv(**changes), kind).message


def test_fully_connected_bias_scale() -> None:
    weights = Spec("w", (2, 8), scale=0.1, data=np.ones((2, 8), np.int8))
    for scale, good in ((0.05, True), (0.5, False)):
        bias = Spec("b", (2,), "int32", scale=scale, data=np.ones(2, np.int32))
        target = _int8("out", (1, 2), scale=1.0)
        model = build_one("FULLY_CONNECTED", [_int8("in", (1, 8)), weights, bias], [target])
        if good:
            graph = read_tflite(model, "net.tflite").graph
            assert isinstance(graph.ops[0].attrs, fully_connected.Attrs)
        else:
            assert "bias has scale 0.5, expected 0.05" in _read_error(model).message


def test_real_models_survive_damage(shared: Path) -> None:
    data = (shared / "models" / "micro_speech_quantized.tflite").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        for place in rng.integers(8, len(data), 20):
            damaged[place] = int(rng.integers(0, 256))
        try:
            read_tflite(bytes(damaged), "m")
        except McuHybridError as error:
            assert error.hint
