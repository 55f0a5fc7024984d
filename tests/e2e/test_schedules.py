"""Schedules on virtual boards: less RAM, the same outputs, few more instructions."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from mcu_hybrid import resources
from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.artifacts.build import AotFacts
from mcu_hybrid.board.load import load_board
from mcu_hybrid.cli.common import SIZE
from mcu_hybrid.steps.bench import BenchOptions, bench_board
from mcu_hybrid.steps.build import EngineOptions, build_step
from tests.support.cli_rig import call, fail

pytest.importorskip("tflite_micro")

PREDICTED = 1.02  # a stream's measured instructions, over those that chose it


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def _measured(
    model: Path, board: str, folder: Path, engine: EngineOptions
) -> tuple[BenchResult, AotFacts]:
    build = build_step(model, load_board(board), folder, engine)
    result = bench_board(build, BenchOptions(runs=2))
    assert result.exact is True
    assert result.self_test.passed == result.self_test.total
    assert build.facts.aot is not None
    return result, build.facts.aot


def test_mcunet_within_60_kb_of_ram(shared: Path, tmp_path: Path) -> None:
    """Image included, at no more than 10 % more instructions than the fastest schedule."""
    model = shared / "models" / "mcunet_vww1.tflite"
    limit = 60_000
    result, facts = _measured(
        model, "mps2-an500", tmp_path / "b", EngineOptions(ram_limit=limit - 2_500)
    )
    assert result.sram_bytes <= limit  # arena, statics, and the stack that was used
    assert result.instructions is not None
    fastest = facts.front[0].instructions
    assert result.instructions <= 1.10 * fastest
    predicted = sum(n for n in facts.predicted_instructions if n is not None)
    assert abs(result.instructions - predicted) <= (PREDICTED - 1) * predicted


@pytest.mark.parametrize("board", ["mps2-an500", "mps2-an385", "mps3-an547"])
@pytest.mark.parametrize("name", ["vww_96_int8", "pretrainedResnet_quant", "kws_ref_model"])
def test_the_smallest_schedule_is_exact(
    name: str, board: str, shared: Path, tmp_path: Path
) -> None:
    model = shared / "models" / f"{name}.tflite"
    result, facts = _measured(model, board, tmp_path / "b", EngineOptions(optimize="ram"))
    assert result.arena_bytes == min(point.arena_bytes for point in facts.front)
    assert [point.is_chosen for point in facts.front].count(True) == 1
    if len(facts.front) > 1:
        assert result.arena_bytes < facts.front[0].arena_bytes
        assert facts.streams or name == "kws_ref_model"  # leaner kernels do it there


def test_a_board_that_is_too_small_for_the_fastest_gets_streams(
    shared: Path, tmp_path: Path
) -> None:
    """On a board with 64 KiB the same command builds the fastest schedule that fits."""
    boards = tmp_path / "boards"
    (boards / "chips").mkdir(parents=True)
    ours = resources.root("boards")
    chip = (ours / "chips" / "stm32f405rg-qemu.toml").read_text("utf-8")
    assert "size = 0x2_0000" in chip
    (boards / "chips" / "half.toml").write_text(chip.replace("size = 0x2_0000", "size = 0x1_0000"))
    board = (ours / "netduinoplus2.toml").read_text("utf-8")
    (boards / "half.toml").write_text(board.replace("stm32f405rg-qemu", "half"))
    model = shared / "models" / "mcunet_vww1.tflite"
    build = build_step(model, load_board("half", [boards]), tmp_path / "b", board_dirs=[boards])
    assert build.facts.aot.streams
    assert not build.facts.aot.front[0].is_chosen
    assert build.image.ram_used + build.image.stack_bytes <= 64 * 1024
    assert bench_board(build, BenchOptions(runs=1, board_dirs=[boards])).exact is True


def test_an_impossible_limit_names_the_possible_one(shared: Path, tmp_path: Path) -> None:
    model = shared / "models" / "kws_ref_model.tflite"
    out = tmp_path / "b"
    told = fail("build", model, "--out", out, "--ram-limit", "4K")
    assert "the limit is 4,096 B" in told["message"]
    assert not out.exists()
    least = told["hint"].split("give --ram-limit ")[1].split()[0]
    facts = call("build", model, "--out", out, "--ram-limit", least)
    assert facts["static_ram_bytes"] <= int(least)


@pytest.mark.parametrize("text", ["0", "12X", "-3", "K"])
def test_a_size_that_is_none_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no size"):
        SIZE.convert(text, None, None)


@pytest.mark.parametrize(("text", "size"), [("65536", 65536), ("64K", 65536), ("1 MB", 1 << 20)])
def test_sizes(text: str, size: int) -> None:
    assert SIZE.convert(text, None, None) == size
