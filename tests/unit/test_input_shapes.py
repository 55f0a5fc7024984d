"""Dynamic dimensions: refused by name, or fixed by --input-shape, exactly as TFLM would run it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click
import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from mcu_hybrid.cli.common import INPUT_SHAPE
from mcu_hybrid.compiler.read.tflite import fix_input_shapes, read_tflite
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.judge import Judge
from mcu_hybrid.steps.build import model_path, read_model
from mcu_hybrid.steps.export import ExportOptions, export_step
from tests.support.random_models import random_model
from tests.support.random_source import seeded
from tests.support.tflite_builder import OpSpec, Spec, build, build_one

Q: dict[str, Any] = {"scale": 0.5, "zero": 3}


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def opened(data: bytes) -> bytes:
    """The file as a converter writes it that knows no size but constants': 1 in their place."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    graph = model.subgraphs[0]
    written = {int(i) for op in graph.operators for i in op.outputs} | set(graph.inputs)
    for index in written:
        tensor = graph.tensors[index]
        shape = [int(n) for n in tensor.shape]
        tensor.shapeSignature = [n if n == 1 else -1 for n in shape]
        tensor.shape = [1] * len(shape)
    return _packed(model)


def signed(data: bytes, tensor: int, signature: list[int]) -> bytes:
    """The file with this shape_signature at one of its tensors."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    model.subgraphs[0].tensors[tensor].shapeSignature = signature
    return _packed(model)


def relu(shape: tuple[int, ...]) -> bytes:
    return build_one("RELU", [Spec("x", shape, **Q)], [Spec("y", shape, **Q)])


def test_the_file_of_the_field(shared: Path) -> None:
    path = shared / "models" / "field" / "gen_dynamic_hw.tflite"
    if not path.is_file():
        pytest.skip("../shared/models/field is absent")
    with pytest.raises(ModelError) as caught:
        read_tflite(path.read_bytes(), path.name)
    assert "'serving_default_input_10:0' has dynamic dimensions [1, -1, -1, 4]" in str(caught.value)
    assert "--input-shape 1x96x96x4" in caught.value.hint
    data = fix_input_shapes(path.read_bytes(), path.name, {"": (1, 17, 9, 4)})
    graph = read_tflite(data, path.name).graph
    x = np.random.default_rng(0).integers(-128, 128, (1, 17, 9, 4), np.int8)
    (have,), (want,) = interp.run(graph, [x]), Judge(data).run([x])
    assert have.shape == (1, 17, 9, 8)
    np.testing.assert_array_equal(have, want)


def test_random_models_get_their_sizes_back() -> None:
    seen: Counter[str] = Counter()
    for seed in range(30):
        model = random_model(seeded(seed))
        graph = read_tflite(model.data, "m").graph
        shapes = input_shapes(model.data)
        fixed = fix_input_shapes(opened(model.data), "m", shapes)
        again = read_tflite(fixed, "m").graph
        assert again.tensors == graph.tensors and again.ops == graph.ops, model.kinds
        inputs = interp_inputs(graph, seed)
        for have, want in zip(Judge(fixed).run(inputs), Judge(model.data).run(inputs), strict=True):
            np.testing.assert_array_equal(have, want)
        seen.update(set(model.kinds))
    assert len(seen) > 20, seen


def input_shapes(data: bytes) -> dict[str, tuple[int, ...]]:
    """By the file's own names: float edges have others than the int8 tensors behind them."""
    graph = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0)).subgraphs[0]
    edges = [graph.tensors[i] for i in graph.inputs]
    return {edge.name.decode(): tuple(int(n) for n in edge.shape) for edge in edges}


def interp_inputs(graph: Any, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-128, 128, graph.tensor(i).shape, np.int8) for i in graph.inputs]


@pytest.mark.parametrize("name", ["mcunet_vww1", "vww_96_int8", "pretrainedResnet_quant"])
def test_real_models_get_their_sizes_back(name: str, shared: Path) -> None:
    data = (shared / "models" / f"{name}.tflite").read_bytes()
    graph = read_tflite(data, name).graph
    with pytest.raises(ModelError, match="has dynamic dimensions"):
        read_tflite(opened(data), name)
    shape = Judge(data).input_shapes[0]
    fixed = fix_input_shapes(opened(data), name, {"": shape})
    assert read_tflite(fixed, name).graph.tensors == graph.tensors


def test_another_size_than_the_one_it_was_exported_with() -> None:
    """A fully convolutional network runs at any size; its end takes what comes."""
    rng = np.random.default_rng(5)
    filters = rng.integers(-127, 128, (6, 3, 3, 4), np.int8)
    weights = rng.integers(-127, 128, (3, 6), np.int8)
    conv = {"stride_h": 2, "stride_w": 2, "padding": 0}
    tensors = [
        Spec("x", (1, 1, 1, 4), scale=0.05, zero=4),
        Spec("w", (6, 3, 3, 4), scale=0.01, data=filters),
        Spec("c", (1, 1, 1, 6), scale=0.3, zero=-9),
        Spec("axes", (2,), "int32", data=np.array([1, 2], np.int32)),
        Spec("m", (1, 6), scale=0.2, zero=-3),
        Spec("v", (3, 6), scale=0.01, data=weights),
        Spec("y", (1, 3), scale=0.1, zero=2),
    ]
    steps = [
        OpSpec("CONV_2D", [0, 1, -1], [2], conv),
        OpSpec("MEAN", [2, 3], [4]),
        OpSpec("FULLY_CONNECTED", [4, 5], [6]),
    ]
    data = signed(build(tensors, steps, [0], [6]), 0, [-1, -1, -1, 4])
    data = signed(data, 2, [-1, -1, -1, 6])
    for shape in ((1, 1, 1, 4), (1, 7, 7, 4), (1, 32, 5, 4)):
        fixed = fix_input_shapes(data, "m", {"x": shape})
        x = rng.integers(-128, 128, shape, np.int8)
        (have,) = interp.run(read_tflite(fixed, "m").graph, [x])
        np.testing.assert_array_equal(have, Judge(fixed).run([x])[0])
        assert fix_input_shapes(fixed, "m", {"x": shape}) == fixed


def test_only_the_batch_may_stay_open() -> None:
    assert read_tflite(signed(relu((1, 4)), 0, [-1, 4]), "m").graph.inputs == (0,)
    for shape, signature in (((1, 1), [-1, -1]), ((1, 8), [1, -1]), ((1,), [-1])):
        with pytest.raises(ModelError, match="input 'x' has dynamic dimensions"):
            read_tflite(signed(relu(shape), 0, signature), "m")


@pytest.mark.parametrize(("operand", "good"), [([1, 16], True), ([2, 8], False), ([-1, 16], True)])
def test_a_view_of_open_size_must_follow_from_its_operand(operand: list[int], good: bool) -> None:
    constant = Spec("shape", (2,), "int32", data=np.array(operand, np.int32))
    view = build_one("RESHAPE", [Spec("x", (1, 4, 4), **Q), constant], [Spec("y", (1, 16), **Q)])
    data = signed(view, 2, [-1, -1])
    if good:
        assert read_tflite(data, "m").graph.ops[0].kind == "RESHAPE"
        return
    with pytest.raises(ModelError, match=r"RESHAPE 'y': 'y' has dynamic dimensions \[-1, -1\]"):
        read_tflite(data, "m")


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"": (1, 4, 4)}, r"does not fit input 'x', which is \[1, -1, -1, 4\]"),
        ({"": (1, 4, 4, 5)}, "does not fit input 'x'"),
        ({"": (2, 4, 4, 4)}, "does not fit input 'x'"),
        ({"": (1, 0, 4, 4)}, "does not fit input 'x'"),
        ({"z": (1, 4, 4, 4)}, "has no input 'z'; its inputs are 'x'"),
    ],
)
def test_shapes_that_are_none_of_the_models(shapes: Any, words: str) -> None:
    data = signed(relu((1, 1, 1, 4)), 0, [1, -1, -1, 4])
    with pytest.raises(InputError, match=words) as caught:
        fix_input_shapes(data, "net.tflite", shapes)
    assert str(caught.value).startswith("net.tflite: ") and caught.value.hint


def test_a_batch_and_an_unnamed_one_of_two() -> None:
    data = signed(relu((1, 1)), 0, [-1, -1])
    with pytest.raises(InputError, match="has batch 3; the device runs one input"):
        fix_input_shapes(data, "m", {"": (3, 8)})
    two = build_one(
        "ADD", [Spec("a", (1, 1), **Q), Spec("b", (1, 1), **Q)], [Spec("y", (1, 1), **Q)]
    )
    with pytest.raises(InputError, match="has 2 inputs; its inputs are 'a', 'b'"):
        fix_input_shapes(two, "m", {"": (1, 1)})


def test_a_size_that_the_network_cannot_take_names_the_layer() -> None:
    weights = Spec("w", (3, 8), scale=0.1, data=np.ones((3, 8), np.int8))
    layer = build_one(
        "FULLY_CONNECTED", [Spec("x", (1, 1), **Q), weights], [Spec("y", (1, 3), **Q)]
    )
    with pytest.raises(ModelError, match=r"FULLY_CONNECTED 'y': takes 8 values a row, .* to 9"):
        fix_input_shapes(signed(layer, 0, [1, -1]), "m", {"": (1, 9)})
    huge = fix_input_shapes(signed(relu((1, 1)), 0, [1, -1]), "m", {"": (1, 2**31 - 1)})
    with pytest.raises(ModelError, match="takes at most"):
        read_tflite(huge, "m")


@pytest.mark.parametrize("name", ["gen_dynamic_batch_reshape", "mltk_anomaly_detection_shape_pack"])
def test_shapes_that_the_file_computes_are_constants(name: str, shared: Path) -> None:
    path = shared / "models" / "field" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("../shared/models/field is absent")
    graph = read_tflite(path.read_bytes(), name).graph
    assert not {op.kind for op in graph.ops} & {"SHAPE", "PACK", "STRIDED_SLICE"}
    assert any("3 operators that compute shapes" in note for note in graph.notes)
    judge = Judge(path.read_bytes())
    for seed in range(3):
        inputs = interp_inputs(graph, seed)
        for have, want in zip(interp.run(graph, inputs), judge.run(inputs), strict=True):
            np.testing.assert_array_equal(have.ravel(), want.ravel())


def test_export_and_read_model_take_the_size_too(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "net.tflite"
    path.write_bytes(signed(relu((1, 1, 1, 4)), 0, [1, -1, -1, 4]))
    shapes = (("", (1, 5, 6, 4)),)
    model = read_model(path, shapes)
    assert model.graph.tensor(0).shape == (1, 5, 6, 4)
    with pytest.raises(ModelError, match="dynamic dimensions"):
        export_step(path, tmp_path / "out")
    export_step(path, tmp_path / "out", ExportOptions(input_shapes=shapes))
    assert read_model(model_path(tmp_path / "out")).data == model.data
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"is no \.tflite: --input-shape"):
        export_step(tmp_path / "net.onnx", tmp_path / "o2", ExportOptions(input_shapes=shapes))


@pytest.mark.parametrize("text", ["1x96x96x3", "1,96,96,3", "image=1x96x96x3", "a=b=1X96x96x3"])
def test_how_a_shape_is_written(text: str) -> None:
    name, shape = INPUT_SHAPE.convert(text, None, None)
    assert shape == (1, 96, 96, 3)
    assert name == {"1": "", "i": "image", "a": "a=b"}[text[0]]


@pytest.mark.parametrize(
    "text", ["", "96xx3", "0x4", "-1x4", "1x2.5", "x", "1x4=", "1e3", "1x" * 9]
)
def test_what_is_no_shape(text: str) -> None:
    with pytest.raises(click.UsageError, match="is no shape; give it as 1x96x96x3"):
        INPUT_SHAPE.convert(text, None, None)
