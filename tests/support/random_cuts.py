"""Random schedules: streams of any length, cut in any way (no tests)."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.compiler.schedule.candidates import Cut, cuts, runs, with_streams
from mcu_hybrid.graph.types import Graph


def cut_at_random(graph: Graph, seed: int) -> list[Cut]:
    """Cuts of runs that do not overlap."""
    rng = np.random.default_rng(seed)
    chosen: list[Cut] = []
    for first, last in sorted(runs(graph), key=lambda _: rng.random()):
        ways = list(cuts(graph, first, last))
        if ways and all(last < c.first or first > c.last for c in chosen):
            chosen.append(ways[rng.integers(len(ways))])
    return chosen


def streamed(graph: Graph, seed: int) -> Graph:
    """The graph with random streams."""
    return with_streams(graph, cut_at_random(graph, seed))
