"""The passes between reading a model and planning its memory, in order; verified after each one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcu_hybrid.codegen.passes.link_route import link_route
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.graph.verify import verify

Pass = Callable[[Graph, Mapping[str, Any] | None], Graph]

# A pass is pure: it returns a changed copy, or the graph itself where it has nothing to do.
PASSES: tuple[Pass, ...] = (link_route,)


def run_passes(graph: Graph, metadata: Mapping[str, Any] | None = None) -> Graph:
    """Run all passes; raises ModelError where the file or its metadata is faulty."""
    verify(graph, after="reading")
    for step in PASSES:
        graph = step(graph, metadata)
        verify(graph, after=step.__name__)
    return graph
