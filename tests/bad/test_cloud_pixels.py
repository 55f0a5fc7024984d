"""Somebody else's float server: what a pixel is sent as, and a cloud no better than luck."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcu_hybrid.cli import main
from mcu_hybrid.graph.pixels import PixelForm
from mcu_hybrid.routing.outcomes import MISSING
from mcu_hybrid.steps.cloud import cloud_warnings
from mcu_hybrid.steps.export import ExportOptions, export_step
from tests.support.bad_rig import CLASSES, SIDE, Refused, Steps

pytest.importorskip("fastapi")
pytest.importorskip("onnxruntime")
from tests.support.serve_rig import serving

onnx = pytest.importorskip("onnx")

BYTES = PixelForm(255.0)
SHIFTED = PixelForm(1.0, (-1.0,), (0.25,))
OF_BYTES = ("--cloud-input-scale", "255")
OF_SHIFTED = ("--cloud-mean", "-1", "--cloud-std", "0.25")


def brightest(path: Path, form: PixelForm, dtype: int | None = None) -> Path:
    """Class = the third of the grey range that the first pixel lies in, for pixels of this form."""
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    kind = dtype or real
    low, high = form.real(np.array([85, 170], np.uint8)).astype(float)
    # Scores of a parabola each; the best of them is the third that the pixel is in.
    span = high - low
    centres = [low - span / 2, (low + high) / 2, high + span / 2]
    weights = np.zeros((SIDE * SIDE, CLASSES), np.float32)
    weights[0] = [2 * c for c in centres]
    bias = np.array([-c * c for c in centres], np.float32)
    shape = ["n", 1, SIDE, SIDE] if kind == real else ["n", SIDE, SIDE, 1]
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=real),
        helper.make_node("Flatten", ["real"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("logits", real, ["n", CLASSES])],
        [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(bias, "b")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


@pytest.fixture
def thirds(work: Path) -> Path:
    """Images whose class is the third of the grey range that their first pixel lies in."""
    x = np.random.default_rng(5).integers(0, 256, (90, SIDE, SIDE, 1)).astype(np.uint8)
    y = np.arange(90) % CLASSES
    x[:, 0, 0, 0] = np.random.default_rng(6).integers(0, 80, 90) + 86 * y
    np.savez(work / "thirds.npz", x=x, y=y)
    return work / "thirds.npz"


def told(steps: Steps, data: Path, url: str, *more: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as ended:
        args = ("run", steps.build, "--cloud", url, "--data", data, "--out", "table", "--json")
        main([*map(str, args), "--no-check", "--restart", *more])
    assert not ended.value.code
    found: dict[str, Any] = json.loads(Path("table/run.json").read_text())
    return found


def cloud_only(result: dict[str, Any]) -> float:
    return float(next(r["accuracy"] for r in result["rows"] if r["method"] == "cloud only"))


@pytest.mark.parametrize(
    ("form", "options"), [(BYTES, OF_BYTES), (SHIFTED, OF_SHIFTED)], ids=["0..255", "mean, std"]
)
def test_a_server_of_another_input_range(
    form: PixelForm,
    options: tuple[str, ...],
    steps: Steps,
    thirds: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(brightest(Path("g.onnx"), form), "global") as url:
        wrong = told(steps, thirds, url)
        assert cloud_only(wrong) < 0.6
        out, err = capsys.readouterr()
        (warning,) = wrong["warnings"]
        for name in ("--cloud-input-scale", "--cloud-mean", "--cloud-std", "pixels in [0, 1]"):
            assert name in warning
        assert f"warning: {warning}" in err and json.loads(out)["warnings"] == [warning]
        right = told(steps, thirds, url, *options)
    assert cloud_only(right) == 1.0
    assert right["warnings"] == []
    assert (
        right["cloud_pixels"] == form.to_json() and wrong["cloud_pixels"] == PixelForm().to_json()
    )


def test_tune_asks_it_so_too(
    steps: Steps, thirds: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    target = ("--max-query-rate", "50%", "--out", "tuned")
    options = ExportOptions(data=str(thirds))
    export_step(steps.root / "net.tflite", Path("thirds"), options)
    with serving(brightest(Path("g.onnx"), BYTES), "global") as url:
        results = []
        for more in ((), OF_BYTES):
            capsys.readouterr()
            argv = ["tune", "thirds", "--cloud", url, *target, *more, "--json"]
            with pytest.raises(SystemExit) as ended:
                main(argv)
            assert not ended.value.code
            results.append(json.loads(capsys.readouterr().out))
        told(steps, thirds, url)
    assert results[0]["warnings"] and "--cloud-mean" in results[0]["warnings"][0]
    assert results[1]["warnings"] == []
    wrong, right = (found["expected"]["accuracy"]["value"] for found in results)
    assert right > wrong + 0.2
    said = refused("tune", "table", *target, *OF_BYTES)
    assert "has the cloud's answers already" in said.message and "mcu-hybrid run" in said.hint


def test_raw_bytes_have_no_range_to_choose(steps: Steps, refused: Refused, thirds: Path) -> None:
    model = brightest(Path("g.onnx"), BYTES, onnx.TensorProto.UINT8)
    with serving(model, "global") as url:
        said = refused("run", steps.build, "--cloud", url, *OF_BYTES)
        assert "takes pixels as they are" in said.message and "--cloud-std" in said.hint
        result = told(steps, thirds, url)
    assert cloud_only(result) == 1.0
    assert (result["warnings"], result["cloud_pixels"]) == ([], None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cloud-mean", "0.5,0.5,0.5"), "mean: has 3 values, the images have 1 channels"),
        (("--cloud-std", "0"), "must be above 0"),
        (("--cloud-input-scale", "nan"), "must be above 0, and all finite"),
    ],
)
def test_ranges_that_are_none(
    options: tuple[str, ...], said: str, steps: Steps, refused: Refused
) -> None:
    with serving(brightest(Path("g.onnx"), BYTES), "global") as url:
        assert said in refused("run", steps.build, "--cloud", url, *options)


def test_a_cloud_that_is_worse_than_the_board() -> None:
    truth = np.arange(200) % 4
    board, cloud = truth.copy(), truth.copy()
    board[:10], cloud[:60] = 5, 6
    (said,) = cloud_warnings(PixelForm(), cloud, board, truth, is_own=False)
    assert "right on 70.0% of 200 images, fewer than the board's own (95.0%)" in said
    assert "--cloud-mean" in said
    (said,) = cloud_warnings(PixelForm(), cloud, board, truth, is_own=True)
    assert "--global-mean" in said and "--cloud" not in said
    cloud[:60] = MISSING  # what was not answered was not wrong
    assert not cloud_warnings(PixelForm(), cloud, board, truth, is_own=False)
    few = np.array([0, 1, 2])  # all right, and still it could be luck
    assert not cloud_warnings(PixelForm(), few, few, few, is_own=False)
    none = np.full(3, MISSING)
    assert not cloud_warnings(PixelForm(), none, few, few, is_own=False)


def test_they_are_of_another_server(steps: Steps, refused: Refused) -> None:
    said = refused("run", steps.build, *OF_BYTES)
    assert "own global model has its input range in it" in said.message
    assert "--cloud URL" in said.hint
