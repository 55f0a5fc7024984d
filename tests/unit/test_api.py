"""The public API's verbs, one after the other on a small hybrid: as the Python page uses them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import mcu_hybrid as mh
from tests.support.bad_rig import classifier, global_onnx, npz
from tests.support.cli_rig import own_state  # noqa: F401 (used by all)

for package in ("onnx", "onnxruntime", "fastapi", "tflite_micro"):
    pytest.importorskip(package)
if shutil.which("gcc") is None:
    pytest.skip("gcc is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of a classifier, with the entropy as its router, and its build for the host."""
    root = tmp_path_factory.mktemp("api")
    (root / "net.tflite").write_bytes(classifier())
    data, cloud = str(npz(root / "data.npz")), global_onnx(root / "g.onnx")
    options = mh.ExportOptions(data=data, coverage=0.5, global_onnx=cloud)
    mh.export_model(root / "net.tflite", root / "export", options)
    mh.build(str(root / "export"), "native", root / "build")
    return root


@pytest.fixture
def flashed(root: Path) -> Iterator[mh.Flashed]:
    from mcu_hybrid.steps.boards import stop_board

    yield mh.flash(mh.open_build(root / "build"))
    stop_board("native")


def test_a_model_is_read_and_measured(root: Path) -> None:
    model = mh.load_model(str(root / "net.tflite"))
    assert model.graph.tensor(model.graph.inputs[0]).shape == (1, 4, 4, 1)
    labels: list[str] = []
    result = mh.measure(
        mh.open_build(root / "build"),
        options=mh.BenchOptions(runs=2),
        out=root / "bench",
        on_event=lambda label, done, total: labels.append(label),
    )
    assert result.exact is True and result.arena_bytes > 0 and labels
    assert (root / "bench" / "bench.json").is_file()
    assert mh.measure(root / "net.tflite", "native", mh.BenchOptions(runs=1)).exact is True


def test_what_is_wrong_carries_its_next_step(root: Path) -> None:
    with pytest.raises(mh.McuHybridError) as refused:
        mh.load_model(root / "data.npz")
    assert refused.value.message and refused.value.hint
    with pytest.raises(mh.McuHybridError, match="nosuch"):
        mh.build(root / "export", "nosuch", root / "other")
    with pytest.raises(mh.McuHybridError, match="no metric 'speed'"):
        mh.tune(root / "build", {"speed": "1"})


def test_a_run_then_targets(root: Path) -> None:
    build = mh.open_build(root / "build")
    mh.run(build, out=root / "run")
    mh.tune(root / "run", {"query_rate": "60%"}, out=root / "tune")
    tuned = mh.build(root / "export", mh.load_board("native"), root / "tuned", tuned=root / "tune")
    before, after = (b.model.file.metadata for b in (build, tuned))
    assert before and after and before["deployed"] != after["deployed"]


def test_the_board_alone(root: Path, flashed: mh.Flashed) -> None:
    """Device and session as the pages show them, against the answers of predict."""
    x = np.load(root / "data.npz")["x"][:6]
    told = mh.predict(root / "build", [x], mh.PredictOptions(board="native"))
    with mh.Device.open(flashed.url, build_id=flashed.build_id) as device:
        assert device.hello().board == "native" and device.stats().stack_used_bytes > 0
        session = mh.Session(
            device, mh.NoCloud(), clock=mh.DeviceClock(None), logits=device.hello().logits
        )
        for image, row in zip(x, told.predictions, strict=True):
            tensor = (image.astype(int) - 128).astype(np.int8)[None]
            answer = session.ask(mh.Query("q", tensor))
            assert (answer.label, answer.reason) == (row.label, row.reason)
        assert session.counters.asked == len(x)


def test_serving_and_a_client(root: Path) -> None:
    with mh.serving(root / "export", "net") as url, mh.CloudClient.open(url, "net") as client:
        assert client.is_ready()
        image = np.zeros((1, 4, 4, 1), np.uint8)
        found = mh.predict(
            root / "export", [image], mh.PredictOptions(cloud=url, model="net")
        ).predictions
    assert len(found) == 1 and found[0].origin in ("device", "cloud")
