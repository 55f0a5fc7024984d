"""Which runs of operators can be one stream, and the ways to cut each into strips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mcu_hybrid.compiler.schedule.rows import reach_of, steps_of
from mcu_hybrid.compiler.schedule.stream import Stream
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops import traits

# Operators of a run: three or four blocks of expand, depthwise, project, add. The number of runs to
# price grows with it, and rows that are kept or computed again grow with each window. Not tuned.
LONGEST = 12
# Of the last output, made in a step: few rows hold little and pay for many borders. Steps of about
# a third, for each is priced for every run. Not tuned.
ROWS = (1, 2, 3, 4, 6, 8, 12, 16)


def runs(graph: Graph) -> Iterator[tuple[int, int]]:
    """First and last position of every run that can be a stream.

    One operator alone is a run where it is a window: its kernel's scratch shrinks with the strips.
    """
    for first in range(len(graph.ops)):
        made: set[int] = set()
        for last in range(first, min(first + LONGEST, len(graph.ops))):
            op = graph.ops[last]
            if not _is_streamable(graph, op):
                break
            made.update(op.outputs)
            if (last > first or traits(op).windowed) and _is_closed(graph, first, last, made):
                yield first, last


def _is_streamable(graph: Graph, op: Op) -> bool:
    """True for maps whose rows depend on rows of the inputs, one after the other."""
    maps = [i for i in op.inputs if i != ABSENT and not graph.tensor(i).is_const]
    shapes = [graph.tensor(i).shape for i in (*maps, *op.outputs)]
    if len(op.outputs) != 1 or not maps or any(len(shape) != 4 for shape in shapes):
        return False
    if traits(op).windowed:
        return maps[0] == op.inputs[0] and _sees_the_map(graph, op)
    if not traits(op).pointwise or len(set(shapes)) != 1:
        return False
    _, _, width, channels = shapes[0]
    constants = [graph.tensor(i).shape for i in op.inputs if i not in maps and i != ABSENT]
    # Kernels that run along both operands may read words: rows must begin at words.
    return width * channels % 4 == 0 and all(_is_same_in_rows(shape) for shape in constants)


def _is_same_in_rows(shape: tuple[int, ...]) -> bool:
    return len(shape) < 3 or shape[-3] == 1


def _sees_the_map(graph: Graph, op: Op) -> bool:
    """True where each output row sees some row of the map: strips must not be padding only."""
    reach, rows = reach_of(graph, op), graph.tensor(op.outputs[0]).shape[1]
    starts = [row * reach.stride - reach.pad for row in range(rows)]
    return all(start < reach.height and start + reach.span > 0 for start in starts)


def _is_closed(graph: Graph, first: int, last: int, made: set[int]) -> bool:
    """True where nothing outside reads what the run makes, but its last output."""
    run = graph.ops[first : last + 1]
    inner = made - set(run[-1].outputs)
    if inner.intersection(graph.outputs) or graph.tensor(run[-1].outputs[0]).shape[1] < 2:
        return False
    read_inside = {i for op in run for i in op.inputs}
    rest = (*graph.ops[:first], *graph.ops[last + 1 :])
    return inner <= read_inside and not any(inner.intersection(op.inputs) for op in rest)


def streams(graph: Graph, first: int, last: int) -> Iterator[Stream]:
    """The ways to cut a run that make sense: two steps or more, no empty strips."""
    run = graph.ops[first : last + 1]
    height = graph.tensor(run[-1].outputs[0]).shape[1]
    for rows in ROWS:
        if 2 * rows > height:
            break
        for keep in (True, False) if len(run) > 1 else (True,):
            if all(_has_rows(graph, run, rows, keep)):
                yield stream_of(graph, first, last, rows=rows, keep=keep)


def _has_rows(graph: Graph, run: Sequence[Op], rows: int, keep: bool) -> Iterator[bool]:
    """Whether each part of each step sees a row of its map, and each step makes some."""
    reach = [reach_of(graph, op) for op in run]
    for step in steps_of(graph, run, rows, keep):
        yield step.parts[-1].op == len(run) - 1
        for part in step.parts:
            yield reach[part.op].start(part.rows[0]) < reach[part.op].end(part.rows[1])


def stream_of(graph: Graph, first: int, last: int, *, rows: int, keep: bool) -> Stream:
    """A run as a stream; its first map comes first, because the output may overlap it."""
    run = graph.ops[first : last + 1]
    made = {output for op in run for output in op.outputs}
    read = [i for op in run for i in op.inputs if i != ABSENT and i not in made]
    ordered = [run[0].inputs[0], *read]
    if graph.tensor(ordered[0]).is_const:
        ordered = [next(i for i in read if not graph.tensor(i).is_const), *read]
    return Stream(first, run, tuple(dict.fromkeys(ordered)), rows, keep)
