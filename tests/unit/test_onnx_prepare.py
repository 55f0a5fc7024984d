"""ONNX files of users, changed ahead of conversion: the same answers, in a form that int8 holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

from onnx import TensorProto as T  # noqa: E402
from onnx import helper as h  # noqa: E402
from onnx import numpy_helper as nh  # noqa: E402

from mcu_hybrid.errors import ModelError  # noqa: E402
from mcu_hybrid.export import global_file, onnx_edit, onnx_ends, onnx_file  # noqa: E402
from mcu_hybrid.export.onnx_prepare import Prepared, prepare  # noqa: E402
from mcu_hybrid.export.onnx_run import FloatNet  # noqa: E402
from mcu_hybrid.graph.pixels import UNIT, PixelForm  # noqa: E402
from mcu_hybrid.nets.checkpoint import Splits  # noqa: E402

SIDE, CLASSES = 8, 3
IMAGENET = PixelForm(1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PATH = Path("net.onnx")


def images(count: int = 24, side: int = SIDE) -> np.ndarray:
    """Noise of one bright channel each, from black to full."""
    x = np.random.default_rng(3).integers(0, 256, (count, side, side, 3))
    x[:, 0, 0], x[:, 0, 1] = 0, 255
    bright = np.eye(3)[np.arange(count) % 3] * 0.9 + 0.1
    return np.rint(x * bright[:, None, None]).astype(np.uint8)


def splits(side: int = SIDE) -> Splits:
    x, y = images(side=side), np.arange(24) % CLASSES
    return Splits(x, x, y, x, y, {}, ("a", "b", "c"), "")


def net(
    *middle: Any,
    pads: int = 1,
    end: tuple[Any, ...] = (),
    width: int = CLASSES,
    pool: tuple[Any, ...] = (h.make_node("ReduceMax", ["m"], ["p"], axes=[2, 3], keepdims=0),),
) -> Any:
    """Conv (``pads``) - the given nodes, which read "c" and write "m" - mean - Gemm - the end."""
    r = np.random.default_rng(0)
    weights = {
        "w": r.normal(0, 0.4, (5, 3, 3, 3)),
        "b": r.normal(0, 0.2, 5),
        "fc": (fc := r.normal(0, 1, (width, 5))) - fc.mean(axis=1, keepdims=True),
        "low": np.array(-3.4e38),
        "pad1": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    }
    kinds = {"pad1": np.int64}
    nodes = [
        h.make_node("Conv", ["in", "w", "b"], ["c"], pads=[pads] * 4, name="first"),
        *(middle or (h.make_node("Relu", ["c"], ["m"]),)),
        *pool,
        h.make_node("Gemm", ["p", "fc"], ["z"], transB=1),
        *end,
    ]
    made = [nh.from_array(v.astype(kinds.get(k, np.float32)), k) for k, v in weights.items()]
    out = h.make_tensor_value_info(nodes[-1].output[0], T.FLOAT, None)
    given = h.make_tensor_value_info("in", T.FLOAT, ["n", 3, SIDE, SIDE])
    graph = h.make_graph(nodes, "g", [given], [out], made)
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)


def prepared(model: Any, form: PixelForm = UNIT) -> tuple[Prepared, np.ndarray, np.ndarray]:
    """What prepare makes; the outputs of the prepared and of the given network."""
    image = onnx_file.image_input(model, PATH, (SIDE, SIDE, 3), outputs=1)
    given = FloatNet(model.SerializeToString(), image, PATH)
    told = prepare(model, PATH, image, splits(), form, given)
    ours = FloatNet(told.data, told.image, PATH).run(images(), told.pixels)[0]
    return told, ours, given.run(images(), form)[0]


def kinds_of(told: Prepared) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(told.data).graph.node]


POOLS = {
    "stride 2": ({"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, True),
    "stride 1": ({"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, False),  # TFLite's SAME
    "ceil": ({"kernel_shape": [3, 3], "strides": [3, 3], "ceil_mode": 1}, False),  # SAME again
    "padded ceil": (
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
        True,
    ),
    "one side": ({"kernel_shape": [2, 2], "pads": [1, 0, 0, 0]}, True),
    "same lower": ({"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"}, True),
    "none": ({"kernel_shape": [2, 2], "strides": [2, 2]}, False),
}


@pytest.mark.parametrize("act", ["Relu", "LeakyRelu", "Identity"])
@pytest.mark.parametrize("name", POOLS)
def test_a_padded_maximum_has_a_real_border(name: str, act: str) -> None:
    options, pads = POOLS[name]
    model = net(h.make_node(act, ["c"], ["a"]), h.make_node("MaxPool", ["a"], ["m"], **options))
    told, ours, wanted = prepared(model)
    np.testing.assert_allclose(ours, wanted, atol=1e-5)
    made = onnx.load_from_string(told.data)
    known = onnx_edit.constants(made)
    assert ("Pad" in kinds_of(told)) == pads == bool(told.notes)
    for node in made.graph.node:
        if node.op_type == "MaxPool":
            assert not any(onnx_edit.attribute(node, "pads", []))
        if node.op_type == "Pad":  # 0 behind a ReLU, else a value that is there
            value = float(known[node.input[2]]) if len(node.input) > 2 else 0.0
            assert (value == 0.0) == (act == "Relu") and -20 < value <= 0


@pytest.mark.parametrize("with_pad", [0, 1])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_padded_mean_counts_what_the_file_counts(with_pad: int, stride: int) -> None:
    options = {"kernel_shape": [3, 3], "strides": [stride] * 2, "pads": [1] * 4}
    pool = h.make_node("AveragePool", ["c"], ["m"], count_include_pad=with_pad, **options)
    told, ours, wanted = prepared(net(pool))
    np.testing.assert_allclose(ours, wanted, atol=1e-5)
    assert ("Mul" in kinds_of(told)) == (with_pad == 0 and stride == 2)


def test_a_pad_of_minus_infinity_ahead_of_a_maximum() -> None:
    pad = h.make_node("Pad", ["c", "pad1", "low"], ["a"], name="border")
    model = net(pad, h.make_node("MaxPool", ["a"], ["m"], kernel_shape=[3, 3], strides=[2, 2]))
    told, ours, wanted = prepared(model)
    np.testing.assert_allclose(ours, wanted, atol=1e-5)
    made = onnx.load_from_string(told.data)
    border = next(node for node in made.graph.node if node.op_type == "Pad")
    assert -20 < float(onnx_edit.constants(made)[border.input[2]]) < 0
    assert "border" in told.notes[0]


FORMS = [PixelForm(255.0), PixelForm(1.0, (0.5,), (0.5,)), PixelForm(1.0, (0.45,), (0.225,))]


@pytest.mark.parametrize("form", [*FORMS, IMAGENET, PixelForm(2.0, (0.3,), (0.1, 0.2, 0.3))])
@pytest.mark.parametrize("pads", [0, 1])
def test_a_range_goes_into_the_first_layer(form: PixelForm, pads: int) -> None:
    told, ours, wanted = prepared(net(pads=pads), form)
    span = float(np.ptp(wanted))
    if pads == 0 or not form.is_uniform:  # into weights and bias, or a layer of its own
        assert told.pixels.is_unit and ("Conv" in kinds_of(told)[1:]) == (pads == 1)
        np.testing.assert_allclose(ours, wanted, atol=2e-5 * span)
        return
    # The border's 0 is a level: the pixels lie within half a level of where they were.
    assert kinds_of(told).count("Conv") == 1
    np.testing.assert_allclose(ours, wanted, atol=5e-3 * span)
    ramp = np.arange(256, dtype=np.uint8)
    level = form.scale / 255 / form.std[0]
    assert np.abs(told.pixels.real(ramp) - form.real(ramp)).max() <= level * 0.5001
    zero = told.pixels.real(ramp) / level
    np.testing.assert_allclose(zero, np.rint(zero), atol=1e-3)  # 0 is one of them


ENDS = {
    "logits": ((), "logits", False),
    "softmax": ((h.make_node("Softmax", ["z"], ["y"], axis=1),), "probabilities", False),
    "log": ((h.make_node("LogSoftmax", ["z"], ["y"], axis=1),), "logits", True),
    "argmax": ((h.make_node("ArgMax", ["z"], ["y"], axis=1),), "logits", True),
    "softmax, argmax": (
        (
            h.make_node("Softmax", ["z"], ["s"], axis=1),
            h.make_node("ArgMax", ["s"], ["y"], axis=1, keepdims=0),
        ),
        "probabilities",
        True,
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_end_keeps_its_classes(name: str) -> None:
    end, output, told_of = ENDS[name]
    model = net(end=end)
    if "argmax" in name:
        model.graph.output[0].type.tensor_type.elem_type = T.INT64
    told, ours, wanted = prepared(model)
    assert told.output == output and bool(told.notes) == told_of
    classes = onnx_ends.predictions(wanted, CLASSES)
    assert (onnx_ends.predictions(ours, CLASSES) == classes).all() and len(set(classes)) > 1


@pytest.mark.parametrize("sigmoid", [True, False])
def test_one_value_for_two_classes_becomes_two_logits(sigmoid: bool) -> None:
    end = (h.make_node("Sigmoid", ["z"], ["y"]),) if sigmoid else ()
    model = net(end=end, width=1)
    onnx_ends.tame_end(made := onnx_edit.copy_of(model), 1, 2)
    image = onnx_file.image_input(model, PATH, (SIDE, SIDE, 3))
    both = np.concatenate(
        [FloatNet(made.SerializeToString(), image, PATH).run(images()[i : i + 1], UNIT)[0]
         for i in range(8)]
    )  # fmt: skip
    z = FloatNet(model.SerializeToString(), image, PATH).run(images()[:8], UNIT)[0].ravel()
    p = np.exp(both[:, 1]) / np.exp(both).sum(axis=1)
    np.testing.assert_allclose(p, z if sigmoid else 1 / (1 + np.exp(-z)), atol=1e-6)
    assert (onnx_ends.predictions(z[:, None], 2) == both.argmax(1)).all()


def test_hard_swish_is_one_operator() -> None:
    middle = (
        h.make_node("HardSigmoid", ["c"], ["hs"], alpha=1 / 6),
        h.make_node("Mul", ["c", "hs"], ["m"]),
    )
    told, ours, wanted = prepared(net(*middle))
    assert "HardSwish" in kinds_of(told) and "HardSigmoid" not in kinds_of(told)
    np.testing.assert_allclose(ours, wanted, atol=1e-5)


def external(folder: Path) -> Path:
    path = folder / "net.onnx"
    onnx.save_model(
        net(), path, save_as_external_data=True, location="net.onnx.data", size_threshold=0
    )
    return path


def test_weights_in_a_file_of_their_own(tmp_path: Path) -> None:
    path = external(tmp_path)
    model = onnx_file.load(path)
    assert not onnx_file.has_external_data(model)
    image = onnx_file.image_input(model, path, (SIDE, SIDE, 3))
    whole = FloatNet(net().SerializeToString(), image, path).run(images(), UNIT)[0]
    global_file.write(path, tmp_path / "out", splits(), None, None, None)
    (tmp_path / "net.onnx.data").unlink()
    moved = (tmp_path / "out" / "global.onnx").read_bytes()
    np.testing.assert_array_equal(FloatNet(moved, image, path).run(images(), UNIT)[0], whole)


def test_a_data_file_that_is_not_there_short_or_elsewhere(tmp_path: Path) -> None:
    path = external(tmp_path)
    data = tmp_path / "net.onnx.data"
    whole = data.read_bytes()
    data.write_bytes(whole[:-4])
    with pytest.raises(ModelError, match=r"net.onnx: its data file .*net.onnx.data has"):
        onnx_file.load(path)
    data.unlink()
    with pytest.raises(ModelError, match=r"net.onnx: keeps its weights in .*net.onnx.data, which"):
        onnx_file.load(path)
    for location in ("../net.onnx.data", "/etc/passwd", "a/../../x"):
        model = onnx.load(str(path), load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        path.write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match="outside of its own folder"):
            onnx_file.load(path)


def test_a_global_network_that_would_not_answer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    path.write_text("no network")
    with pytest.raises(ModelError, match=r"g.onnx: is not a readable ONNX file"):
        global_file.write(path, tmp_path / "out", None, None, None, None)
    onnx.save_model(net(width=7), path)
    with pytest.raises(ModelError, match="7 values, the data has 3 classes"):
        global_file.write(path, tmp_path / "out", splits(), None, None, None)
    assert not (tmp_path / "out" / "global.onnx").exists()


@pytest.mark.parametrize("form", [PixelForm(255.0), IMAGENET])
def test_the_global_network_gets_its_range_as_first_operators(
    form: PixelForm, tmp_path: Path
) -> None:
    path = tmp_path / "g.onnx"
    onnx.save_model(net(), path)
    facts = global_file.write(path, tmp_path / "out", splits(), form, None, None)
    image = onnx_file.image_input(net(), path, (SIDE, SIDE, 3))
    made = FloatNet((tmp_path / "out" / "global.onnx").read_bytes(), image, path)
    wanted = FloatNet(path.read_bytes(), image, path).run(images(), form)[0]
    got = made.run(images(), UNIT)[0]  # the payload of run: [0, 1]
    np.testing.assert_allclose(got, wanted, atol=1e-4 * np.ptp(wanted))
    assert facts.accuracy == (wanted.argmax(1) == splits().y_calibration).mean()


GELUS = {
    "erf": (
        h.make_node("Div", ["c", "root"], ["d"]),
        h.make_node("Erf", ["d"], ["e"]),
        h.make_node("Add", ["e", "one"], ["f"]),
        h.make_node("Mul", ["c", "f"], ["g"]),
        h.make_node("Mul", ["g", "half"], ["m"]),
    ),
    "half first": (
        h.make_node("Mul", ["c", "half"], ["d"]),
        h.make_node("Div", ["c", "root"], ["q"]),
        h.make_node("Erf", ["q"], ["e"]),
        h.make_node("Add", ["e", "one"], ["f"]),
        h.make_node("Mul", ["d", "f"], ["m"]),
    ),
    "another curve": (
        h.make_node("Erf", ["c"], ["e"]),
        h.make_node("Add", ["e", "one"], ["f"]),
        h.make_node("Mul", ["c", "f"], ["m"]),
    ),
}


@pytest.mark.parametrize("name", GELUS)
def test_gelu_is_one_operator_where_the_engine_has_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:

    model = net(*GELUS[name])
    for key, value in {"root": 2**0.5, "one": 1.0, "half": 0.5}.items():
        model.graph.initializer.append(nh.from_array(np.array(value, np.float32), key))
    told, ours, wanted = prepared(model)
    np.testing.assert_allclose(ours, wanted, atol=1e-4)
    assert ("Gelu" in kinds_of(told)) == (name != "another curve") == ("Erf" not in kinds_of(told))


def test_a_whole_conversion_answers_as_the_float_network_does(tmp_path: Path) -> None:
    """A padded maximum behind no ReLU, ImageNet's range, softmax, and weights in a second file."""
    from importlib.util import find_spec

    if find_spec("tensorflow") is None or find_spec("onnx2tf") is None:
        pytest.skip("the export packages are not installed")
    from mcu_hybrid.compiler.passes import run_passes
    from mcu_hybrid.compiler.read.tflite import read_tflite
    from mcu_hybrid.export import agreement, package

    def read(data: bytes, name: str) -> Any:
        file = read_tflite(data, name)
        return run_passes(file.graph, file.metadata)

    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    middle = (
        h.make_node("LeakyRelu", ["c"], ["a"], alpha=0.1),
        h.make_node("MaxPool", ["a"], ["m"], **pool),
    )
    mean = h.make_node("GlobalAveragePool", ["m"], ["q"]), h.make_node("Flatten", ["q"], ["p"])
    model = net(*middle, end=(h.make_node("Softmax", ["z"], ["y"], axis=1),), pool=mean)
    path = tmp_path / "net.onnx"
    onnx.save_model(
        model, path, save_as_external_data=True, location="net.onnx.data", size_threshold=0
    )
    facts = package.export_onnx(
        path, splits(), tmp_path / "out", read, router="margin", pixels=IMAGENET
    )
    model = onnx_file.load(path)  # saving took the weights out of it
    image = onnx_file.image_input(model, path, (SIDE, SIDE, 3))
    wanted = FloatNet(model.SerializeToString(), image, path).run(images(), IMAGENET)[0]
    graph = read((tmp_path / "out" / package.MODEL).read_bytes(), "m")
    seen = agreement.run_int8(graph, images())
    assert (seen.logits.argmax(1) == wanted.argmax(1)).mean() >= 0.9
    assert facts.compared.accuracy_float == (wanted.argmax(1) == splits().y_calibration).mean()
    noise = {layer.name: layer.sqnr_db for layer in facts.layers}
    assert min(v for v in noise.values() if v is not None) > 20
    assert facts.routes.deployed.router != 0 and "SOFTMAX" in " ".join(facts.notes)
    assert not any("differs" in sentence for sentence in facts.warnings)
