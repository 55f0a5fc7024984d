"""The memory plan: no two live buffers share bytes, views and in-place share on purpose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcu_hybrid.compiler.arena.place import place
from mcu_hybrid.compiler.arena.plan import MemoryPlan
from mcu_hybrid.compiler.arena.spans import ALIGN, Span, aligned
from mcu_hybrid.compiler.program import program_of
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.reference import interp
from tests.support.random_graph import Builder, random_graph, random_inputs, run_in_arena

span = st.tuples(st.integers(-1, 12), st.integers(0, 8), st.integers(1, 5000)).map(
    lambda t: Span(t[0], t[0] + t[1], t[2])
)


def plan(graph: Graph) -> MemoryPlan:
    """With the reference kernels."""
    return program_of(graph).plan


@settings(max_examples=150, deadline=None)
@given(st.lists(span, max_size=16))
def test_placed_spans_never_overlap(spans: list[Span]) -> None:
    offsets = place(spans)
    assert all(at >= 0 and at % ALIGN == 0 for at in offsets)
    for i, a in enumerate(spans):
        for j, b in enumerate(spans[:i]):
            apart = offsets[i] + a.bytes <= offsets[j] or offsets[j] + b.bytes <= offsets[i]
            assert apart or a.last < b.first or b.last < a.first
    top = max((at + aligned(s.bytes) for s, at in zip(spans, offsets, strict=True)), default=0)
    assert top <= sum(aligned(s.bytes) for s in spans)


def test_place_reuses_the_tightest_gap() -> None:
    # Three long-lived walls leave gaps of 64 and 32 bytes; 32 bytes must go into the second.
    spans = [Span(0, 0, 64), Span(0, 9, 128), Span(0, 0, 32), Span(0, 9, 96), Span(5, 6, 32)]
    offsets = place(spans)
    top = max(at + s.bytes for s, at in zip(spans, offsets, strict=True))
    assert top == 64 + 128 + 32 + 96


def test_equal_inputs_give_equal_plans() -> None:
    graph = random_graph(7)
    assert plan(graph) == plan(graph)


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_run_in_their_arena(seed: int) -> None:
    graph = random_graph(seed)
    p = plan(graph)
    inputs = random_inputs(graph, seed)
    expected = interp.run(graph, inputs)
    got = run_in_arena(graph, p, inputs)
    for want, have, tensor in zip(expected, got, graph.outputs, strict=True):
        np.testing.assert_array_equal(have, want, f"{graph.tensor(tensor).name} seed {seed}")
    assert p.arena_bytes >= p.lower_bound_bytes


def test_the_arena_run_sees_a_broken_plan() -> None:
    """The check above is able to fail: every buffer at offset 0 corrupts the result."""
    graph = random_graph(3)
    broken = replace(plan(graph), offsets=dict.fromkeys(plan(graph).offsets, 0))
    inputs = random_inputs(graph, 3)
    expected = interp.run(graph, inputs)
    got = run_in_arena(graph, broken, inputs)
    assert any(not np.array_equal(a, b) for a, b in zip(expected, got, strict=True))


def test_an_input_that_dies_is_overwritten() -> None:
    b = Builder(1, 64)
    (x,) = b.op("RELU", b.inputs, [(1, 64)])
    (y,) = b.op("ADD", [x, x], [(1, 64)], fused_activation_function=0)
    p = plan(b.graph([y]))
    assert p.offsets[b.inputs[0]] == p.offsets[x] == p.offsets[y] == 0
    assert p.arena_bytes == p.lower_bound_bytes == 64


def test_an_input_that_is_read_again_is_kept() -> None:
    b = Builder(1, 64)
    (x,) = b.op("RELU", b.inputs, [(1, 64)])
    (y,) = b.op("ADD", [b.inputs[0], x], [(1, 64)], fused_activation_function=0)
    p = plan(b.graph([y]))
    assert p.offsets[x] != p.offsets[b.inputs[0]]
    assert p.arena_bytes == 128


def test_a_graph_output_is_never_overwritten() -> None:
    b = Builder(1, 64)
    (x,) = b.op("RELU", b.inputs, [(1, 64)])
    (y,) = b.op("RELU", [x], [(1, 64)])
    p = plan(b.graph([x, y]))
    assert p.offsets[x] != p.offsets[y]


def test_a_view_keeps_its_source_alive() -> None:
    b = Builder(1, 64)
    (x,) = b.op("RELU", b.inputs, [(1, 64)])
    (view,) = b.op("RESHAPE", [x], [(1, 1, 1, 64)])
    (y,) = b.op("RELU", [x], [(1, 64)])
    p = plan(b.graph([view, y]))
    assert p.offsets[view] == p.offsets[x] != p.offsets[y]


def test_a_view_of_a_graph_input_does_not_outlive_it() -> None:
    b = Builder(1, 64)
    (view,) = b.op("RESHAPE", b.inputs, [(1, 1, 1, 64)])
    (x,) = b.op("RELU", [view], [(1, 1, 1, 64)])
    p = plan(b.graph([x]))
    assert p.arena_bytes == 64


def test_an_unread_result_still_has_its_own_place() -> None:
    b = Builder(1, 16)
    (unread,) = b.op("LOGISTIC", b.inputs, [(1, 16)])
    (x,) = b.op("RELU", b.inputs, [(1, 16)])
    p = plan(b.graph([x]))
    assert p.offsets[unread] != p.offsets[b.inputs[0]]


def test_lifetimes_tell_the_plan() -> None:
    b = Builder(1, 10)
    (x,) = b.op("LOGISTIC", b.inputs, [(1, 10)])
    (y,) = b.op("CONCATENATION", b.inputs * 3, [(1, 30)], axis=1, fused_activation_function=0)
    p = plan(b.graph([x, y]))
    rows = {row.label: (row.first, row.last, row.bytes) for row in p.lifetimes}
    assert rows == {"t0": (-1, 1, 10), "t1": (0, 2, 10), "t2": (1, 2, 30)}
    assert (p.peak_op, p.arena_bytes) == (1, 64)


REAL = {
    "hello_world_int8": 32,
    "kws_ref_model": 16_000,
    "mcunet_vww1": 161_472,
    "micro_speech_quantized": 5_968,
    "pretrainedResnet_quant": 49_152,
    "vww_96_int8": 55_296,
}


@pytest.mark.parametrize("name", REAL)
def test_real_models_meet_the_lower_bound(shared: Path, name: str) -> None:
    """Each figure pins the plan from above; kernels that ask for scratch may add theirs."""
    graph = read_tflite((shared / "models" / f"{name}.tflite").read_bytes(), name).graph
    p = plan(graph)
    assert p.arena_bytes == p.lower_bound_bytes
    assert p.arena_bytes - p.scratch_bytes <= REAL[name]


@pytest.mark.parametrize("name", ["kws_ref_model", "pretrainedResnet_quant"])
def test_real_models_run_in_their_arena(shared: Path, name: str) -> None:
    graph = read_tflite((shared / "models" / f"{name}.tflite").read_bytes(), name).graph
    inputs = random_inputs(graph, 5)
    got = run_in_arena(graph, plan(graph), inputs)
    for want, have in zip(interp.run(graph, inputs), got, strict=True):
        np.testing.assert_array_equal(have, want)
