"""Random schedules: streams of any length, cut in any way, and segments (no tests)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcu_hybrid.compiler.lowering import cut_at, lower_graph
from mcu_hybrid.compiler.program import Program, assemble, program_of
from mcu_hybrid.compiler.schedule.candidates import runs, streams
from mcu_hybrid.compiler.schedule.stream import Stream, ops_of
from mcu_hybrid.graph.cuts import single_tensor_cuts
from mcu_hybrid.graph.types import Graph


def streams_at_random(graph: Graph, seed: int) -> list[Stream]:
    """Streams that do not overlap."""
    rng = np.random.default_rng(seed)
    chosen: list[Stream] = []
    for first, last in sorted(runs(graph), key=lambda _: rng.random()):
        ways = list(streams(graph, first, last))
        if ways and all(last < c.first or first > c.last for c in chosen):
            chosen.append(ways[rng.integers(len(ways))])
    return chosen


def streamed(graph: Graph, kernel_dirs: Sequence[str], seed: int) -> Program:
    """A program with random streams."""
    return program_of(graph, kernel_dirs, streams=streams_at_random(graph, seed))


def in_segments(graph: Graph, kernel_dirs: Sequence[str], seed: int) -> Program:
    """A program with random streams and as many segments as there can be between them.

    All outputs are read at the end, so none may end with an earlier segment.
    """
    chosen = streams_at_random(graph, seed)
    inside = {n for stream in chosen for n in range(stream.first + 1, stream.last + 1)}
    steps = lower_graph(graph, kernel_dirs, streams=chosen)
    runs_at, at = set(), 0  # positions behind operators that are no views
    for step in steps:
        at += len(ops_of(step.op))
        if step.kernel is not None:
            runs_at.add(at)
    first = min(n for n, op in enumerate(graph.ops) if set(op.outputs) & set(graph.outputs))
    cuts = [c for c in single_tensor_cuts(graph) if c.position in runs_at - inside]
    return assemble(graph, cut_at(steps, [cut for cut in cuts if cut.position <= first]))
