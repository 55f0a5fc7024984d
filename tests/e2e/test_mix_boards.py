"""The instruction mix on virtual boards: as many instructions as the firmware itself counted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mcu_hybrid.bench.mix import OVERHEAD_INSTRUCTIONS
from mcu_hybrid.bench.thumb import CLASSES
from mcu_hybrid.steps.bench import BenchOptions, bench_step
from tests.support.cli_rig import call, fail

MODELS = ("kws_ref_model", "micro_speech_quantized")
MVE = tuple(name for name in CLASSES if name.startswith("mve"))


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("board", ["mps2-an386", "mps2-an500", "mps3-an547"])
def test_the_mix_is_the_whole_inference(name: str, board: str, shared: Path) -> None:
    options = BenchOptions(runs=1, mix=True)
    result = bench_step(shared / "models" / f"{name}.tflite", board, options)
    assert result.exact and result.mix is not None and result.instructions is not None
    total = result.mix.total
    assert total.instructions == sum(total.classes.values())
    assert abs(total.instructions - result.instructions) <= OVERHEAD_INSTRUCTIONS
    assert abs(result.mix.counted - result.instructions) <= OVERHEAD_INSTRUCTIONS

    assert result.mix.layers is not None
    for layer, timed in zip(result.mix.layers, result.layers, strict=True):
        assert (layer.name, layer.op) == (timed.name, timed.op)
        # The profile's clock does not see the glue between two layers.
        assert abs(layer.mix.instructions - (timed.instructions or 0)) <= OVERHEAD_INSTRUCTIONS
    for kind in CLASSES:
        assert sum(layer.mix.classes[kind] for layer in result.mix.layers) == total.classes[kind]

    vector = sum(total.classes[kind] for kind in MVE)
    if board != "mps2-an386":  # cycles of a Cortex-M4 on its boards alone
        assert total.m4_cycles is None and result.mix.m4_basis is None
    if board == "mps3-an547":
        assert 16 * total.classes["mve_mac"] + 2 * total.classes["mac"] >= result.macs_executed
    else:
        assert vector == 0
        # SMLAD does two products, each of up to two packed channels.
        assert 4 * (total.classes["mac"] + total.classes["multiply"]) >= result.macs_executed
    if board == "mps2-an386":
        cycles = total.m4_cycles
        assert cycles is not None and cycles.low <= cycles.estimate <= cycles.high
        # One each, IT may be none; LDM and the like one more per register.
        least = total.instructions - total.classes["system"] + sum(total.registers.values())
        assert cycles.low >= least
        # The table prices the time; a share of it is added for weights in the STM32F446's flash.
        assert 1e-6 * 180e6 * (result.time.latency_us or 0) == pytest.approx(
            cycles.estimate + 0.14 * total.instructions, rel=0.05
        )


def test_the_command_prints_it_unless_told_not_to(shared: Path, tmp_path: Path) -> None:
    model = shared / "models" / "hello_world_int8.tflite"
    built = tmp_path / "build"
    call("build", model, "--board", "mps2-an386", "--out", built)
    told = call("bench", built, "--runs", 1)
    assert told["mix"]["total"]["classes"]["mac"] > 0
    assert [row["name"] for row in told["mix"]["layers"]] == [r["name"] for r in told["layers"]]
    assert call("bench", built, "--runs", 1, "--no-mix")["mix"] is None


def test_a_board_that_qemu_does_not_run(shared: Path) -> None:
    model = shared / "models" / "hello_world_int8.tflite"
    assert call("bench", model, "--board", "native", "--runs", 1)["mix"] is None
    told = fail("bench", model, "--board", "native", "--runs", 1, "--mix")
    assert told["error"] == "BoardError"
    assert "native is no board that QEMU runs" in told["message"]
