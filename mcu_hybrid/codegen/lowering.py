"""Which C call each operator becomes; shared by the plan, the emitter and the report."""

from __future__ import annotations

from collections.abc import Iterator

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import module
from mcu_hybrid.ops.base import KernelCall

Lowered = tuple[KernelCall | None, ...]


def lower_graph(graph: Graph) -> Lowered:
    """One entry per operator; None where nothing runs (the output is a view of input 0)."""
    return tuple(module(op.kind).lower(graph, op) for op in graph.ops)


def layers(graph: Graph, lowered: Lowered) -> Iterator[tuple[Op, KernelCall]]:
    """The operators that run, in order: the layers that the firmware counts."""
    for op, call in zip(graph.ops, lowered, strict=True):
        if call is not None:
            yield op, call


def kernel_stems(lowered: Lowered) -> tuple[str, ...]:
    """File stems of the kernels that the calls need, sorted."""
    calls = [call for call in lowered if call is not None]
    return tuple(sorted({stem for call in calls for stem in (call.source, *call.also)}))
