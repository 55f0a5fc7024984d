"""The memory plan: where every activation and scratch buffer lies in the one static arena.

A pure function of the graph. Time is counted in layers, as the firmware counts them: the operators
that run, without views. Layer i runs at time i, graph inputs live from time -1, graph outputs to
time n. Two buffers may share bytes only when no time sees both. Views alias their input; an
operator that allows it overwrites an input that dies with it. Nothing here writes C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mcu_hybrid.codegen.lowering import Lowered, lower_graph
from mcu_hybrid.graph.types import ABSENT, Graph, Op

ALIGN = 16
Pairs = tuple[tuple[int, int], ...]  # (input position, output position) that may share
PROMOTIONS = 64  # tries of the search that follows the fixed orders


@dataclass(frozen=True)
class Span:
    """``bytes`` that are needed from time ``first`` to time ``last``, both included."""

    first: int
    last: int
    bytes: int

    def meets(self, other: Span) -> bool:
        """True where some time sees both."""
        return self.first <= other.last and other.first <= self.last


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
    for scratch. ``lower_bound_bytes`` is what the fullest layer needs: no plan is smaller.
    ``peak_op`` is the fullest layer.
    """

    offsets: dict[int, int]
    scratch_offsets: dict[int, int]
    scratch_bytes: int
    arena_bytes: int
    lower_bound_bytes: int
    peak_op: int
    lifetimes: tuple[Lifetime, ...]


@dataclass(frozen=True)
class _Buffer:
    """Tensors that share one place, or the scratch of one layer."""

    span: Span
    tensors: tuple[int, ...]
    scratch_of: int | None = None


def plan(graph: Graph, lowered: Lowered | None = None) -> MemoryPlan:
    """Place all activations and scratch; the smallest arena of several tries, 16-byte aligned.

    ``lowered`` says what each operator runs as (scratch, in place); None: the reference kernels.
    """
    lowered = lower_graph(graph) if lowered is None else lowered
    tries = [_buffers(graph, lowered, rule) for rule in _IN_PLACE_RULES]
    placed = [(place([b.span for b in buffers]), buffers) for buffers in tries]
    offsets, buffers = min(placed, key=lambda item: _height(item[0], item[1]))
    spans = [b.span for b in buffers]
    bound = min(max((n for _, n in _live_bytes([b.span for b in t])), default=0) for t in tries)
    peak_op = max(_live_bytes(spans), key=lambda item: item[1], default=(0, 0))[0]
    tensors = {t: at for b, at in zip(buffers, offsets, strict=True) for t in b.tensors}
    scratch = {
        b.scratch_of: at for b, at in zip(buffers, offsets, strict=True) if b.scratch_of is not None
    }
    return MemoryPlan(
        offsets=tensors,
        scratch_offsets=scratch,
        scratch_bytes=max((b.span.bytes for b in buffers if b.scratch_of is not None), default=0),
        arena_bytes=_height(offsets, buffers),
        lower_bound_bytes=bound,
        peak_op=max(peak_op, 0),
        lifetimes=tuple(_lifetimes(graph, buffers, offsets)),
    )


def place(spans: Sequence[Span]) -> list[int]:
    """Offset of each span, multiples of 16; the lowest total height that the tries find."""
    bound = max((n for _, n in _live_bytes(spans)), default=0)
    best: list[int] = []
    best_height = -1
    best_order: list[int] = []
    for key in _ORDERS:
        order = [n for _, n in sorted((key(span), n) for n, span in enumerate(spans))]
        offsets = _greedy(spans, order)
        height = _top(spans, offsets)
        if best_height < 0 or height < best_height:
            best, best_height, best_order = offsets, height, order
        if best_height <= bound:
            return best
    return _promote(spans, best_order, best, best_height, bound)


def aligned(size: int) -> int:
    """``size`` rounded up to the arena's alignment."""
    return -(-size // ALIGN) * ALIGN


def _promote(
    spans: Sequence[Span], order: list[int], best: list[int], height: int, bound: int
) -> list[int]:
    """Move the span that ends highest to the front and place again, while tries are left."""
    seen = {tuple(order)}
    offsets = best
    for _ in range(PROMOTIONS):
        worst = max(order, key=lambda n: (offsets[n] + aligned(spans[n].bytes), n))
        order = [worst, *(n for n in order if n != worst)]
        if tuple(order) in seen:
            break
        seen.add(tuple(order))
        offsets = _greedy(spans, order)
        if _top(spans, offsets) < height:
            best, height = offsets, _top(spans, offsets)
        if height <= bound:
            break
    return best


def _greedy(spans: Sequence[Span], order: Sequence[int]) -> list[int]:
    """Place in this order, each into the tightest gap between what it meets, else on top."""
    offsets = [-1] * len(spans)
    done: list[int] = []
    for n in order:
        size = aligned(spans[n].bytes)
        taken = sorted(
            (offsets[m], offsets[m] + aligned(spans[m].bytes))
            for m in done
            if spans[m].meets(spans[n])
        )
        end, best, best_gap = 0, -1, -1
        for start, stop in taken:
            gap = start - end
            if gap >= size and (best < 0 or gap < best_gap):
                best, best_gap = end, gap
            end = max(end, stop)
        offsets[n] = best if best >= 0 else end
        done.append(n)
    return offsets


# Sort keys: small first. Size wins mostly; the others win where long-lived buffers lie in the way.
_ORDERS: tuple[Callable[[Span], tuple[int, ...]], ...] = (
    lambda s: (-s.bytes, s.first),
    lambda s: (-s.bytes * (s.last - s.first + 1), s.first),
    lambda s: (-(s.last - s.first), -s.bytes),
    lambda s: (s.first, -s.bytes),
    lambda s: (-s.last, -s.bytes),
)

# Overwriting an input joins two lifetimes, which may keep a large buffer alive for a small output:
# with it always, only between equal sizes, and never.
_IN_PLACE_RULES: tuple[Callable[[int, int], bool], ...] = (
    lambda new, old: new <= old,
    lambda new, old: new == old,
    lambda new, old: False,
)


def _buffers(graph: Graph, lowered: Lowered, allowed: Callable[[int, int], bool]) -> list[_Buffer]:
    """Join tensors that share a place (views, and in-place outputs that ``allowed`` agrees to)."""
    times = _times(lowered)
    uses = _last_uses(graph, times)
    root: dict[int, int] = {t: t for t in graph.inputs}
    first: dict[int, int] = dict.fromkeys(graph.inputs, -1)
    for op, time, choice in zip(graph.ops, times, lowered, strict=True):
        if time is None or choice is None:
            if op.inputs[0] in root:  # else a view of a constant, which lies with the constant
                root[op.outputs[0]] = root[op.inputs[0]]
            continue
        shared = _in_place(graph, op, choice.inplace, time, root, uses, allowed)
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
        buffers.append(_Buffer(Span(first[place_of], last, size), tuple(group)))
    return buffers + _scratch(lowered, times)


def _times(lowered: Lowered) -> list[int | None]:
    """The layer number of each operator, None for views."""
    count = iter(range(len(lowered)))
    return [None if call is None else next(count) for call in lowered]


def _scratch(lowered: Lowered, times: Sequence[int | None]) -> list[_Buffer]:
    return [
        _Buffer(Span(time, time, choice.scratch_bytes), (), time)
        for choice, time in zip(lowered, times, strict=True)
        if time is not None and choice is not None and choice.scratch_bytes > 0
    ]


def _last_uses(graph: Graph, times: Sequence[int | None]) -> dict[int, int]:
    """Last time at which a tensor's bytes are read, through views too; n for graph outputs."""
    end = len(times) - times.count(None)
    uses = dict.fromkeys(graph.outputs, end)
    for op, time in reversed(list(zip(graph.ops, times, strict=True))):
        if time is None:
            read, last = op.inputs[:1], uses.get(op.outputs[0], -1)
        else:
            read, last = op.inputs, time
        for tensor in read:
            uses[tensor] = max(uses.get(tensor, -1), last)
    return uses


def _in_place(
    graph: Graph,
    op: Op,
    pairs: Pairs,
    time: int,
    root: dict[int, int],
    uses: dict[int, int],
    allowed: Callable[[int, int], bool],
) -> dict[int, int]:
    """Output tensor -> the input tensor whose place it takes."""
    shared: dict[int, int] = {}
    for position, output in pairs:
        source, target = op.inputs[position], op.outputs[output]
        if source not in root or target in shared or source in shared.values():
            continue
        place_of = root[source]
        dies = all(uses.get(t, -1) <= time for t, r in root.items() if r == place_of)
        # The same bytes read through another operand must be read in the same order.
        others = [p for p, t in enumerate(op.inputs) if root.get(t, ABSENT) == place_of]
        in_step = all((p, output) in pairs for p in others)
        if dies and in_step and allowed(graph.tensor(target).bytes, graph.tensor(source).bytes):
            shared[target] = source
    return shared


def _live_bytes(spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
    """(time, bytes alive then) for every time at which something begins to live."""
    for time in sorted({s.first for s in spans}):
        yield time, sum(aligned(s.bytes) for s in spans if s.first <= time <= s.last)


def _top(spans: Sequence[Span], offsets: Sequence[int]) -> int:
    ends = (at + aligned(s.bytes) for s, at in zip(spans, offsets, strict=True))
    return max(ends, default=0)


def _height(offsets: Sequence[int], buffers: Sequence[_Buffer]) -> int:
    return _top([b.span for b in buffers], offsets)


def _lifetimes(
    graph: Graph, buffers: Sequence[_Buffer], offsets: Sequence[int]
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
