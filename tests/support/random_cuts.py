"""Random schedules: streams of any length, cut in any way (no tests)."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.compiler.schedule.candidates import runs, streams
from mcu_hybrid.compiler.schedule.stream import Stream
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
