"""Which C call each operator becomes on a core; what comes of it is a Program (program.py).

A core's kernel folders say what it can run: the first fast module that matches an operator gives
its call, else the operator's own ``lower`` (the reference kernel).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.code_budget import NOTHING, Banned, code_table, pick
from mcu_hybrid.compiler.schedule.call import StreamCall
from mcu_hybrid.compiler.schedule.lower import Strips, lower_stream
from mcu_hybrid.compiler.schedule.stream import Stream, Work, ops_of, work_of
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.registry import FAST, LEAN, Match
from mcu_hybrid.graph.cuts import Cut
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator

REFERENCE = ("ref",)


@dataclass(frozen=True)
class Step:
    """What is computed and what it runs as; None: nothing runs, the output is a view of input 0.

    ``cut``: a segment ends behind it, and the next one goes on from this tensor.
    """

    op: Work
    kernel: Choice | None
    cut: int | None = None


Steps = Sequence[Step]


def lower_graph(
    graph: Graph,
    kernel_dirs: Sequence[str] = REFERENCE,
    core: str = "",
    streams: Iterable[Stream] = (),
) -> tuple[Step, ...]:
    """One step per operator or stream, each the fastest of these kernels.

    ``core``: whose instructions are predicted; "" is the usual core of these folders.
    """
    lower_op = lowerer(kernel_dirs, core)
    return tuple(Step(work, lower_op(graph, work)) for work in work_of(graph, streams))


def cut_at(steps: Steps, cuts: Iterable[Cut]) -> tuple[Step, ...]:
    """The steps with segments that end at these cuts of their graph.

    Raises:
        ValueError: a cut lies inside a stream, whose rows are never all there.
    """
    wanted = {cut.position: cut.tensor for cut in cuts}
    made, position = [], 0
    for step in steps:
        position += len(ops_of(step.op))
        made.append(replace(step, cut=wanted.pop(position, None)))
    if wanted:
        raise ValueError(f"no step ends at operator {min(wanted)}")
    return tuple(made)


def lowerer(
    kernel_dirs: Sequence[str] = REFERENCE, core: str = "", banned: Banned = NOTHING
) -> Callable[[Graph, Work], Choice | None]:
    """The function that lowers an operator or a stream of a graph with these kernels.

    ``banned``: sections of code that are to be avoided (code_budget.py).
    """
    matches = [match for folder in kernel_dirs for match in FAST.get(folder, ())]
    own = core or cost.core_of(kernel_dirs)
    table = code_table(kernel_dirs)

    def lower_op(graph: Graph, work: Work) -> Choice | None:
        if isinstance(work, Stream):
            return lower_stream(graph, work, strips)
        choice = _predicted(_lower(graph, work, matches), own)
        return choice and pick(choice, banned, table)

    strips = Strips(lower_op)
    return lower_op


def leaner(
    kernel_dirs: Sequence[str] = REFERENCE, core: str = ""
) -> Callable[[Graph, Op], Iterator[Choice]]:
    """The function that gives an operator's leaner candidates: less scratch, more instructions.

    Among them is the reference kernel; candidates without a predicted cost are left out.
    """
    matches = [match for folder in kernel_dirs for match in LEAN.get(folder, ())]
    own = core or cost.core_of(kernel_dirs)

    def candidates(graph: Graph, op: Op) -> Iterator[Choice]:
        if operator(op.kind).lower(graph, op) is None:
            return
        found = [match(graph, op) for match in matches] + [_lower(graph, op, ())]
        for choice in (_predicted(one, own) for one in found):
            if choice is not None and choice.instructions is not None:
                yield choice

    return candidates


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
