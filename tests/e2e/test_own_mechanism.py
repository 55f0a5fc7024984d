"""A mechanism from a folder of the user's: one Python file, one C file, used through the verbs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import mechanisms, plugins
from mcu_hybrid.cli.completion import router_names
from mcu_hybrid.device.client import Device
from mcu_hybrid.device.inference import inference_of
from mcu_hybrid.errors import ProtocolError, UnsupportedOp
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets.checkpoint import load_splits
from mcu_hybrid.ops import route_features
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.images import to_int8
from mcu_hybrid.report.palette import style_of
from mcu_hybrid.steps.build import read_model
from mcu_hybrid.tflm.networks import split
from mcu_hybrid.wire import messages
from mcu_hybrid.wire.messages import NO_OUTPUT, Decision, Engine
from mcu_hybrid.wire.payloads import Hello, InferResult, Route
from tests.support.cli_rig import call, fail, own_state  # noqa: F401 (own_state is used by all)
from tests.support.tflite_builder import OpSpec, Spec
from tests.support.tflite_builder import build as build_tflite

for package in ("torch", "sklearn", "onnx", "onnxruntime", "fastapi", "tflite_micro"):
    pytest.importorskip(package)
if shutil.which("gcc") is None:
    pytest.skip("gcc is not installed", allow_module_level=True)

NAME, PIXELS, CLASSES = "logit-gap", 64, 10


@pytest.fixture
def folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's plug-in in a folder, named to the verbs of this test alone."""
    page = (root / "docs" / "extend.md").read_text("utf-8").partition("## A mechanism")[2]
    found = tmp_path / "mine" / "mechanisms"
    found.mkdir(parents=True)
    for suffix, language in (("py", "python"), ("c", "c")):
        text = page.partition(f"```{language}\n")[2].partition("```")[0]
        (found / f"logit_gap.{suffix}").write_text(text)
    monkeypatch.setenv(plugins.VARIABLE, str(found.parent))
    return found


def fitted() -> tuple[np.ndarray, np.ndarray]:
    """The digits as rows of 0..1, and weights [K, pixels] by least squares."""
    from mcu_hybrid.training.data import load_data

    data = load_data("digits")
    x = data.x.reshape(len(data.x), -1).astype(float) / 255
    return x, np.linalg.lstsq(x, np.eye(CLASSES)[data.y] - 0.1, rcond=None)[0].T


def cloud(path: Path) -> Path:
    """The same classifier in float, as a server's ONNX file."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(fitted()[1].T.astype(np.float32), "weights")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "cloud", [image], [logits], [weights])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


def classifier(path: Path) -> Path:
    """A linear classifier of the digits in int8."""
    x, w = fitted()
    scale = float(np.abs(w).max() / 127)
    logits = float(np.abs(x @ w.T).max() / 127)
    int8 = np.clip(np.round(w / scale), -127, 127).astype(np.int8)
    shape = np.array([1, PIXELS], "<i4")
    tensors = [
        Spec("image", (1, 8, 8, 1), scale=1 / 255, zero=-128),
        Spec("shape", (2,), "int32", data=shape),
        Spec("flat", (1, PIXELS), scale=1 / 255, zero=-128),
        Spec("weights", (CLASSES, PIXELS), scale=scale, data=int8),
        Spec("logits", (1, CLASSES), scale=logits, zero=0),
    ]
    steps = [
        OpSpec("RESHAPE", (0, 1), (2,), {"new_shape": [1, PIXELS]}),
        OpSpec("FULLY_CONNECTED", (2, 3, -1), (4,), {"fused_activation_function": 0}),
    ]
    path.write_bytes(build_tflite(tensors, steps, [0], [4]))
    return path


def expected(graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
    """The plug-in's own numpy score of what the reference computes."""
    link = next(op for op in graph.ops if op.kind == "ROUTE_FEATURES")
    logits = np.stack([interp.run(graph, [one])[0].ravel() for one in inputs])
    return route_features.scores(link.attrs, logits)[:, mechanisms.by_name(NAME).column]


def test_it_is_exported_built_flashed_run_and_tuned(folder: Path, tmp_path: Path) -> None:
    model, root = classifier(tmp_path / "base.tflite"), tmp_path
    made = call(
        *("export", model, "--data", "digits", "--router", NAME),
        *("--global-onnx", cloud(root / "cloud.onnx"), "--out", root / "export"),
    )
    assert made["deployed"]["router"] == 5 and NAME in made["thresholds"]
    assert [row["router"] for row in made["routers"]] == ["entropy", "max-prob", "margin", NAME]
    call("build", root / "export", "--board", "native", "--out", root / "build")
    assert call("bench", root / "build", "--runs", 20)["exact"] is True

    graph = read_model(root / "export" / "model.tflite").graph
    images = load_splits(root / "export" / "splits.npz").x_test[:40]
    inputs = [image[None] for image in to_int8(graph, images)]
    flashed = call("flash", root / "build")
    try:
        with Device.open(flashed["url"]) as device:
            assert device.self_test().passed
            answers = [device.infer([one]) for one in inputs]
            threshold = made["deployed"]["threshold"]
            assert device.get_route() == type(device.get_route())(5, threshold)
    finally:
        call("flash", "--board", "native", "--stop")
    scores = expected(graph, inputs)
    assert len(set(scores.tolist())) > 5
    assert [one.score for one in answers] == [one.scores[5] for one in answers] == scores.tolist()
    assert [one.escalate for one in answers] == (scores > threshold).tolist()
    ran = call("run", root / "build", "--limit", 60, "--out", root / "run")
    assert ran["exact"] is True and ran["router"] == NAME
    assert {"logit gap", "margin"} <= {row["method"] for row in ran["rows"]}
    target = ("--max-query-rate", "30%", "--router", NAME)
    told = call("tune", root / "run", *target, "--out", root / "tune")
    assert told["router"] == NAME and told["deploy"]["router"] == 5
    call("report", root / "run", root / "tune", "--out", root / "page")
    pages = [path.read_text() for path in (root / "page").glob("*.html")]
    assert pages and all("logit gap" in page for page in pages)


def test_every_list_of_routers_has_it(folder: Path) -> None:
    assert router_names() == ("learned", "entropy", "max-prob", "margin", NAME, "none")
    assert style_of("logit gap") == ("purple", "diamond", "2 4")
    header = messages.c_header()
    assert "MH_ROUTER_LOGIT_GAP = 5" in header and "MH_LAST_ROUTER 5u" in header
    assert len(mechanisms.every()) == 5


def test_the_engine_tflm_says_that_it_does_not_compute_it(folder: Path, tmp_path: Path) -> None:
    model = classifier(tmp_path / "base.tflite")
    call("export", model, "--data", "digits", "--router", NAME, "--out", tmp_path / "export")
    graph = read_model(tmp_path / "export" / "model.tflite").graph
    with pytest.raises(UnsupportedOp, match="does not compute the scores of plug-ins") as refused:
        split(graph)
    assert refused.value.key == "logit_gap_score"


def test_without_the_folder_its_model_is_refused_by_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(tmp_path / "base.tflite")
    call("export", model, "--data", "digits", "--router", NAME, "--out", tmp_path / "export")
    monkeypatch.delenv(plugins.VARIABLE)
    told = fail("build", tmp_path / "export", "--board", "native", "--out", tmp_path / "build")
    assert "router 5" in told["message"] and plugins.VARIABLE in told["hint"]
    with pytest.raises(
        ProtocolError, match="number 5, known here are 0 none, 1 learned"
    ) as refused:
        Route.parse(b"\x05\0\0\0\0")
    assert plugins.VARIABLE in refused.value.hint


def test_another_number_of_scores_than_is_known_is_refused(folder: Path) -> None:
    """A board whose build had no plug-in, or another one."""
    digests, sizes = ("00" * 16, "00" * 32), (1, 1, 40, 1, 1, 1, 1, 1)
    hello = Hello(3, 512, *digests, "b", "c", "d", *sizes, 0, NO_OUTPUT, 0, Engine.AOT, 0, 9, 1)
    ran = InferResult(1, 2, 3, Decision.KEEP, 3, 0, 7, 12, b"")
    with pytest.raises(
        ProtocolError, match=r"3 scores of the logits, known here are entropy, .*gap"
    ):
        inference_of(ran, [bytes(12)], hello)
    assert inference_of(ran, [bytes(range(16))], hello).scores[5] == 0x0F0E0D0C


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("id=5", "id=7", "its mechanism has the id 7"),
        ('name="logit-gap"', 'name="margin"', "has the name 'margin' of another"),
        ('c_function="logit_gap_score",', "", "no score of the logits with a C function"),
        ("import numpy", "import nunpy", "cannot be loaded: ModuleNotFoundError"),
        ("score=gap,", "", "has no numpy score"),
        ("MECHANISM = Mechanism(", "MECHANISM = dict(", "its MECHANISM is no Mechanism"),
    ],
)
def test_a_wrong_one_is_refused(folder: Path, before: str, after: str, message: str) -> None:
    path = folder / "logit_gap.py"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after, 1))
    told = fail("export", folder / "none.tflite", "--router", NAME)
    assert message in told["message"] and "logit_gap.py" in told["message"]


def test_one_without_its_c_is_refused(folder: Path) -> None:
    (folder / "logit_gap.c").unlink()
    told = fail("export", folder / "none.tflite", "--router", NAME)
    assert "has no logit_gap.c beside it" in told["message"]
