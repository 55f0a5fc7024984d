"""Genomes on boards: a graph without training, held against the real export; limits and streams."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.artifacts.search import Limits
from mcu_hybrid.board.load import load_board
from mcu_hybrid.errors import BoardError, InputError
from mcu_hybrid.nets.genome import Genome, Stage
from mcu_hybrid.reference import interp
from mcu_hybrid.search.figures import excess, figures_of, limits_of
from mcu_hybrid.search.graph import graph_of
from mcu_hybrid.steps.calibrate import export_genome, virtual_of

pytest.importorskip("torch")

SMALL = Genome((8, 8), 8, 1, (Stage(1, 8, 3, 1, 1), Stage(2, 16, 5, 3, 2)))
WIDE = Genome((48, 48), 16, 1, (Stage(1, 16, 3, 1, 1), Stage(2, 24, 5, 4, 2)))


def test_the_graph_runs_and_is_lively() -> None:
    graph = graph_of(SMALL, 1, 10)
    assert [graph.tensor(t).shape for t in graph.outputs[:2]] == [(1, 10), (1, 1)]
    rng = np.random.default_rng(0)
    seen = [
        interp.run(graph, [rng.integers(-128, 128, (1, 8, 8, 1)).astype(np.int8)]) for _ in range(8)
    ]
    logits = np.stack([outputs[0].ravel() for outputs in seen])
    assert logits.std(axis=0).min() > 0 and np.abs(logits).max() < 128
    alone = graph_of(SMALL, 1, 10, router=0)
    assert len(alone.outputs) == 1 and alone.ops[0].kind == graph.ops[0].kind


def test_streams_are_used_where_ram_is_short() -> None:
    board = load_board("mps2-an386")
    free = figures_of(graph_of(WIDE, 3, 10), board, limits_of(board, Limits()))
    tight = limits_of(board, Limits(sram_bytes=free.sram_bytes - free.arena_bytes // 3))
    cut = figures_of(graph_of(WIDE, 3, 10), board, tight)
    assert free.streams == 0 < cut.streams
    assert cut.sram_bytes <= tight.sram_bytes < free.sram_bytes
    assert max(excess(cut, board, tight).values()) <= 0
    hopeless = replace(tight, sram_bytes=12_000, flash_bytes=20_000, latency_us=1.0)
    over = excess(figures_of(graph_of(WIDE, 3, 10), board, hopeless), board, hopeless)
    assert over["sram"] > 0 and over["flash"] > 0 and over["latency"] > 1000
    assert over["arena"] < 0


def test_a_boards_own_memories_are_limits() -> None:
    board = load_board("stm32f7")
    assert limits_of(board, Limits()) == Limits(
        sram_bytes=board.ram_bytes, flash_bytes=board.flash_bytes
    )
    assert limits_of(board, Limits(sram_bytes=1 << 30)).sram_bytes == board.ram_bytes
    assert limits_of(board, Limits(flash_bytes=1000)).flash_bytes == 1000
    host = load_board("native")
    assert limits_of(host, Limits()) == Limits()
    with pytest.raises(InputError, match="--max-latency"):
        limits_of(host, Limits(latency_us=1e5))


@pytest.mark.parametrize("name", ["mps2-an500", "mps3-an547"])
def test_figures_are_those_of_a_real_export(exported: Path, name: str) -> None:
    """Arena, layers and weights agree; instructions by the forms of requantisation alone."""
    from mcu_hybrid.steps.build import read_model

    board = load_board(name)
    real = read_model(exported)
    found = figures_of(real.graph, board, Limits())
    said = figures_of(graph_of(SMALL, 1, 10), board, Limits())
    assert said.macs == found.macs
    assert said.arena_bytes == found.arena_bytes
    assert said.weights_bytes == found.weights_bytes
    assert said.code_bytes == pytest.approx(found.code_bytes, rel=0.05)
    assert said.instructions == pytest.approx(found.instructions, rel=0.10)


@pytest.mark.parametrize(
    ("board", "virtual"),
    [("stm32f7", "mps2-an500"), ("stm32f4", "mps2-an386"), ("mps3-an547", "mps3-an547")],
)
def test_a_virtual_board_has_the_boards_kernels(board: str, virtual: str) -> None:
    assert virtual_of(load_board(board)).name == virtual
    with pytest.raises(BoardError, match="no virtual board has the kernels of"):
        virtual_of(load_board("native"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .tflite of the genome with the weights that torch gives it, by way of ONNX and TFLite."""
    if find_spec("tensorflow") is None or find_spec("onnx2tf") is None:
        pytest.skip("the export packages are not installed")
    from mcu_hybrid.training.data import load_data

    return export_genome(SMALL, load_data("digits"), tmp_path_factory.mktemp("export"))
