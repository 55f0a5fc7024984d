"""Streams: strips of rows give what whole maps give, in the places that the plan gave them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from mcu_hybrid.compiler.emit.stream import Line, blocks
from mcu_hybrid.compiler.lowering import Step, lower_graph, lowerer
from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.program import Program, assemble, program_of
from mcu_hybrid.compiler.schedule import search
from mcu_hybrid.compiler.schedule.candidates import runs, stream_of, streams
from mcu_hybrid.compiler.schedule.choose import BALANCED_COST, choose
from mcu_hybrid.compiler.schedule.rows import reach_of, steps_of
from mcu_hybrid.compiler.schedule.stream import Stream
from mcu_hybrid.errors import UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import known, operator
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.verify import verify
from tests.support.random_cnn import random_cnn
from tests.support.random_cuts import streams_at_random
from tests.support.random_graph import random_inputs
from tests.support.stream_arena import Arena

DSP = ("cortex_m_dsp", "ref")


@pytest.mark.parametrize("folders", [DSP, ("ref",)], ids=["dsp", "ref"])
@pytest.mark.parametrize("seed", range(24))
def test_streams_run_in_their_arena(seed: int, folders: tuple[str, ...]) -> None:
    graph = optimise(random_cnn(seed))
    chosen = streams_at_random(graph, seed)
    program = program_of(graph, folders, streams=chosen)
    assert [op for layer in program.layers for op in layer.ops] == _running(graph)
    inputs = random_inputs(graph, seed)
    expected = interp.run(graph, inputs)
    got = Arena(program).run(inputs)
    for want, have in zip(expected, got, strict=True):
        np.testing.assert_array_equal(have, want, f"seed {seed}: {chosen}")


def test_most_random_networks_have_streams() -> None:
    """The test above would pass on graphs without any."""
    found = [streams_at_random(optimise(random_cnn(seed)), seed) for seed in range(24)]
    assert sum(bool(chosen) for chosen in found) >= 16
    assert {stream.keep for chosen in found for stream in chosen} == {True, False}


def test_an_overlap_that_is_too_short_is_seen() -> None:
    """The arena run can fail: an output placed below what is still read corrupts it."""
    broken = 0
    for seed in range(40):
        graph = optimise(random_cnn(seed))
        chosen = streams_at_random(graph, seed)
        steps = lower_graph(graph, DSP, streams=chosen)
        short = tuple(_shorter(step) for step in steps)
        if short == steps:
            continue
        inputs = random_inputs(graph, seed)
        got = Arena(assemble(graph, short)).run(inputs)
        pairs = zip(interp.run(graph, inputs), got, strict=True)
        broken += any(not np.array_equal(a, b) for a, b in pairs)
    assert broken > 0


def _running(graph: Graph) -> list[Op]:
    return [op for op in graph.ops if operator(op.kind).lower(graph, op) is not None]


def _shorter(step: Step) -> Step:
    kernel = step.kernel
    if kernel is None or not kernel.overlap:
        return step
    return replace(step, kernel=replace(kernel, overlap=max(kernel.overlap - 64, 0)))


@pytest.mark.parametrize("seed", range(8))
def test_every_row_is_there_when_it_is_read(seed: int) -> None:
    graph = optimise(random_cnn(seed))
    for first, last in runs(graph):
        for stream in streams(graph, first, last):
            _check_rows(graph, stream)


def _check_rows(graph: Graph, stream: Stream) -> None:
    run = stream.run
    held: dict[int, set[int]] = {op.outputs[0]: set() for op in run}
    for step in steps_of(graph, run, stream.rows, stream.keep):
        for tensor, window in step.windows.items():
            stays = step.kept.get(tensor, ((0, 0), 0))[0]
            assert set(range(*stays)) <= held[tensor], "rows are kept that were never made"
            assert (window[0] <= stays[0] and stays[1] <= window[1]) or stays == (0, 0)
            held[tensor] = set(range(*stays))
        for part in step.parts:
            op = run[part.op]
            reach = reach_of(graph, op)
            for tensor in op.inputs:
                if tensor in held and tensor != run[-1].outputs[0]:
                    needed = set(range(reach.start(part.rows[0]), reach.end(part.rows[1])))
                    assert needed <= held[tensor], (stream, op.kind)
            held[op.outputs[0]] |= set(range(*part.rows))
            window = step.windows.get(op.outputs[0])
            assert window is None or (window[0] <= part.rows[0] and part.rows[1] <= window[1])
    height = graph.tensor(run[-1].outputs[0]).shape[1]
    assert held[run[-1].outputs[0]] == set(range(height))


@pytest.mark.parametrize("seed", range(6))
def test_a_front_gets_smaller_and_slower_and_stays_exact(seed: int) -> None:
    graph = optimise(random_cnn(seed))
    schedules = search.front(graph, lowerer(DSP))
    inputs = random_inputs(graph, seed)
    expected = interp.run(graph, inputs)
    for before, after in pairwise(schedules):
        assert after.plan.arena_bytes < before.plan.arena_bytes
        assert after.instructions >= before.instructions
    for made in schedules:
        got = Arena(made).run(inputs)
        for want, have in zip(expected, got, strict=True):
            np.testing.assert_array_equal(have, want)


def test_the_choice_follows_aim_and_limit() -> None:
    seed = next(s for s in range(24) if len(_front(s)) > 2)
    schedules = _front(seed)
    arenas = [s.plan.arena_bytes for s in schedules]
    assert choose(schedules, "speed") is schedules[0]
    assert choose(schedules, "ram") is schedules[-1]
    assert choose(schedules, "speed", arenas[1]) is schedules[1]
    assert choose(schedules, "speed", arenas[1] - 1) is schedules[2]
    assert choose(schedules, "ram", arenas[-1] - 1) is None
    balanced = choose(schedules, "balanced")
    assert balanced is not None
    assert balanced.instructions <= BALANCED_COST * schedules[0].instructions


def _front(seed: int) -> tuple[Program, ...]:
    return search.front(optimise(random_cnn(seed)), lowerer(DSP))


def test_equal_steps_become_one_loop() -> None:
    def step(at: int) -> tuple[Line, ...]:
        return (Line("f(", (("arena", at), ("arena", 7)), ")", True),)

    found = list(blocks([step(0), step(10), step(20), step(25), step(30), step(99)]))
    assert [(b.count, b.strides[0]) for b in found] == [(3, (10, 0)), (2, (5, 0)), (1, (0, 0))]


def test_a_stream_is_no_operator() -> None:
    assert "STREAM" not in known()
    graph = optimise(random_cnn(1))
    with pytest.raises(UnsupportedOp, match="operator STREAM is not supported"):
        verify(graph.with_(ops=(replace(graph.ops[0], kind="STREAM"), *graph.ops[1:])))


def test_the_first_map_of_a_run_comes_first() -> None:
    graph = optimise(random_cnn(1))
    for first, last in runs(graph):
        op = stream_of(graph, first, last, rows=1, keep=True)
        assert not graph.tensor(op.inputs[0]).is_const
        assert len(set(op.inputs)) == len(op.inputs)
