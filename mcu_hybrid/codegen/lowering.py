"""Which C call each operator becomes on a core; shared by the plan, the emitter and the report.

A core's kernel folders say what it can run: the first fast module that matches an operator gives
its call, else the operator's own ``lower`` (the reference kernel).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mcu_hybrid.codegen.fast import Choice
from mcu_hybrid.codegen.fast.registry import FAST, Match
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import module
from mcu_hybrid.ops.base import KernelCall

REFERENCE = ("ref",)
Lowered = tuple[Choice | None, ...]


def lower_graph(graph: Graph, kernel_dirs: Sequence[str] = REFERENCE) -> Lowered:
    """One entry per operator; None where nothing runs (the output is a view of input 0)."""
    matches = [match for folder in kernel_dirs for match in FAST.get(folder, ())]
    return tuple(_lower(graph, op, matches) for op in graph.ops)


def _lower(graph: Graph, op: Op, matches: Sequence[Match]) -> Choice | None:
    own = module(op.kind)
    call = own.lower(graph, op)
    if call is None:
        return None
    for match in matches:
        found = match(graph, op)
        if found is not None:
            return found
    return Choice(call, own.scratch_bytes(graph, op), own.inplace(graph, op), None, {})


def layers(graph: Graph, lowered: Lowered) -> Iterator[tuple[Op, KernelCall]]:
    """The operators that run, in order: the layers that the firmware counts."""
    for op, choice in zip(graph.ops, lowered, strict=True):
        if choice is not None:
            yield op, choice.call


def kernel_stems(lowered: Lowered) -> tuple[str, ...]:
    """File stems of the kernels that the calls need, sorted."""
    calls = [choice.call for choice in lowered if choice is not None]
    return tuple(sorted({stem for call in calls for stem in (call.source, *call.also)}))


def predicted_instructions(lowered: Lowered) -> list[int | None]:
    """The cost model's count for each layer, None where a reference kernel has none."""
    return [choice.instructions for choice in lowered if choice is not None]


def requantise_forms(lowered: Lowered) -> dict[str, int]:
    """Channels per form of requantisation, over all layers of fast kernels."""
    total: Counter[str] = Counter()
    for choice in lowered:
        total.update(choice.forms if choice is not None else {})
    return dict(sorted(total.items()))
