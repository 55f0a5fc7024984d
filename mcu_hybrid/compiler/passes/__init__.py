"""The passes between reading a model and planning its memory, in order; verified after each one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcu_hybrid.compiler.passes.compose_tables import compose_tables
from mcu_hybrid.compiler.passes.constant_fold import constant_fold, merge_equal
from mcu_hybrid.compiler.passes.fold_dead import fold_dead as _fold_dead
from mcu_hybrid.compiler.passes.fold_pad import fold_pad, trim_kernels
from mcu_hybrid.compiler.passes.fuse_clamps import fuse_clamps
from mcu_hybrid.compiler.passes.link_route import link_route
from mcu_hybrid.compiler.passes.remove_views import remove_views
from mcu_hybrid.compiler.passes.silence import silence
from mcu_hybrid.compiler.passes.sink_transpose import sink_transpose
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.reference.verify import verify

Pass = Callable[[Graph, Mapping[str, Any] | None], Graph]

# A pass is pure: it returns a changed copy, or the graph itself where it has nothing to do.
PASSES: tuple[Pass, ...] = (link_route, silence)

# Passes that leave every output of the graph as it is, bit by bit, for every input.
OPTIMISING: tuple[Pass, ...] = (
    constant_fold,
    merge_equal,
    remove_views,
    sink_transpose,
    compose_tables,
    fuse_clamps,
    fold_pad,
    trim_kernels,
    _fold_dead,
)
_ROUNDS = 8  # one pass makes work for another; real models are done after two


def run_passes(graph: Graph, metadata: Mapping[str, Any] | None = None) -> Graph:
    """Run all passes; raises ModelError where the file or its metadata is faulty."""
    verify(graph, after="reading")
    for step in PASSES:
        graph = step(graph, metadata)
        verify(graph, after=step.__name__)
    return graph


def optimise(graph: Graph, *, fold_dead: bool = True) -> Graph:
    """Return a graph that computes the same outputs from the same inputs with less work.

    Args:
        graph: a verified graph; tensors that survive keep their index and name.
        fold_dead: also take out channels that no input can change.
    """
    for _ in range(_ROUNDS):
        before = graph
        for step in OPTIMISING:
            if step is _fold_dead and not fold_dead:
                continue
            graph = step(graph, None)
            verify(graph, after=step.__name__)
        if graph is before:
            break
    return graph
