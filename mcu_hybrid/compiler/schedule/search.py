"""The fastest schedule for each size of the arena: shortest paths over the operators.

A schedule splits the operators into single ones and streams. What lives while one of these runs
does not depend on how the others are cut, so for a limit of bytes the fastest schedule is a
shortest path from the first operator to the last, over the pieces that stay within the limit.
Lowering the limit below each path's fullest piece gives the front of RAM and instructions, exact
for the bytes that live at once; the arena that the planner then makes of a path may be larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mcu_hybrid.compiler.arena.spans import aligned
from mcu_hybrid.compiler.lowering import Step
from mcu_hybrid.compiler.program import Program, assemble
from mcu_hybrid.compiler.schedule.candidates import runs, streams
from mcu_hybrid.compiler.schedule.stream import Stream, Work
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.events import OnEvent
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops import traits

LowerOp = Callable[[Graph, Work], Choice | None]
LeanCandidates = Callable[[Graph, Op], Iterable[Choice]]
MOST_POINTS = 24  # of the front: as many as a reader can use; planning each takes long
# Of a run's instructions: streams can be faster (rows that no window sees are left out, a kernel
# suits narrow strips better), and below this it is not worth their code.
LEAST_GAIN = 0.005
# Of the whole model's instructions: more is not spent on one operator's scratch. micro_speech's
# smallest arena takes 1.6 times the instructions (docs/engine.md).
LEAN_COST = 0.5
_UNKNOWN = 0  # instructions of a kernel without a prediction: the same in every schedule


@dataclass(frozen=True)
class Piece:
    """A way to run the operators ``first`` to ``last``: one by itself, or a ``stream``."""

    first: int
    last: int
    stream: Stream | None
    instructions: int
    live_bytes: int
    choice: Choice | None


def front(
    graph: Graph,
    lower_op: LowerOp,
    on_event: OnEvent | None = None,
    leaner: LeanCandidates | None = None,
) -> tuple[Program, ...]:
    """All that ``schedules`` gives."""
    return tuple(schedules(graph, lower_op, on_event, leaner))


def schedules(
    graph: Graph,
    lower_op: LowerOp,
    on_event: OnEvent | None = None,
    leaner: LeanCandidates | None = None,
) -> Iterator[Program]:
    """A program per schedule, fastest first, each with a smaller arena than the one before.

    One at a time: planning the memory of each is what takes long.

    Args:
        graph: an optimised graph.
        lower_op: gives an operator's kernel, cost and scratch on the core.
        leaner: gives candidates of an operator with less scratch; None: there are none.
    """
    pieces = _pieces(graph, lower_op, on_event, leaner)
    found, least = 0, None
    limit = None
    while found < MOST_POINTS:
        path = _fastest(graph, pieces, limit)
        if path is None:
            break
        made = _program(graph, path)
        if least is None or made.plan.arena_bytes < least:
            found, least = found + 1, made.plan.arena_bytes
            yield made
        top = max((piece.live_bytes for piece in path), default=0)
        limit = min(top - 1, top - top // 50)  # steps of 2 %, so that the front stays short


def _pieces(
    graph: Graph, lower_op: LowerOp, on_event: OnEvent | None, leaner: LeanCandidates | None
) -> list[Piece]:
    live = _Live(graph)
    single = [_single(live, n, lower_op(graph, op)) for n, op in enumerate(graph.ops)]
    lean = list(_lean(graph, live, single, leaner)) if leaner else []
    pieces = [*single, *lean]
    found = list(runs(graph))
    smaller = set(_smaller(found, live, single, lean))
    for done, (first, last) in enumerate(found):
        alone = sum(piece.instructions for piece in single[first : last + 1])
        most = None if (first, last) in smaller else alone * (1 - LEAST_GAIN)
        made = _streams(graph, lower_op, live, first, last)
        pieces += _thinned(p for p in made if most is None or p.instructions <= most)
        if on_event:
            on_event("search schedules", done + 1, len(found))
    return pieces


def _lean(
    graph: Graph, live: _Live, single: Sequence[Piece], leaner: LeanCandidates
) -> Iterator[Piece]:
    """Operators by themselves with less scratch, where that does not take too long."""
    most = LEAN_COST * sum(piece.instructions for piece in single)
    for n, op in enumerate(graph.ops):
        usual = single[n]
        if usual.choice is None or not usual.choice.scratch_bytes:
            continue
        found = [_single(live, n, one) for one in leaner(graph, op)]
        yield from _thinned(
            one
            for one in found
            if one.live_bytes < usual.live_bytes and one.instructions - usual.instructions <= most
        )


def _smaller(
    found: Sequence[tuple[int, int]], live: _Live, single: Sequence[Piece], lean: Sequence[Piece]
) -> list[tuple[int, int]]:
    """Runs with an operator that some schedule does in fewer bytes than by itself.

    No schedule is smaller than the largest, over the operators, of the least that any piece holds
    while it runs; what stays below that by itself needs no stream.
    """
    least = [piece.live_bytes for piece in single]
    for piece in lean:
        least[piece.first] = min(least[piece.first], piece.live_bytes)
    for first, last in found:
        held = live.outside(first, last)
        for n in range(first, last + 1):
            least[n] = min(least[n], held)
    floor = max(least)
    return [r for r in found if max(p.live_bytes for p in single[r[0] : r[1] + 1]) > floor]


def _single(live: _Live, n: int, choice: Choice | None) -> Piece:
    if choice is None:
        return Piece(n, n, None, 0, 0, None)
    count = _UNKNOWN if choice.instructions is None else choice.instructions
    return Piece(n, n, None, count, live.during(n, n, choice), choice)


def _streams(
    graph: Graph, lower_op: LowerOp, live: _Live, first: int, last: int
) -> Iterator[Piece]:
    for stream in streams(graph, first, last):
        choice = lower_op(graph, stream)
        if choice is not None and choice.instructions is not None:
            held = live.during(first, last, choice)
            yield Piece(first, last, stream, choice.instructions, held, choice)


def _thinned(pieces: Iterable[Piece]) -> list[Piece]:
    """Without pieces that another beats in both bytes and instructions."""
    kept: list[Piece] = []
    for piece in sorted(pieces, key=lambda p: (p.instructions, p.live_bytes)):
        if not kept or piece.live_bytes < kept[-1].live_bytes:
            kept.append(piece)
    return kept


def _fastest(graph: Graph, pieces: Sequence[Piece], limit: int | None) -> list[Piece] | None:
    """The path of fewest instructions whose pieces hold no more than ``limit`` bytes."""
    best: list[tuple[int, Piece | None] | None] = [(0, None), *[None] * len(graph.ops)]
    for piece in sorted(pieces, key=lambda p: (p.first, p.last, p.instructions)):
        begun = best[piece.first]
        if begun is None or (limit is not None and piece.live_bytes > limit):
            continue
        total = begun[0] + piece.instructions
        before = best[piece.last + 1]
        if before is None or total < before[0]:
            best[piece.last + 1] = (total, piece)
    path: list[Piece] = []
    at = len(graph.ops)
    while at > 0:
        step = best[at]
        if step is None or step[1] is None:
            return None
        path.append(step[1])
        at = step[1].first
    return path[::-1]


def _program(graph: Graph, path: Sequence[Piece]) -> Program:
    steps = (Step(piece.stream or graph.ops[piece.first], piece.choice) for piece in path)
    return assemble(graph, tuple(steps))


class _Live:
    """Which tensors live while a run of operators runs, whatever the others are cut into."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.root = {t: t for t in graph.inputs}
        self.first = dict.fromkeys(graph.inputs, -1)
        self.last: dict[int, int] = {}
        for n, op in enumerate(graph.ops):
            for i in op.inputs:
                if i != ABSENT and i in self.root:
                    self.last[self.root[i]] = n
            is_view = traits(op).view and op.inputs[0] in self.root
            for t in op.outputs:
                self.root[t] = self.root[op.inputs[0]] if is_view else t
                self.first.setdefault(self.root[t], n)
                self.last.setdefault(self.root[t], n)
        for t in graph.outputs:
            self.last[self.root[t]] = len(graph.ops)

    def during(self, first: int, last: int, choice: Choice) -> int:
        """Bytes that no plan can do without while these operators run as ``choice``."""
        outputs = {self.root[t] for t in self.graph.ops[last].outputs}
        alive = [
            t
            for t in set(self.root.values())
            if (self.first[t] < first or t in outputs) and self.last[t] >= first
        ]
        total = sum(self.bytes(t) for t in alive) + aligned(choice.scratch_bytes)
        return total - self.shared(first, last, choice)

    def outside(self, first: int, last: int) -> int:
        """Bytes that live around these operators however they run, in place or not."""
        outputs = {self.root[t] for t in self.graph.ops[last].outputs}
        around = {t for t in set(self.root.values()) - outputs if self.first[t] < first}
        dies = [self.bytes(t) for t in around if first <= self.last[t] <= last]
        stays = sum(self.bytes(t) for t in around if self.last[t] > last)
        return stays + max(sum(dies), sum(self.bytes(t) for t in outputs))

    def bytes(self, tensor: int) -> int:
        return aligned(self.graph.tensor(tensor).bytes)

    def shared(self, first: int, last: int, choice: Choice) -> int:
        """What input and output may share, because the input dies."""
        op, end = self.graph.ops[first], self.graph.ops[last]
        target = end.outputs[0]
        most = 0
        for position in {i for i, _ in choice.inplace}:
            source = self.root.get(op.inputs[position])
            if source is not None and self.last[source] <= last:
                size = self.bytes(target)
                most = max(most, size if size <= self.bytes(source) else 0)
        source = self.root.get(choice.call.ins[0])
        if choice.overlap is not None and source is not None and self.last[source] <= last:
            over = self.bytes(target) - min(aligned(choice.overlap), self.bytes(target))
            most = max(most, min(over, self.bytes(source)))
        return most
