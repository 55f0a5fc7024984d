"""What a file is said to be where it is not full-integer int8: the fact, the layer, a way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import ModelError
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.judge import Judge
from tests.support.tflite_builder import OpSpec, Spec, build, build_one

SHAPE = (1, 4, 4, 2)


def typed(name: str, dtype: str = "int8", scale: float | None = 0.5, zero: int = 3) -> Spec:
    quantised = dtype in ("int8", "uint8", "int16")
    return Spec(name, SHAPE, dtype, scale=scale if quantised else None, zero=zero)


def chain(tensors: Sequence[Spec], kinds: Sequence[str]) -> bytes:
    """A model of unary operators, one behind the other."""
    steps = [OpSpec(kind, [i], [i + 1]) for i, kind in enumerate(kinds)]
    return build(tensors, steps, [0], [len(kinds)])


def refused(data: bytes) -> ModelError:
    with pytest.raises(ModelError) as caught:
        read_tflite(data, "net.tflite")
    assert str(caught.value).startswith("net.tflite: ") and caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("kind", "words", "hint"),
    [
        ("CUSTOM:ethos-u", "is compiled for an Arm Ethos-U (operator 1", "from before Vela"),
        ("CUSTOM:edgetpu-custom-op", "is compiled for a Google Edge TPU", "from before the Edge"),
        ("SVDF", "keeps state from one inference to the next: operator 1 SVDF", "a whole window"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "operator 1 UNIDIRECTIONAL_SEQUENCE_LSTM, layer 'c'", ""),
        ("VAR_HANDLE", "the engine does not run state yet", "an input and an output"),
    ],
)
def test_files_of_another_kind(kind: str, words: str, hint: str) -> None:
    for dtypes in (("int8",) * 4, ("int16", "int8", "int8", "int16"), ("float32", *["int8"] * 3)):
        tensors = [typed(name, dtype) for name, dtype in zip("abcd", dtypes, strict=True)]
        error = refused(chain(tensors, ["QUANTIZE", kind, "RELU"]))
        assert words in error.message and hint in error.hint


def _with_second(data: bytes, kinds: Sequence[str]) -> bytes:
    """The file with one more subgraph, of these operators."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    second = schema.SubGraphT()
    second.tensors, second.inputs, second.outputs, second.operators = [], [], [], []
    for kind in kinds:
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, kind)
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        model.operatorCodes.append(code)
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = len(model.operatorCodes) - 1, [], []
        second.operators.append(op)
    model.subgraphs.append(second)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (["VAR_HANDLE", "ASSIGN_VARIABLE"], "state from one inference to the next (ASSIGN_VARIABL"),
        (["WHILE"], "has control flow (WHILE)"),
        (["RELU"], "has 2 subgraphs, expected one"),
        ([], "has 2 subgraphs, expected one"),
    ],
)
def test_several_subgraphs(kinds: list[str], words: str) -> None:
    assert words in refused(_with_second(chain([typed("a"), typed("b")], ["RELU"]), kinds)).message


def test_int16_edges_are_no_16x8_scheme() -> None:
    tensors = [typed("a", "int16", zero=0), typed("b"), typed("c")]
    message = refused(chain(tensors, ["QUANTIZE", "RELU"])).message
    assert "is int8 inside, but its input 'a' is int16 of scale 0.5, zero point 0" in message
    assert "(operator 0 QUANTIZE, layer 'b')" in message and "16x8" not in message
    scheme = refused(chain([typed(n, "int16", zero=0) for n in "ab"], ["RELU"])).message
    assert "is quantised to int16 activations (16x8 scheme)" in scheme


def test_uint8_edges_of_another_scale() -> None:
    tensors = [typed("a", "uint8", 0.25, 128), typed("b"), typed("c")]
    message = refused(chain(tensors, ["QUANTIZE", "RELU"])).message
    assert "is int8 inside, but its input 'a' is uint8 of scale 0.25, zero point 128" in message
    tensors = [typed("b"), typed("c"), typed("d", "uint8", 0.5, 130)]
    message = refused(chain(tensors, ["RELU", "QUANTIZE"])).message
    assert "its output 'd' is uint8" in message
    old = refused(chain([typed(n, "uint8") for n in "ab"], ["RELU"])).message
    assert "is quantised to uint8 ('a'), the scheme of TensorFlow 1" in old


@pytest.mark.parametrize("zero", [-128, 0, 3, 127])
def test_uint8_edges_of_the_same_values_come_off(zero: int) -> None:
    tensors = [
        typed("a", "uint8", 0.5, zero + 128),
        typed("b", zero=zero),
        typed("c", zero=-7),
        typed("d", "uint8", 0.5, 121),
    ]
    data = chain(tensors, ["QUANTIZE", "LEAKY_RELU", "QUANTIZE"])
    graph = read_tflite(data, "m").graph
    assert [op.kind for op in graph.ops] == ["LEAKY_RELU"]
    assert "QUANTIZE at uint8 input 'a' taken off" in graph.notes[0]
    assert "the device gives 'c'" in graph.notes[1]
    judge = Judge(data)
    for seed in range(3):
        x = np.random.default_rng(seed).integers(-128, 128, SHAPE, np.int8)
        np.testing.assert_array_equal(interp.run(graph, [x])[0], judge.run([x])[0])


def test_a_float_tail_and_a_float_head() -> None:
    tail = [typed("a"), typed("b"), typed("c", "float32"), typed("d", "float32")]
    error = refused(chain(tail, ["RELU", "DEQUANTIZE", "SOFTMAX"]))
    assert "is int8 up to 'b' and ends in float: operator 2 SOFTMAX, layer 'd'" in error.message
    assert error.hint.startswith("end the network at 'b'")
    head = [typed("a", "float32"), typed("b", "float32"), typed("c"), typed("d")]
    error = refused(chain(head, ["RELU", "QUANTIZE", "RELU"]))
    assert "begins in float: operator 0 RELU, layer 'b'; it is int8 from 'c' on" in error.message
    custom = [typed("a"), typed("b"), typed("c", "float32"), typed("d", "float32")]
    error = refused(chain(custom, ["RELU", "DEQUANTIZE", "CUSTOM:TFLite_Detection_PostProcess"]))
    assert "ends in float: operator 2 CUSTOM:TFLite_Detection_PostProcess" in error.message


def test_positions_are_those_of_the_file() -> None:
    """What is taken off ahead of an operator does not change its number."""
    tensors = [typed("a", "float32"), typed("b"), typed("c")]
    assert "operator 1 FLOOR (layer 'c')" in refused(chain(tensors, ["QUANTIZE", "FLOOR"])).message


def test_an_operator_that_is_missing_is_named_before_its_type() -> None:
    tensors = [typed("a"), typed("b"), Spec("c", (1,), "int64")]
    message = refused(chain(tensors, ["RELU", "ARG_MAX"])).message
    assert "operator 1 ARG_MAX (layer 'c') is not supported" in message
    tokens = refused(chain([typed("a", "int32"), typed("b", "int32")], ["RESHAPE"]))
    assert "tensor 'a' is int32" in tokens.message and "int8 inputs" in tokens.hint


@pytest.mark.parametrize(
    ("extra", "words"),
    [(b"\1\2", "holds 8 bytes, its shape [3, 1, 1, 2] of int8 takes 6: it is longer"), (b"\0", "")],
)
def test_weights_longer_than_their_shape(extra: bytes, words: str) -> None:
    """Padding to the next constant is fine, data is not: TFLM would read the first part of it."""
    raw: Any = np.frombuffer(b"\1" * 6 + extra, np.int8)
    weights = Spec("w", (3, 1, 1, 2), scale=0.1, data=raw)
    target = Spec("y", (1, 4, 4, 3), scale=0.5)
    options = {"stride_h": 1, "stride_w": 1}
    data = build_one("CONV_2D", [typed("x"), weights], [target], options)
    if words:
        error = refused(data)
        assert words in error.message and "damaged" not in error.hint
        return
    graph = read_tflite(data, "m").graph
    x = np.random.default_rng(0).integers(-128, 128, SHAPE, np.int8)
    np.testing.assert_array_equal(interp.run(graph, [x])[0], Judge(data).run([x])[0])


def _changed(data: bytes, tensor: int, **fields: Any) -> bytes:
    """The file with these fields of one of its tensors, or of its quantisation."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    found = model.subgraphs[0].tensors[tensor]
    for name, value in fields.items():
        setattr(found if hasattr(found, name) else found.quantization, name, value)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _conv() -> bytes:
    weights = Spec("w", (3, 1, 1, 2), scale=0.1, data=np.ones((3, 1, 1, 2), np.int8))
    target = Spec("y", (1, 4, 4, 3), scale=0.5)
    return build_one("CONV_2D", [typed("x"), weights], [target], {"stride_h": 1, "stride_w": 1})


@pytest.mark.parametrize("tensor", [0, 1, 2])
def test_a_scale_without_a_zero_point_is_no_quantisation(tensor: int) -> None:
    """TFLM ignores the scale then: reading 0 in its place computes something else."""
    error = refused(_changed(_conv(), tensor, zeroPoint=None))
    assert "has a scale and no zero point" in error.message


def test_weights_that_are_variables_are_state() -> None:
    """TFLM sets a variable tensor to zero before it runs."""
    error = refused(_changed(_conv(), 1, isVariable=True))
    assert "keeps state in the variable tensor 'w' (operator 0 CONV_2D, layer 'y')" in error.message


@pytest.mark.parametrize(("at", "tensor"), [("float32", 0), ("uint8", 0), ("float32", 3)])
def test_an_edge_that_changes_the_shape(at: str, tensor: int) -> None:
    inner = [typed("b"), typed("c")]
    first = typed("a", at if tensor == 0 else "float32", 0.5, 131)
    data = chain([first, *inner, typed("d", "float32")], ["QUANTIZE", "RELU", "DEQUANTIZE"])
    assert read_tflite(data, "m").graph.notes
    assert "changes no shape" in refused(_changed(data, tensor, shape=[1, 4, 2, 4])).message
