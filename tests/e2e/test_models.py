"""The real models through the whole path on virtual boards: outputs and every layer as TFLM's.

The golden files come from TFLM's reference kernels on a Cortex-M7; the bench compares with TFLM's
host interpreter as well.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.bench.samples import golden_input
from mcu_hybrid.board.load import load_board
from mcu_hybrid.steps.bench import BenchOptions, bench_step
from mcu_hybrid.steps.build import Build, EngineOptions, build_step

pytest.importorskip("tflite_micro")

MODELS = (
    "hello_world_int8",
    "kws_ref_model",
    "mcunet_vww1",
    "micro_speech_quantized",
    "pretrainedResnet_quant",
    "vww_96_int8",
)


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@dataclass(frozen=True)
class Measured:
    """The golden input through --input and --output of a bench."""

    build: Build
    result: BenchResult
    output: bytes
    golden: dict[str, Any]


def measure(shared: Path, name: str, board: str, folder: Path, kernels: str = "fast") -> Measured:
    """Build and bench; outputs must be the golden ones and TFLM's, byte for byte."""
    for program in ("gcc",) if board == "native" else ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    model = shared / "models" / f"{name}.tflite"
    engine = EngineOptions(kernels=kernels)
    build = build_step(model, load_board(board), folder / "build", engine)
    graph = build.model.graph
    inputs = golden_input([graph.tensor(t).shape for t in graph.inputs])
    (folder / "in.bin").write_bytes(b"".join(array.tobytes() for array in inputs))
    options = BenchOptions(inputs=folder / "in.bin", outputs=folder / "out.bin")
    result = bench_step(folder / "build", None, options)
    output = (folder / "out.bin").read_bytes()
    golden = json.loads((shared / "models" / "golden" / f"{name}.json").read_text("utf-8"))

    assert (result.board, result.model_sha256) == (board, golden["sha256"])
    assert result.exact is True and result.differing_outputs == 0
    assert result.self_test.passed == result.self_test.total > 0
    assert output == int8_outputs(golden)
    return Measured(build, result, output, golden)


def int8_outputs(golden: dict[str, Any]) -> bytes:
    """The golden outputs; where the model ends in floats, the int8 values before them."""
    parts = []
    for row in golden["outputs"]:
        before = row.get("int8_before_dequantize")
        raw = np.array(before["values"], np.int8).tobytes() if before else None
        parts.append(raw or bytes.fromhex(row["hex_little_endian"]))
    return b"".join(parts)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_on_the_virtual_cortex_m7(shared: Path, name: str, tmp_path: Path) -> None:
    result = measure(shared, name, "mps2-an500", tmp_path).result
    assert result.core == "cortex-m7" and result.instructions
    # Layers are counted to one tick of 40 instructions; what is outside them is little.
    layers = sum(layer.instructions or 0 for layer in result.layers)
    slack = 80 * (len(result.layers) + 1)
    assert layers - slack <= result.instructions <= 1.05 * layers + slack
    assert result.time.latency_is_estimate and "estimate" in result.time.latency_basis


@pytest.mark.parametrize("name", MODELS)
def test_every_operator_of_the_reference_kernels(shared: Path, name: str, tmp_path: Path) -> None:
    """Without passes each layer is an operator of the file: its CRC is that of TFLM's output."""
    found = measure(shared, name, "mps2-an500", tmp_path, kernels="ref")
    rows = [row for row in found.golden["per_op_outputs_tflm"]["ops"] if row["dtype"] == "int8"]
    position, missing = 0, []
    for layer in found.result.layers:
        kinds = [row["type"] for row in rows[position:]]
        if layer.op not in kinds:
            missing.append(layer.name)
            continue
        position += kinds.index(layer.op)  # passes over views and edges, which do not run
        assert layer.out_crc32 == rows[position]["crc32"], (position, layer.op, layer.name)
        position += 1
    assert not missing
    assert found.result.macs == found.golden["macs"]


@pytest.mark.parametrize("board", ["mps2-an386", "netduinoplus2"])
def test_keywords_on_the_cortex_m4_boards(shared: Path, board: str, tmp_path: Path) -> None:
    result = measure(shared, "kws_ref_model", board, tmp_path).result
    assert result.core == "cortex-m4"
    assert result.time.latency_is_estimate


def test_on_the_host(shared: Path, tmp_path: Path) -> None:
    result = measure(shared, "hello_world_int8", "native", tmp_path).result
    assert result.instructions is None and not result.time.latency_is_estimate
