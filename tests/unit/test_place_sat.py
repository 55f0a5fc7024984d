"""The optimiser behind the greedy planner: compared with trying everything, and repeatable."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcu_hybrid.compiler.arena import plan as planner
from mcu_hybrid.compiler.arena.place import place
from mcu_hybrid.compiler.arena.place_sat import lowest
from mcu_hybrid.compiler.arena.spans import (
    ALIGN,
    Overlaps,
    Overwrites,
    Span,
    aligned,
    height,
    live_bound,
)
from mcu_hybrid.compiler.lowering import lower_graph
from mcu_hybrid.reference import interp
from tests.support.random_graph import random_graph, random_inputs, run_in_arena

NONE: Overwrites = frozenset()


def may_lie(a: int, b: int, at: Sequence[int], spans: Sequence[Span], s: Overlaps, o: Overwrites):
    """True where spans ``a`` and ``b`` may lie there together."""
    if not spans[a].meets(spans[b]):
        return True
    if at[a] + aligned(spans[a].bytes) <= at[b] or at[b] + aligned(spans[b].bytes) <= at[a]:
        return True
    for read, written in ((a, b), (b, a)):
        if (read, written) in o and at[read] == at[written]:
            return True
        if (read, written) in s and at[read] >= at[written] + s[read, written]:
            return True
    return False


def is_valid(
    spans: Sequence[Span], at: Sequence[int], overlaps: Overlaps, overwrites: Overwrites
) -> bool:
    return all(x >= 0 and x % ALIGN == 0 for x in at) and all(
        may_lie(a, b, at, spans, overlaps, overwrites) for a in range(len(spans)) for b in range(a)
    )


def brute_force(spans: Sequence[Span], overlaps: Overlaps, overwrites: Overwrites) -> int:
    """The lowest height, found by trying every offset of every span."""

    def fits(top: int, at: list[int]) -> bool:
        n = len(at)
        if n == len(spans):
            return True
        for offset in range(0, top - aligned(spans[n].bytes) + 1, ALIGN):
            here = [*at, offset]
            apart = all(may_lie(n, m, here, spans, overlaps, overwrites) for m in range(n))
            if apart and fits(top, here):
                return True
        return False

    top = 0
    while not fits(top, []):
        top += ALIGN
    return top


span = st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(1, 5 * ALIGN)).map(
    lambda t: Span(t[0], t[0] + t[1], t[2])
)


def stacked(spans: Sequence[Span]) -> list[int]:
    """A placement that nobody can doubt, and that leaves the optimiser something to do."""
    offsets, end = [], 0
    for s in spans:
        offsets.append(end)
        end += aligned(s.bytes)
    return offsets


@settings(max_examples=60, deadline=None)
@given(st.lists(span, max_size=5), st.randoms(use_true_random=False))
def test_nothing_is_lower_than_what_is_found(spans: list[Span], rng: random.Random) -> None:
    """With the pairs that layers allow: one input that dies as one output is born."""
    overlaps: dict[tuple[int, int], int] = {}
    overwrites = set()
    for a, read in enumerate(spans):
        for b, written in enumerate(spans):
            if not read.first < read.last == written.first:
                continue
            # One layer overlaps one input only.
            if rng.random() < 0.5 and all(w != b for _, w in overlaps):
                most = aligned(written.bytes) // ALIGN
                overlaps[a, b] = rng.randint(0, most) * ALIGN
            if rng.random() < 0.5 and written.bytes <= read.bytes:
                overwrites.add((a, b))
    found = lowest(spans, stacked(spans), overlaps, frozenset(overwrites))
    assert is_valid(spans, found.offsets, overlaps, frozenset(overwrites))
    assert height(spans, found.offsets) == found.height_bytes == found.lower_bound_bytes
    assert found.height_bytes == brute_force(spans, overlaps, frozenset(overwrites))


def sized(*rows: tuple[int, int, int]) -> list[Span]:
    return [Span(first, last, units * ALIGN) for first, last, units in rows]


def test_greedy_is_not_the_lowest_here() -> None:
    spans = sized((1, 3, 3), (3, 3, 2), (2, 3, 2), (2, 2, 1), (3, 3, 2), (1, 2, 3))
    greedy = place(spans)
    found = lowest(spans, greedy)
    assert height(spans, greedy) == 160
    assert found.height_bytes == found.lower_bound_bytes == brute_force(spans, {}, NONE) == 144


def test_a_bound_above_the_fullest_time_is_proved() -> None:
    """No time needs more than 80 bytes, and still nothing lies below 96."""
    spans = sized(
        (0, 1, 3), (0, 5, 1), (3, 4, 2), (4, 6, 1), (4, 5, 1), (6, 6, 3), (2, 3, 2), (5, 6, 1)
    )
    found = lowest(spans, place(spans))
    assert live_bound(spans) == 80
    assert found.height_bytes == found.lower_bound_bytes == brute_force(spans, {}, NONE) == 96


def test_what_is_proved_already_is_kept() -> None:
    spans = sized((0, 1, 3), (1, 2, 2), (2, 3, 3))
    known = [0, 48, 0]
    assert lowest(spans, known).offsets == known


def many(count: int, seed: int) -> list[Span]:
    rng = random.Random(seed)
    starts = [rng.randrange(count) for _ in range(count)]
    return [Span(s, s + rng.randrange(count // 3), 16 * rng.randrange(1, 300)) for s in starts]


def test_the_same_answer_every_time() -> None:
    """Also where questions stay open: the limit counts steps, not seconds."""
    spans = many(90, 1)
    known = stacked(spans)
    for limit in (0.02, 0.0005):
        first, second = (lowest(spans, known, limit=limit) for _ in range(2))
        assert first == second
        assert is_valid(spans, first.offsets, {}, NONE)
        assert live_bound(spans) <= first.lower_bound_bytes <= first.height_bytes


def test_without_time_the_known_placement_stays() -> None:
    spans = many(90, 1)
    known = stacked(spans)
    found = lowest(spans, known, limit=0.0)
    assert found.offsets == known
    assert found.lower_bound_bytes == live_bound(spans) < found.height_bytes


@pytest.mark.parametrize(("seed", "least"), [(43, 288), (191, 432), (446, 672), (873, 560)])
def test_plans_that_only_the_optimiser_finds(seed: int, least: int) -> None:
    """Their arenas are below what the greedy search finds, are proved, and hold what runs there."""
    graph = random_graph(seed)
    steps = lower_graph(graph)
    found = planner.plan(graph, steps)
    assert found.is_optimal
    assert found.arena_bytes == least < planner._search(graph, steps).arena
    inputs = random_inputs(graph, seed)
    got = run_in_arena(graph, found, inputs)
    for want, have in zip(interp.run(graph, inputs), got, strict=True):
        np.testing.assert_array_equal(have, want)
    assert planner.plan(graph, steps) == found
