"""Which rows of which tensor a stream computes, holds and drops in each of its steps.

Pure integers: a row r of an output needs rows r * stride - pad ... of the input. Walking from the
last operator to the first gives how far each inner tensor must have come after every step; walking
on in time gives the first row that is still needed. Nothing here knows bytes or kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import traits
from mcu_hybrid.ops.weighted import WEIGHTS

Range = tuple[int, int]  # rows from the first to before the second


@dataclass(frozen=True)
class Reach:
    """How an operator's rows depend on those of the maps that it reads."""

    stride: int
    pad: int
    span: int  # rows that one output row sees, dilation included
    height: int  # of the input

    def start(self, row: int) -> int:
        """The first input row that output row ``row`` and later ones see."""
        return min(max(row * self.stride - self.pad, 0), self.height)

    def end(self, rows: int) -> int:
        """The end of the input rows that the first ``rows`` output rows see."""
        if rows == 0:
            return 0
        return min(max((rows - 1) * self.stride - self.pad + self.span, 0), self.height)

    def padding(self, rows: Range) -> tuple[int, int]:
        """Padded rows above and below what these output rows see."""
        top = self.pad - rows[0] * self.stride
        bottom = (rows[1] - 1) * self.stride - self.pad + self.span - self.height
        return max(top, 0), max(bottom, 0)


@dataclass(frozen=True)
class Part:
    """One operator's work in one step: the rows that it makes."""

    op: int  # position in the run
    rows: Range


@dataclass(frozen=True)
class Step:
    """``parts`` in order; ``windows``: rows of each inner tensor that its buffer holds then.

    ``kept`` are the rows of a window that stay from the step before, where the window had begun
    at the second number.
    """

    parts: tuple[Part, ...]
    windows: dict[int, Range]
    kept: dict[int, tuple[Range, int]]


def reach_of(graph: Graph, op: Op) -> Reach:
    """How ``op`` reads its first input."""
    if not traits(op).windowed:
        return Reach(1, 0, 1, graph.tensor(op.outputs[0]).shape[1])
    _, height, width, _ = graph.tensor(op.inputs[0]).shape
    size = (height, width)
    kernel = kernel_of(graph, op)
    window = op.attrs.window
    pad = window.before(size, kernel)[0]
    return Reach(window.stride[0], pad, window.reach(kernel)[0], height)


def kernel_of(graph: Graph, op: Op) -> tuple[int, int]:
    """Height and width of a window's kernel."""
    if traits(op).weighted:
        shape = graph.tensor(op.inputs[WEIGHTS]).shape
        return shape[1], shape[2]
    height, width = op.attrs.kernel
    return int(height), int(width)


def steps_of(graph: Graph, run: Sequence[Op], rows: int, keep: bool) -> tuple[Step, ...]:
    """The steps that make all rows of the last output, ``rows`` at a time."""
    reach = [reach_of(graph, op) for op in run]
    readers = _readers(run)
    height = graph.tensor(run[-1].outputs[0]).shape[1]
    ends = [_ends(run, reach, readers, min(n, height)) for n in range(0, height + rows, rows)]
    if ends[-1][-1] == ends[-2][-1]:
        ends.pop()
    make = _kept_step if keep else _whole_step
    steps: list[Step] = []
    for before, after in pairwise(ends):
        last = steps[-1].windows if steps else {}
        steps.append(make(run, reach, readers, before, after, last))
    return tuple(steps)


def rows_made(graph: Graph, run: Sequence[Op], rows: int, keep: bool) -> list[int]:
    """How many rows each operator of a stream computes: some twice, those that none sees never."""
    made = [0] * len(run)
    for step in steps_of(graph, run, rows, keep):
        for part in step.parts:
            made[part.op] += part.rows[1] - part.rows[0]
    return made


Readers = dict[int, list[int]]  # inner tensor -> positions of its readers


def _readers(run: Sequence[Op]) -> Readers:
    inner = [op.outputs[0] for op in run[:-1]]
    return {t: [n for n, op in enumerate(run) if t in op.inputs] for t in inner}


def _ends(run: Sequence[Op], reach: Sequence[Reach], readers: Readers, rows: int) -> list[int]:
    """How many rows each operator has made when ``rows`` of the last one are done."""
    ends = [0] * len(run)
    ends[-1] = rows
    for n in range(len(run) - 2, -1, -1):
        ends[n] = max(reach[m].end(ends[m]) for m in readers[run[n].outputs[0]])
    return ends


def _kept_step(
    run: Sequence[Op],
    reach: Sequence[Reach],
    readers: Readers,
    before: list[int],
    after: list[int],
    last: dict[int, Range],
) -> Step:
    """New rows only; windows begin at the first row that any reader still needs."""
    windows, kept, first = {}, {}, list(before)
    for n, op in enumerate(run[:-1]):
        tensor = op.outputs[0]
        start = min(reach[m].start(before[m]) for m in readers[tensor])
        first[n] = max(before[n], start)  # rows that no window sees are left out
        windows[tensor] = (start, max(after[n], start))
        if tensor in last and start < before[n]:
            kept[tensor] = ((start, before[n]), last[tensor][0])
    parts = (Part(n, (first[n], after[n])) for n in range(len(run)) if first[n] < after[n])
    return Step(tuple(parts), windows, kept)


def _whole_step(
    run: Sequence[Op],
    reach: Sequence[Reach],
    readers: Readers,
    before: list[int],
    after: list[int],
    last: dict[int, Range],
) -> Step:
    """All rows that the new rows of the last output see, whatever was computed before."""
    made: list[Range] = [(0, 0)] * len(run)
    made[-1] = (before[-1], after[-1])
    for n in range(len(run) - 2, -1, -1):
        seen = [made[m] for m in readers[run[n].outputs[0]]]
        where = [reach[m] for m in readers[run[n].outputs[0]]]
        starts = [r.start(rows[0]) for r, rows in zip(where, seen, strict=True)]
        made[n] = (min(starts), max(r.end(rows[1]) for r, rows in zip(where, seen, strict=True)))
    windows = {op.outputs[0]: made[n] for n, op in enumerate(run[:-1])}
    parts = (Part(n, rows) for n, rows in enumerate(made) if rows[0] < rows[1])
    return Step(tuple(parts), windows, {})
