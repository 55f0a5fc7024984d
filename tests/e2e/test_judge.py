"""TFLM's host interpreter as the judge: against the golden outputs of real models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.bench.samples import golden_input
from mcu_hybrid.errors import InputError, MissingTool, ModelError
from mcu_hybrid.reference import judge_process
from mcu_hybrid.reference.judge import Judge

MODELS = (
    "hello_world_int8",
    "kws_ref_model",
    "mcunet_vww1",  # float edges
    "micro_speech_quantized",
    "pretrainedResnet_quant",
    "vww_96_int8",
)


@pytest.mark.parametrize("name", MODELS)
def test_golden_outputs(shared: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    judge = Judge((shared / "models" / f"{name}.tflite").read_bytes())
    golden = json.loads((shared / "models" / "golden" / f"{name}.json").read_text())
    for _ in range(2):  # the second run must not see anything of the first
        outputs = judge.run(golden_input(judge.input_shapes))
        for output, expected in zip(outputs, golden["outputs"], strict=True):
            values = expected.get("int8_before_dequantize", expected)["values"]
            assert output.dtype == np.int8 and output.ravel().tolist() == values
    assert capfd.readouterr() == ("", "")


def test_float_edges_are_exact_for_every_value(shared: Path) -> None:
    judge = Judge((shared / "models" / "mcunet_vww1.tflite").read_bytes())
    (edge,) = judge._inputs
    every = np.arange(-128, 128, dtype=np.int8)
    real = edge.scale * (every.astype(np.int32) - edge.zero_point).astype(np.float32)
    # TFLM's AffineQuantize: round half away from zero of the float32 quotient.
    steps = (real / edge.scale).astype(np.float32)
    again = np.trunc(steps + np.copysign(np.float32(0.5), steps)) + edge.zero_point
    assert again.astype(np.int8).tolist() == every.tolist()


def test_wrong_inputs(shared: Path) -> None:
    judge = Judge((shared / "models" / "hello_world_int8.tflite").read_bytes())
    with pytest.raises(InputError, match="takes 1 values"):
        judge.run([np.zeros(2, np.int8)])
    with pytest.raises(InputError, match="1 inputs, given 2"):
        judge.run([np.zeros(1, np.int8)] * 2)


def test_bytes_that_are_no_model() -> None:
    with pytest.raises(ModelError, match="not a readable"):
        Judge(b"abc" * 100)


def test_the_package_is_missing(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tflite_micro"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(judge_process, "_running", None)
    data = (shared / "models" / "hello_world_int8.tflite").read_bytes()
    with pytest.raises(MissingTool) as missing:
        Judge(data)
    assert missing.value.hint == "pip install --pre tflite-micro"
    monkeypatch.setattr(judge_process, "find_spec", lambda name: None)
    with pytest.raises(MissingTool):
        Judge(data)
