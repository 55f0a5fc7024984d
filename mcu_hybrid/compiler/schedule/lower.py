"""A stream as calls: each part of each step is its operator on a map of a few rows.

The kernels are chosen for the small maps as for whole ones, so every core's own kernels serve; the
padding above and below a strip is explicit, and is there only where the map ends. Here too: the
buffers within the stream's scratch, and how far the output may overlap the first input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mcu_hybrid.compiler.arena.place import place
from mcu_hybrid.compiler.arena.spans import Span, height
from mcu_hybrid.compiler.schedule.call import MOVE, Act, KernelAct, MoveAct, Place, StreamCall
from mcu_hybrid.compiler.schedule.rows import (
    Part,
    Range,
    Reach,
    Step,
    kernel_of,
    reach_of,
    steps_of,
)
from mcu_hybrid.compiler.schedule.stream import Stream
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops import traits
from mcu_hybrid.ops.base import KernelCall

LowerOne = Callable[[Graph, Op], Choice | None]


class Strips:
    """Remembers what strips become: streams of a search share most of theirs."""

    def __init__(self, lower_one: LowerOne) -> None:
        self.lower_one = lower_one
        # The objects are kept with the result, so that their identities stay theirs.
        self.found: dict[tuple[int, ...], tuple[Choice, Graph, Op]] = {}

    def lower(self, graph: Graph, op: Op, seen: Range, rows: Range, padding: Range) -> Choice:
        """``op`` as it runs on these rows."""
        sizes = seen[1] - seen[0], rows[1] - rows[0], *padding
        key = id(graph.tensors), id(op), *sizes
        if key not in self.found:
            choice = self.lower_one(*strip(graph, op, seen, rows, padding))
            assert choice is not None, f"{op.kind} is a view"
            self.found[key] = choice, graph, op
        return self.found[key][0]


# Executed instructions, measured on mps2-an500.
_CALL, _MOVE, _MOVED_BYTE = 14, 24, 0.35


def lower_stream(graph: Graph, stream: Stream, strips: Strips) -> Choice:
    """The stream's calls, scratch and cost; ``strips`` lowers a part on its small map."""
    return _Strips(graph, stream, strips).choice()


class _Strips:
    """The parts of one stream while they are put together."""

    def __init__(self, graph: Graph, stream: Stream, strips: Strips) -> None:
        self.graph, self.stream = graph, stream
        self.run = stream.run
        self.strips = strips
        self.reach = [reach_of(graph, part) for part in self.run]
        self.steps = steps_of(graph, self.run, stream.rows, stream.keep)
        self.inner = {part.outputs[0] for part in self.run[:-1]}
        self.lowered: dict[Part, Choice] = {}

    def choice(self) -> Choice:
        """Everything that the plan, the emitter and the search ask for."""
        scratch: dict[int, int] = {}
        for step in self.steps:
            for part in step.parts:
                found = self.lower(part)
                scratch[part.op] = max(scratch.get(part.op, 0), found.scratch_bytes)
        at, size = self.layout(scratch)
        acts = tuple(tuple(self.acts(step, at)) for step in self.steps)
        calls = [act.call for step in acts for act in step if isinstance(act, KernelAct)]
        stems = {stem for call in calls for stem in (call.source, *call.also)}
        moves = any(isinstance(act, MoveAct) for step in acts for act in step)
        stems |= {MOVE} if moves else set()
        ordered = sorted(stems)
        ins = tuple(i for i in self.stream.inputs if not self.is_const(i))
        call = StreamCall(acts, ins, self.stream.outputs, ordered[0], tuple(ordered[1:]))
        forms: dict[str, int] = {}
        for n in range(len(self.run)):
            one = next(choice for part, choice in self.lowered.items() if part.op == n)
            for form, count in one.forms.items():
                forms[form] = forms.get(form, 0) + count
        return Choice(call, size, (), self.cost(acts), forms, self.overlap())

    def is_const(self, tensor: int) -> bool:
        return self.graph.tensor(tensor).is_const

    def row_bytes(self, tensor: int) -> int:
        """Bytes of one row of a map."""
        found = self.graph.tensor(tensor)
        return found.bytes // found.shape[1]

    def seen(self, part: Part) -> Range:
        """Rows of its maps that a part reads."""
        reach: Reach = self.reach[part.op]
        return reach.start(part.rows[0]), reach.end(part.rows[1])

    def lower(self, part: Part) -> Choice:
        """The part's operator on its rows only."""
        if part not in self.lowered:
            padding = self.reach[part.op].padding(part.rows)
            self.lowered[part] = self.strips.lower(
                self.graph, self.run[part.op], self.seen(part), part.rows, padding
            )
        return self.lowered[part]

    def layout(self, scratch: dict[int, int]) -> tuple[dict[int | str, int], int]:
        """Offsets of windows (by tensor) and of the kernels' scratch, and the bytes of all."""
        spans: dict[int | str, Span] = {}
        count = len(self.run)
        for n, op in enumerate(self.run[:-1]):
            tensor = op.outputs[0]
            rows = max(end - start for start, end in (s.windows[tensor] for s in self.steps))
            first, last = n, max(m for m, other in enumerate(self.run) if tensor in other.inputs)
            if self.stream.keep:
                first, last = 0, count
            spans[tensor] = Span(first, last, rows * self.row_bytes(tensor))
        for n, size in scratch.items():
            if size:
                spans[f"scratch {n}"] = Span(n, n, size)
        offsets = place(list(spans.values()))
        size = height(list(spans.values()), offsets)
        return dict(zip(spans, offsets, strict=True)), size

    def acts(self, step: Step, at: dict[int | str, int]) -> list[Act]:
        """Moves of what is kept, then the calls."""
        acts: list[Act] = []
        for tensor, (rows, began) in step.kept.items():
            if rows[0] > began:
                size = self.row_bytes(tensor)
                source = at[tensor] + (rows[0] - began) * size
                acts.append(MoveAct(at[tensor], source, (rows[1] - rows[0]) * size))
        for part in step.parts:
            found = self.lower(part)
            assert isinstance(found.call, KernelCall)
            ins = (self.place(step, i, self.seen(part)[0], at) for i in found.call.ins)
            outs = (self.place(step, i, part.rows[0], at) for i in found.call.outs)
            key = f"scratch {part.op}"
            scratch = Place(None, at[key]) if found.scratch_bytes else None
            acts.append(KernelAct(found.call, (*ins, *outs), scratch))
        return acts

    def place(self, step: Step, tensor: int, row: int, at: dict[int | str, int]) -> Place:
        """Where a row lies: in a window, in a whole map, or in a constant."""
        if self.is_const(tensor):
            return Place(tensor, 0)
        if tensor in self.inner:
            return Place(
                None, at[tensor] + (row - step.windows[tensor][0]) * self.row_bytes(tensor)
            )
        return Place(tensor, row * self.row_bytes(tensor))

    def cost(self, acts: tuple[tuple[Act, ...], ...]) -> int | None:
        """Executed instructions, or None where a kernel's are not known."""
        total = 0.0
        for step, done in zip(self.steps, acts, strict=True):
            for act in done:
                total += _MOVE + _MOVED_BYTE * act.bytes if isinstance(act, MoveAct) else _CALL
            for part in step.parts:
                count = self.lower(part).instructions
                if count is None:
                    return None
                total += count
        return round(total)

    def overlap(self) -> int | None:
        """How far input 0 must lie above the output: rows are written after others are read."""
        source, target = self.stream.inputs[0], self.stream.outputs[0]
        last = self.run[-1]
        if self.stream.inputs.count(source) > 1 or self.is_const(source):
            return None
        in_bytes, out_bytes = self.row_bytes(source), self.row_bytes(target)
        # An element-wise last operator reads each byte before it writes on it, or below it.
        meets = source in last.inputs and (traits(last).windowed or in_bytes != out_bytes)
        later = self.graph.tensor(source).shape[1]
        distance = 0
        for step in reversed(self.steps):
            reads = [self.seen(p)[0] for p in step.parts if source in self.run[p.op].inputs]
            now = [self.seen(p)[0] for p in step.parts if p.op == len(self.run) - 1]
            lowest = min([later, *(now if meets else [])])
            done = step.parts[-1].rows[1]
            if lowest * in_bytes < self.graph.tensor(source).bytes:
                distance = max(distance, done * out_bytes - lowest * in_bytes)
            later = min([later, *reads])
        return distance


def strip(graph: Graph, op: Op, seen: Range, rows: Range, padding: Range) -> tuple[Graph, Op]:
    """``op`` that makes these output rows from the rows that it sees, as an operator of its own."""
    tensors = list(graph.tensors)
    maps = [i for i in op.inputs if i != ABSENT and not tensors[i].is_const]
    for index, count in [(i, seen[1] - seen[0]) for i in maps] + [
        (i, rows[1] - rows[0]) for i in op.outputs
    ]:
        old = tensors[index]
        tensors[index] = replace(old, shape=(1, count, *old.shape[2:]))
    if traits(op).windowed:
        window = op.attrs.window
        source = graph.tensor(op.inputs[0]).shape
        kernel = kernel_of(graph, op)
        size = (source[1], source[2])
        left, right = window.before(size, kernel)[1], window.after(size, kernel)[1]
        window = replace(window, explicit=(*padding, left, right))
        op = replace(op, attrs=replace(op.attrs, window=window))
    return graph.with_(tensors=tuple(tensors)), op
