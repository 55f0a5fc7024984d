"""What the memory plan places: buffers of tensors that share a place, and which may overlap.

Views alias their input. An operator that allows it may overwrite an input that dies with it, or
read ahead of what it writes (an overlap). Not here: offsets (place.py) and the choice (plan.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcu_hybrid.compiler.arena.spans import Overlaps, Overwrites, Span, aligned
from mcu_hybrid.compiler.lowering import Steps
from mcu_hybrid.compiler.schedule.stream import Work
from mcu_hybrid.graph.types import ABSENT, Graph

Pairs = tuple[tuple[int, int], ...]  # (input position, output position) that may share


@dataclass(frozen=True)
class Buffer:
    """Tensors that share one place, or the scratch of one layer."""

    span: Span
    tensors: tuple[int, ...]
    scratch_of: int | None = None

    @property
    def keys(self) -> tuple[tuple[str, int], ...]:
        """What lies here, by names that other ways to share places use too."""
        if self.scratch_of is not None:
            return (("scratch", self.scratch_of),)
        return tuple(("tensor", tensor) for tensor in self.tensors)


def joinable(graph: Graph, steps: Steps) -> tuple[frozenset[int], frozenset[int]]:
    """Layers that may overwrite an input, and those of them whose output is as large."""
    can, equal = set(), set()
    for time, step in zip(_times(steps), steps, strict=True):
        op, choice = step.op, step.kernel
        if time is None or choice is None or not choice.inplace:
            continue
        can.add(time)
        sizes = [(graph.tensor(op.inputs[i]).bytes, op.outputs[o]) for i, o in choice.inplace]
        if any(size == graph.tensor(output).bytes for size, output in sizes):
            equal.add(time)
    return frozenset(can), frozenset(equal)


def buffers_of(graph: Graph, steps: Steps, joins: frozenset[int]) -> list[Buffer]:
    """Join tensors that share a place: views, and the in-place outputs of the layers ``joins``."""
    times = _times(steps)
    uses = _last_uses(graph, steps, times)
    root: dict[int, int] = {t: t for t in graph.inputs}
    first: dict[int, int] = dict.fromkeys(graph.inputs, -1)
    for time, step in zip(times, steps, strict=True):
        op, choice = step.op, step.kernel
        if time is None or choice is None:
            if op.inputs[0] in root:  # else a view of a constant, which lies with the constant
                root[op.outputs[0]] = root[op.inputs[0]]
            continue
        pairs = choice.inplace if time in joins else ()
        shared = _in_place(graph, op, pairs, time, root, uses)
        for tensor in op.outputs:
            root[tensor] = root[shared[tensor]] if tensor in shared else tensor
            first.setdefault(root[tensor], time)
    groups: dict[int, list[int]] = {}
    for tensor, place_of in root.items():
        groups.setdefault(place_of, []).append(tensor)
    buffers = []
    for place_of, group in groups.items():
        # A result that nothing reads is written all the same: it lives at its own layer.
        last = max(first[place_of], *(uses.get(t, -1) for t in group))
        size = max(graph.tensor(t).bytes for t in group)
        buffers.append(Buffer(Span(first[place_of], last, size), tuple(group)))
    return buffers + _scratch(steps, times)


def overlaps_of(graph: Graph, steps: Steps, buffers: Sequence[Buffer]) -> Overlaps:
    """Pairs of buffers (input that dies, output that is born) whose layer lets them overlap."""
    of = {tensor: n for n, buffer in enumerate(buffers) for tensor in buffer.tensors}
    overlaps: dict[tuple[int, int], int] = {}
    for time, step in zip(_times(steps), steps, strict=True):
        op, choice = step.op, step.kernel
        if time is None or choice is None or choice.overlap is None:
            continue
        source, target = of.get(op.inputs[0]), of[op.outputs[0]]
        if source is None or source == target:
            continue
        read, written = buffers[source].span, buffers[target].span
        if read.last == written.first == time:
            overlaps[source, target] = min(aligned(choice.overlap), aligned(written.bytes))
    return overlaps


def overwrites_of(graph: Graph, steps: Steps, buffers: Sequence[Buffer]) -> Overwrites:
    """Pairs of buffers (input that dies, output that is born) that may begin at one offset."""
    times = _times(steps)
    uses = _last_uses(graph, steps, times)
    root = {tensor: buffer.tensors[0] for buffer in buffers for tensor in buffer.tensors}
    of = {tensor: n for n, buffer in enumerate(buffers) for tensor in buffer.tensors}
    pairs = set()
    for time, step in zip(times, steps, strict=True):
        op, choice = step.op, step.kernel
        if time is None or choice is None:
            continue
        for pair in choice.inplace:
            if _may_overwrite(graph, op, choice.inplace, pair, time, root, uses):
                pairs.add((of[op.inputs[pair[0]]], of[op.outputs[pair[1]]]))
    return frozenset(pairs)


def _times(steps: Steps) -> list[int | None]:
    """The layer number of each operator, None for views."""
    count = iter(range(len(steps)))
    return [None if step.kernel is None else next(count) for step in steps]


def _ends(steps: Steps) -> list[int]:
    """For each step, the number of the layer before which its segment ends."""
    ends: list[int] = []
    layer = 0
    for n, step in enumerate(steps):
        layer += step.kernel is not None
        if step.cut is not None:
            ends += [layer] * (n + 1 - len(ends))
    return ends + [layer] * (len(steps) - len(ends))


def _scratch(steps: Steps, times: Sequence[int | None]) -> list[Buffer]:
    return [
        Buffer(Span(time, time, step.kernel.scratch_bytes), (), time)
        for step, time in zip(steps, times, strict=True)
        if time is not None and step.kernel is not None and step.kernel.scratch_bytes > 0
    ]


def _last_uses(graph: Graph, steps: Steps, times: Sequence[int | None]) -> dict[int, int]:
    """Last time at which a tensor's bytes are read, through views too.

    The host reads a graph output before the next segment begins: at the number of its first layer;
    after the last segment, at that of all layers.
    """
    made = {t: end for step, end in zip(steps, _ends(steps), strict=True) for t in step.op.outputs}
    layers = len(times) - times.count(None)
    uses = {output: made.get(output, layers) for output in graph.outputs}
    for step, time in reversed(list(zip(steps, times, strict=True))):
        op = step.op
        if time is None:
            read, last = op.inputs[:1], uses.get(op.outputs[0], -1)
        else:
            read, last = op.inputs, time
        for tensor in read:
            uses[tensor] = max(uses.get(tensor, -1), last)
    return uses


def _in_place(
    graph: Graph, op: Work, pairs: Pairs, time: int, root: dict[int, int], uses: dict[int, int]
) -> dict[int, int]:
    """Output tensor -> the input tensor whose place it takes."""
    shared: dict[int, int] = {}
    for position, output in pairs:
        source, target = op.inputs[position], op.outputs[output]
        if target in shared or source in shared.values():
            continue
        if _may_overwrite(graph, op, pairs, (position, output), time, root, uses):
            shared[target] = source
    return shared


def _may_overwrite(
    graph: Graph,
    op: Work,
    pairs: Pairs,
    pair: tuple[int, int],
    time: int,
    root: dict[int, int],
    uses: dict[int, int],
) -> bool:
    """True where nothing needs the input's bytes any more as the output is written."""
    source, target = op.inputs[pair[0]], op.outputs[pair[1]]
    if source not in root:
        return False
    place_of = root[source]
    dies = all(uses.get(t, -1) <= time for t, r in root.items() if r == place_of)
    # The same bytes read through another operand must be read in the same order.
    others = [p for p, t in enumerate(op.inputs) if root.get(t, ABSENT) == place_of]
    in_step = all((p, pair[1]) in pairs for p in others)
    return dies and in_step and graph.tensor(target).bytes <= graph.tensor(source).bytes
