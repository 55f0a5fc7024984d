"""The real models through the whole path on virtual boards: outputs and every layer as TFLM's.

The golden files come from TFLM's reference kernels on a Cortex-M7; the bench compares with TFLM's
host interpreter as well.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcu_hybrid.board import load_board
from mcu_hybrid.codegen.read_tflite import read_tflite
from mcu_hybrid.harness.bench import BenchResult
from mcu_hybrid.harness.samples import golden_input
from mcu_hybrid.pipeline.bench import BenchOptions, bench_step
from mcu_hybrid.pipeline.build import Build, build_step

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


def golden_bench(
    shared: Path, name: str, board: str, folder: Path
) -> tuple[BenchResult, Build, bytes]:
    """Build, then bench the golden input through --input and --output."""
    program = "gcc" if board == "native" else "qemu-system-arm"
    if shutil.which(program) is None or shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip(f"{program} or arm-none-eabi-gcc is not installed")
    build = build_step(shared / "models" / f"{name}.tflite", load_board(board), folder / "build")
    graph = build.model.graph
    inputs = golden_input([graph.tensor(t).shape for t in graph.inputs])
    (folder / "in.bin").write_bytes(b"".join(array.tobytes() for array in inputs))
    options = BenchOptions(inputs=folder / "in.bin", outputs=folder / "out.bin")
    result = bench_step(folder / "build", None, options)
    return result, build, (folder / "out.bin").read_bytes()


def int8_outputs(golden: dict[str, Any]) -> bytes:
    """The golden outputs; where the model ends in floats, the int8 values before them."""
    parts = []
    for row in golden["outputs"]:
        before = row.get("int8_before_dequantize")
        raw = np.array(before["values"], np.int8).tobytes() if before else None
        parts.append(raw or bytes.fromhex(row["hex_little_endian"]))
    return b"".join(parts)


def layers_compared(result: BenchResult, build: Build, golden: dict[str, Any]) -> int:
    """How many layers have an operator of the file behind them; asserts that their CRCs agree.

    A layer is known by its output tensor. Where a pass fused operators the last one's tensor is
    left; where it made a tensor smaller there is nothing to compare.
    """
    file = read_tflite(build.model.data, build.folder.name).graph
    rows = golden["per_op_outputs_tflm"]["ops"]
    known = {
        (file.tensor(row["tensor"]).name, math.prod(row["shape"])): row["crc32"]
        for row in rows
        if row["dtype"] == "int8"
    }
    compared, wrong = 0, []
    for layer, facts in zip(result.layers, build.facts["layers"], strict=True):
        crc = known.get((layer.name, facts["out_bytes"]))
        if crc is not None:
            compared += 1
            wrong += [f"{layer.op} {layer.name}"] if crc != layer.out_crc32 else []
    assert not wrong
    return compared


def check(shared: Path, name: str, board: str, folder: Path) -> BenchResult:
    golden = json.loads((shared / "models" / "golden" / f"{name}.json").read_text("utf-8"))
    result, build, output = golden_bench(shared, name, board, folder)
    assert (result.board, result.model_sha256) == (board, golden["sha256"])
    assert result.exact is True and result.differing_outputs == 0
    assert result.self_test["passed"] == result.self_test["total"] > 0
    assert output == int8_outputs(golden)
    assert result.macs <= golden["macs"]  # passes may take work away, never add to it
    assert layers_compared(result, build, golden) >= len(result.layers) / 2
    return result


@pytest.mark.parametrize("name", MODELS)
def test_on_the_virtual_cortex_m7(shared: Path, name: str, tmp_path: Path) -> None:
    result = check(shared, name, "mps2-an500", tmp_path)
    # Layers are counted to one tick of 40 instructions; what is outside them is the loop.
    assert (
        sum(layer.instructions or 0 for layer in result.layers) <= (result.instructions or 0) * 1.02
    )
    assert result.latency_is_estimate and "estimate" in result.latency_basis


@pytest.mark.parametrize("board", ["mps2-an386", "netduinoplus2"])
def test_keywords_on_the_cortex_m4_boards(shared: Path, board: str, tmp_path: Path) -> None:
    result = check(shared, "kws_ref_model", board, tmp_path)
    assert result.core == "cortex-m4"
    assert result.latency_is_estimate


def test_on_the_host(shared: Path, tmp_path: Path) -> None:
    result = check(shared, "hello_world_int8", "native", tmp_path)
    assert result.instructions is None and not result.latency_is_estimate
