"""``--optimize ram`` trades a kernel's scratch; ways with less scratch compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.board.load import load_board
from mcu_hybrid.compiler.engine import EngineOptions
from mcu_hybrid.compiler.lowering import leaner, lower_graph, lowerer
from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.schedule.search import LEAN_COST, front
from mcu_hybrid.engines.compile import compile_graph
from mcu_hybrid.reference import interp
from mcu_hybrid.steps.build import read_model
from tests.support.random_cnn import random_cnn
from tests.support.random_graph import random_inputs
from tests.support.stream_arena import Arena

DSP = ("cortex_m_dsp", "ref")
TFLM_RAM_BYTES = 10_700  # of micro_speech with CMSIS-NN: arena, statics and stack
BESIDE_ARENA_BYTES = 2_600  # statics and stack of ours


def test_micro_speech_takes_less_ram_than_tflm(shared: Path) -> None:
    model = read_model(shared / "models" / "micro_speech_quantized.tflite")
    board = load_board("mps2-an500")
    speed = compile_graph(model.graph, board, EngineOptions()).program
    ram = compile_graph(model.graph, board, EngineOptions(optimize="ram")).program
    assert ram.plan.arena_bytes + BESIDE_ARENA_BYTES < TFLM_RAM_BYTES < speed.plan.arena_bytes
    assert ram.plan.scratch_bytes < speed.plan.scratch_bytes / 4
    assert not ram.streams


def test_no_scratch_is_bought_at_any_price(shared: Path) -> None:
    """The reference convolutions of this model take ten times the instructions for 384 bytes."""
    model = read_model(shared / "models" / "kws_ref_model.tflite")
    made = compile_graph(model.graph, load_board("mps2-an500"), EngineOptions(optimize="ram"))
    counts = [point.instructions for point in made.front]
    assert counts[-1] <= (1 + LEAN_COST) * counts[0]


@pytest.mark.parametrize("seed", range(10))
def test_lean_schedules_are_exact(seed: int) -> None:
    graph = optimise(random_cnn(seed))
    inputs = random_inputs(graph, seed)
    expected = interp.run(graph, inputs)
    for made in front(graph, lowerer(DSP), leaner=leaner(DSP)):
        got = Arena(made).run(inputs)
        for want, have in zip(expected, got, strict=True):
            np.testing.assert_array_equal(have, want)


def test_lean_candidates_take_less_scratch_somewhere() -> None:
    """The test above would pass without any."""
    found = 0
    for seed in range(10):
        graph = optimise(random_cnn(seed))
        usual = lower_graph(graph, DSP)
        for op, choice in ((step.op, step.kernel) for step in usual):
            if choice is not None:
                found += any(
                    way.scratch_bytes < choice.scratch_bytes for way in leaner(DSP)(graph, op)
                )
    assert found >= 10
