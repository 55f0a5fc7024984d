"""The memory plan: where every activation and scratch buffer lies in the one static arena.

A pure function of the graph and its steps. Time is counted in layers, as the firmware counts them:
the operators that run, without views. Layer i runs at time i. Graph inputs live from time -1, graph
outputs to the first layer of the next segment, those of the last one to time n. Two buffers may
share bytes only when no time sees both. Views alias their input; an operator that allows it
overwrites an input that dies with it. Nothing here writes C.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcu_hybrid.compiler.arena.buffers import (
    Buffer,
    buffers_of,
    joinable,
    overlaps_of,
    overwrites_of,
)
from mcu_hybrid.compiler.arena.place import place
from mcu_hybrid.compiler.arena.place_sat import lowest
from mcu_hybrid.compiler.arena.spans import (
    NO_OVERWRITES,
    Overlaps,
    Overwrites,
    Span,
    height,
    live_bound,
    live_bytes,
)
from mcu_hybrid.compiler.lowering import Steps
from mcu_hybrid.graph.types import Graph


@dataclass(frozen=True)
class Lifetime:
    """One row of the plan; ``tensor`` is the root tensor of a buffer, or None for scratch."""

    label: str
    tensor: int | None
    first: int
    last: int
    offset: int
    bytes: int


@dataclass(frozen=True)
class MemoryPlan:
    """Byte offsets in the arena.

    ``offsets`` covers graph inputs and operator outputs, ``scratch_offsets`` the layers that ask
    for scratch. ``lower_bound_bytes`` is proved: no plan of these layers in this order is smaller.
    ``peak_op`` is the fullest layer.
    """

    offsets: dict[int, int]
    scratch_offsets: dict[int, int]
    scratch_bytes: int
    arena_bytes: int
    lower_bound_bytes: int
    peak_op: int
    lifetimes: tuple[Lifetime, ...]

    @property
    def is_optimal(self) -> bool:
        """True where no plan of these layers in this order is smaller."""
        return self.arena_bytes == self.lower_bound_bytes


@dataclass(frozen=True)
class _Try:
    """Buffers, what may overlap, and where they lie; ``joins`` are the layers that overwrite."""

    joins: frozenset[int]
    buffers: tuple[Buffer, ...]
    overlaps: Overlaps
    offsets: tuple[int, ...]
    overwrites: Overwrites = NO_OVERWRITES

    @property
    def spans(self) -> list[Span]:
        return [buffer.span for buffer in self.buffers]

    @property
    def arena(self) -> int:
        return height(self.spans, self.offsets)


def plan(graph: Graph, steps: Steps) -> MemoryPlan:
    """Place all activations and scratch; the smallest arena of several tries, 16-byte aligned.

    ``steps`` say what each operator runs as (scratch, in place).
    """
    best, bound = _proved(graph, steps, _search(graph, steps))
    buffers, offsets = best.buffers, best.offsets
    alive = list(live_bytes(best.spans, best.overlaps, best.overwrites))
    peak_op = max(alive, key=lambda item: item[1], default=(0, 0))[0]
    tensors = {t: at for b, at in zip(buffers, offsets, strict=True) for t in b.tensors}
    scratch = {
        b.scratch_of: at for b, at in zip(buffers, offsets, strict=True) if b.scratch_of is not None
    }
    return MemoryPlan(
        offsets=tensors,
        scratch_offsets=scratch,
        scratch_bytes=max((b.span.bytes for b in buffers if b.scratch_of is not None), default=0),
        arena_bytes=best.arena,
        lower_bound_bytes=bound,
        peak_op=max(peak_op, 0),
        lifetimes=tuple(_lifetimes(graph, buffers, offsets)),
    )


def _search(graph: Graph, steps: Steps) -> _Try:
    """The smallest arena of some ways to overwrite inputs.

    Overwriting an input joins two lifetimes, which may keep a large buffer alive for a small
    output: with it always, only between equal sizes, and never; then layer by layer, as long as
    that makes the arena smaller.
    """
    can, equal = joinable(graph, steps)
    tries = [_try(graph, steps, joins) for joins in (can, equal, frozenset[int]())]
    bound = min(live_bound(t.spans, t.overlaps) for t in tries)
    best = min(tries, key=lambda t: t.arena)
    for time in sorted(can):
        if best.arena <= bound:
            break
        found = _try(graph, steps, best.joins ^ {time})
        bound = min(bound, live_bound(found.spans, found.overlaps))
        best = min(best, found, key=lambda t: t.arena)
    return best


def _proved(graph: Graph, steps: Steps, found: _Try) -> tuple[_Try, int]:
    """The best plan that is known, and the bytes below which there is none.

    Where ``found`` is above what the fullest layer needs, the optimiser places every tensor by
    itself and decides which inputs are overwritten; ``found`` is one of the plans it chooses from.
    """
    buffers = tuple(buffers_of(graph, steps, frozenset()))
    overlaps = overlaps_of(graph, steps, buffers)
    overwrites = overwrites_of(graph, steps, buffers)
    spans = [buffer.span for buffer in buffers]
    if found.arena <= live_bound(spans, overlaps, overwrites):
        return found, found.arena
    lies = {key: at for b, at in zip(found.buffers, found.offsets, strict=True) for key in b.keys}
    best = lowest(spans, [lies[b.keys[0]] for b in buffers], overlaps, overwrites)
    if best.height_bytes < found.arena:
        offsets = tuple(best.offsets)
        found = _Try(frozenset(), buffers, overlaps, offsets, overwrites)
    return found, best.lower_bound_bytes


def _try(graph: Graph, steps: Steps, joins: frozenset[int]) -> _Try:
    buffers = tuple(buffers_of(graph, steps, joins))
    overlaps = overlaps_of(graph, steps, buffers)
    return _Try(joins, buffers, overlaps, tuple(place([b.span for b in buffers], overlaps)))


def _lifetimes(
    graph: Graph, buffers: Sequence[Buffer], offsets: Sequence[int]
) -> Iterator[Lifetime]:
    rows = sorted(zip(buffers, offsets, strict=True), key=lambda row: (row[0].span.first, row[1]))
    for buffer, offset in rows:
        tensor = buffer.tensors[0] if buffer.tensors else None
        if tensor is None:
            label = f"scratch of op {buffer.scratch_of}"
        else:
            label = graph.tensor(tensor).name
        span = buffer.span
        yield Lifetime(label, tensor, span.first, span.last, offset, span.bytes)
