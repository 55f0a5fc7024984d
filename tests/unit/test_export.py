"""torch -> int8 .tflite with one link: order, names, ranges, exactness, thresholds, bad sources."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import mechanisms
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.export import Agreement
from mcu_hybrid.compiler.passes import run_passes
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets.checkpoint import Splits, load_splits
from mcu_hybrid.ops import route_features
from mcu_hybrid.reference import learned_router
from mcu_hybrid.reference.images import to_int8
from mcu_hybrid.routing.thresholds import threshold_for
from tests.support.routers import SIMPLE

torch = pytest.importorskip("torch")
if find_spec("tensorflow") is None or find_spec("onnx2tf") is None:
    pytest.skip("the export packages are not installed", allow_module_level=True)

from mcu_hybrid.export import agreement, package  # noqa: E402
from mcu_hybrid.export import metadata as flat  # noqa: E402
from mcu_hybrid.export.facts import thresholds  # noqa: E402
from mcu_hybrid.training.config import HybridConfig  # noqa: E402
from mcu_hybrid.training.data import load_data  # noqa: E402
from mcu_hybrid.training.train import train  # noqa: E402

CONFIG = HybridConfig(
    base_epochs=12, global_epochs=8, global_width=4, router_steps=200, router_views=4
)


def read(data: bytes, name: str) -> Graph:
    model = read_tflite(data, name)
    return run_passes(model.graph, model.metadata)


class Exported:
    """One trained and exported hybrid, shared by the tests of this module."""

    def __init__(self, folder: Path) -> None:
        self.trained, self.out = folder / "train", folder / "export"
        self.events: list[str] = []
        train(CONFIG, load_data("digits"), self.trained)
        self.facts = package.export_hybrid(
            self.trained, self.out, read, on_event=lambda label, *_: self.events.append(label)
        )
        self.data = (self.out / package.MODEL).read_bytes()
        self.model = read_tflite(self.data, package.MODEL)
        self.graph = run_passes(self.model.graph, self.model.metadata)
        self.splits = load_splits(self.out / "splits.npz")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("hybrid"))


def test_one_file_with_two_inputs_and_two_outputs_in_order(exported):
    graph = exported.model.graph
    assert [graph.tensor(i).name for i in graph.inputs] == ["image", "route_features"]
    assert [graph.tensor(i).name for i in graph.outputs] == ["logits", "route_score"]
    kinds = {op.kind for op in graph.ops}
    assert kinds == {"CONV_2D", "AVERAGE_POOL_2D", "FULLY_CONNECTED"}  # no TRANSPOSE, no PAD
    assert [op.name for op in graph.ops if op.name.startswith("router/")] == [
        "router/fully_connected_0"
    ]


def test_a_pixel_is_exactly_the_int8_input_plus_128(exported):
    quant = exported.graph.tensor(exported.graph.inputs[0]).require_quant()
    assert quant.zero_point == -128 and quant.scale == pytest.approx(1 / 255, rel=1e-6)
    every = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    assert (to_int8(exported.graph, every) == every.astype(int) - 128).all()


def test_tflm_runs_the_file_with_identical_outputs(exported):
    if find_spec("tflite_micro") is None:
        pytest.skip("tflite-micro is not installed")
    from mcu_hybrid.reference import interp
    from mcu_hybrid.reference.judge import Judge

    judge = Judge(exported.data, exported.model.metadata)
    for image in to_int8(exported.graph, exported.splits.x_test[:100]):
        ours, theirs = interp.run(exported.graph, [image[None]]), judge.run([image[None]])
        for one, other in zip(ours, theirs, strict=True):
            assert one.ravel().tolist() == other.ravel().tolist()


def test_numpy_scores_are_the_graph_s(exported):
    seen = agreement.run_int8(exported.graph, exported.splits.x_test[:40])
    attrs = next(op.attrs for op in exported.graph.ops if op.kind == "ROUTE_FEATURES")
    for name in SIMPLE:
        column = mechanisms.by_name(name).column
        scores = route_features.scores(attrs, seen.logits)[:, column]
        assert (scores == seen.scores[name]).all()
        assert len(set(scores.tolist())) > 20
    features = route_features.compute(attrs, seen.logits)[0]
    assert (learned_router.score(exported.graph, features) == seen.scores["learned"]).all()
    assert len(set(seen.scores["learned"].tolist())) > 20  # the levels are used


def test_int8_keeps_the_float_accuracy_and_every_layer_is_compared(exported):
    facts = exported.facts
    assert abs(facts.compared.accuracy_int8 - facts.compared.accuracy_float) <= 0.02
    assert facts.compared.same_class >= 0.97
    # What training simulated is what the device says, but for the last level here and there.
    told = facts.simulation
    assert told.whole_network and told.same_class >= 0.98 and told.max_levels <= 2
    assert told.same_logits >= 0.85
    losses = facts.losses
    assert losses.exact and losses.int8.base_accuracy == facts.compared.accuracy_int8
    assert losses.float_.base_accuracy == facts.compared.accuracy_float
    assert losses.int8.coverage == pytest.approx(losses.coverage_target, abs=0.03)
    noise = {layer.name: layer.sqnr_db for layer in facts.layers}
    assert all(v > 15 for k, v in noise.items() if k != "route_features")
    assert noise["route_features"] is None  # exists in integers only
    assert facts == store.result(Agreement, exported.out)


def test_thresholds_are_of_the_calibration_split(exported):
    seen = agreement.run_int8(exported.graph, exported.splits.x_calibration)
    stored = exported.model.metadata["thresholds"]
    assert set(stored) == set(seen.scores) == set(mechanisms.names())
    for name, scores in seen.scores.items():
        for coverage in ("0.9", "0.8", "0.7", "0.5"):
            assert stored[name][coverage] == threshold_for(scores, float(coverage))
    deployed = exported.model.metadata["deployed"]
    assert deployed == {"router": 1, "coverage": 0.8, "threshold": stored["learned"]["0.8"]}
    for router, words in (("learned", "no 'learned' score"), ("x", "no router 'x'")):
        simple = {"entropy": seen.scores["entropy"]}
        with pytest.raises(InputError, match=words):
            thresholds(agreement.Int8Run(seen.logits, simple), 0.8, router)
    for router in mechanisms.names():
        found = thresholds(seen, 0.7, router).deployed
        assert found.router == mechanisms.router_id(router)
        assert found.threshold == stored[router]["0.7"]


def test_global_onnx_takes_any_batch(exported):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(exported.out / package.GLOBAL))
    x = exported.splits.x_test[:5]  # raw pixels: what a query carries
    five = session.run(["logits"], {"image": x})[0]
    assert five.shape == (5, 10)
    np.testing.assert_allclose(session.run(None, {"image": x[:1]})[0][0], five[0], atol=1e-4)


def test_scores_are_higher_where_the_cloud_helps(exported):
    """Direction: higher = more in need of the cloud. 0.5 would be chance."""
    runtime = pytest.importorskip("onnxruntime")
    splits = exported.splits
    seen = agreement.run_int8(exported.graph, splits.x_test)
    session = runtime.InferenceSession(str(exported.out / package.GLOBAL))
    cloud = session.run(None, {"image": splits.x_test})[0].argmax(1)
    wrong = seen.logits.argmax(1) != splits.y_test
    helps = wrong & (cloud == splits.y_test)

    def ranked(scores: np.ndarray, positive: np.ndarray) -> float:
        pairs = scores[positive][:, None] - scores[~positive][None, :]
        return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())

    assert all(ranked(seen.scores[name], wrong) > 0.7 for name in SIMPLE)
    assert ranked(seen.scores["learned"], helps) > 0.7


def test_files_stay_aligned_for_microcontrollers(exported):
    tflite = pytest.importorskip("tflite")
    model = tflite.Model.GetRootAs(exported.data, 0)
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if buffer.DataLength():
            offset = buffer._tab.Vector(buffer._tab.Offset(4))
            assert offset % 16 == 0, i


def test_output_range_and_metadata_can_be_set_again(exported):
    changed = flat.set_output_range(exported.data, "route_score", -3.0, 1.0)
    graph = read_tflite(changed, "m").graph
    quant = graph.tensor(graph.outputs[1]).require_quant()
    assert quant.scale == pytest.approx(4 / 255) and quant.zero_point == 63
    content = {**exported.model.metadata, "labels": ["x"]}
    again = read_tflite(flat.with_metadata(changed, content), "m")
    assert again.metadata["labels"] == ["x"]
    with pytest.raises(ModelError, match="no output 'x'"):
        flat.set_output_range(exported.data, "x", 0, 1)


def test_a_ready_hybrid_is_packed_byte_for_byte(exported, tmp_path):
    facts = package.export_tflite(
        exported.out / package.MODEL, tmp_path, read, splits=exported.splits
    )
    assert (tmp_path / package.MODEL).read_bytes() == exported.data
    assert facts.tflite_bytes == len(exported.data)


def colour_splits() -> Splits:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    x = rng.integers(0, 120, (60, 12, 12, 3)).astype(np.uint8)
    x[np.arange(60), :, :, y] += 100
    return Splits(x[:30], x[30:50], y[30:50], x[50:], y[50:], {}, ("r", "g", "b"), "")


def test_an_onnx_classifier_with_free_batch_and_three_channels(tmp_path):
    """Three channels: the case in which onnx2tf would fetch sample images from the network."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.AvgPool2d(12),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 3),
    ).eval()
    path = tmp_path / "mine.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(1, 3, 12, 12),),
            str(path),
            input_names=["the/input:0"],
            output_names=["the/output:0"],
            dynamic_axes={"the/input:0": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
    splits = colour_splits()
    facts = package.export_onnx(path, splits, tmp_path / "out", read, coverage=0.7)
    model = read_tflite((tmp_path / "out" / package.MODEL).read_bytes(), "m")
    assert list(facts.routes.thresholds) == list(SIMPLE)
    assert facts.routes.deployed.router == 2
    graph = run_passes(model.graph, model.metadata)
    seen = agreement.run_int8(graph, splits.x_test)
    with torch.no_grad():
        wanted = net(torch.as_tensor(splits.x_test).permute(0, 3, 1, 2).float() / 255).numpy()
    quant = graph.tensor(graph.outputs[0]).require_quant()
    real = (seen.logits.astype(float) - quant.zero_point) * quant.scale
    assert np.abs(real - wanted).max() < 0.05 * np.ptp(wanted)
    layers = {layer.name: layer.sqnr_db for layer in facts.layers}
    assert layers["logits"] > 20 and layers["base/conv_2d_0"] > 20


def test_a_ready_classifier_that_ends_in_logits_gets_the_entropy(exported, tmp_path):
    """The base alone, cut out of the hybrid: no metadata, logits as its only output."""
    from mcu_hybrid.compiler.read.cut import cut

    graph = exported.model.graph
    ready = tmp_path / "ready.tflite"
    ready.write_bytes(cut(exported.data, graph.inputs[:1], graph.outputs[:1]))
    out = tmp_path / "out"
    facts = package.export_tflite(ready, out, read, splits=exported.splits, coverage=0.9)
    assert facts.compared.accuracy_int8 == exported.facts.compared.accuracy_int8
    known = exported.facts.routes.thresholds
    assert facts.routes.thresholds == {name: known[name] for name in SIMPLE}
    model = read_tflite((out / package.MODEL).read_bytes(), "m")
    assert model.metadata["deployed"]["router"] == 2
    before, after = read_tflite(ready.read_bytes(), "m").graph, model.graph
    for one, other in zip(before.tensors, after.tensors, strict=True):
        assert (one.data is None) == (other.data is None)
        assert one.data is None or (one.data == other.data).all()


def test_bad_sources(tmp_path, shared):
    splits = colour_splits()
    text = tmp_path / "text.onnx"
    text.write_text("not onnx")
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        package.export_onnx(text, splits, tmp_path / "out", read)
    with pytest.raises(ModelError, match="does not exist"):
        package.export_onnx(tmp_path / "none.onnx", splits, tmp_path / "out", read)
    with pytest.raises(InputError, match="does not exist"):
        package.export_tflite(tmp_path / "none.tflite", tmp_path / "out", read)
    with pytest.raises(ModelError, match="does not exist"):
        package.export_hybrid(tmp_path, tmp_path / "out", read)
    cut = tmp_path / "cut.tflite"
    cut.write_bytes((shared / "models" / "kws_ref_model.tflite").read_bytes()[:9000])
    with pytest.raises(ModelError):
        package.export_tflite(cut, tmp_path / "out", read)
    assert not (tmp_path / "out").exists()


def test_a_ready_classifier_is_packed_as_it_is(tmp_path, shared):
    source = shared / "models" / "kws_ref_model.tflite"
    package.export_tflite(source, tmp_path, read)
    assert (tmp_path / package.MODEL).read_bytes() == source.read_bytes()
