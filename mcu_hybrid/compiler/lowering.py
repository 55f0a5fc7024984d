"""Which C call each operator becomes on a core; shared by the plan, the emitter and the report.

A core's kernel folders say what it can run: the first fast module that matches an operator gives
its call, else the operator's own ``lower`` (the reference kernel).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.code_budget import NOTHING, Banned, code_table, pick
from mcu_hybrid.compiler.schedule.call import Call, StreamCall
from mcu_hybrid.compiler.schedule.lower import Strips, lower_stream
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.registry import FAST, LEAN, Match
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator, stream

REFERENCE = ("ref",)
Lowered = tuple[Choice | None, ...]


def lower_graph(graph: Graph, kernel_dirs: Sequence[str] = REFERENCE, core: str = "") -> Lowered:
    """One entry per operator; None where nothing runs (the output is a view of input 0).

    ``core``: whose instructions are predicted; "" is the usual core of these folders.
    """
    lower_op = lowerer(kernel_dirs, core)
    return tuple(lower_op(graph, op) for op in graph.ops)


def lowerer(
    kernel_dirs: Sequence[str] = REFERENCE, core: str = "", banned: Banned = NOTHING
) -> Callable[[Graph, Op], Choice | None]:
    """The function that lowers one operator of a graph with these kernels.

    ``banned``: sections of code that are to be avoided (code_budget.py).
    """
    matches = [match for folder in kernel_dirs for match in FAST.get(folder, ())]
    own = core or cost.core_of(kernel_dirs)
    table = code_table(kernel_dirs)

    def lower_op(graph: Graph, op: Op) -> Choice | None:
        if stream.STREAM.serves(op):
            return lower_stream(graph, op, strips)
        choice = _predicted(_lower(graph, op, matches), own)
        return choice and pick(choice, banned, table)

    strips = Strips(lower_op)
    return lower_op


def leaner(
    kernel_dirs: Sequence[str] = REFERENCE, core: str = ""
) -> Callable[[Graph, Op], Iterator[Choice]]:
    """The function that gives an operator's other ways: less scratch, more instructions.

    Among them is the reference kernel; ways without a predicted cost are left out.
    """
    matches = [match for folder in kernel_dirs for match in LEAN.get(folder, ())]
    own = core or cost.core_of(kernel_dirs)

    def ways(graph: Graph, op: Op) -> Iterator[Choice]:
        if stream.STREAM.serves(op) or operator(op.kind).lower(graph, op) is None:
            return
        found = [match(graph, op) for match in matches] + [_lower(graph, op, ())]
        for choice in (_predicted(way, own) for way in found):
            if choice is not None and choice.instructions is not None:
                yield choice

    return ways


def _predicted(choice: Choice | None, core: str) -> Choice | None:
    """The choice and its others with what their calls cost on the core, where that is measured."""
    if choice is None or isinstance(choice.call, StreamCall):
        return choice
    found = cost.instructions(choice.call, core)
    known = choice.instructions if found is None else found
    others = tuple(filter(None, (_predicted(other, core) for other in choice.others)))
    return replace(choice, instructions=known, others=others)


def _lower(graph: Graph, op: Op, matches: Sequence[Match]) -> Choice | None:
    own = operator(op.kind)
    call = own.lower(graph, op)
    if call is None:
        return None
    for match in matches:
        found = match(graph, op)
        if found is not None:
            return found
    return Choice(call, own.scratch_bytes(graph, op), own.inplace(graph, op), None, {})


def layers(graph: Graph, lowered: Lowered) -> Iterator[tuple[Op, Call]]:
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
