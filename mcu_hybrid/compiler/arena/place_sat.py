"""The lowest placement of spans, and a proof: constraint programming behind the greedy planner.

The greedy planner's height is proved where it equals what the fullest time needs; only where it
does not is there something to find here. "Is there a placement of this height?" is asked for the
lowest height that is not ruled out, then by halving. A question takes milliseconds for the graphs
that boards run. The answer is the same on every run: one worker, a fixed seed, and a limit that
counts the solver's steps instead of seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mcu_hybrid.compiler.arena.spans import (
    ALIGN,
    NO_OVERLAPS,
    NO_OVERWRITES,
    Overlaps,
    Overwrites,
    Span,
    aligned,
    height,
    live_bound,
)

SEED = 1  # any, as long as it stays: the same model gives the same plan
LIMIT = 0.02  # of one question, in the solver's deterministic time; on a PC a few seconds


@dataclass(frozen=True)
class Placement:
    """``offsets`` in bytes, one per span; no placement is lower than ``lower_bound_bytes``."""

    offsets: list[int]
    height_bytes: int
    lower_bound_bytes: int


def lowest(
    spans: Sequence[Span],
    known: Sequence[int],
    overlaps: Overlaps = NO_OVERLAPS,
    overwrites: Overwrites = NO_OVERWRITES,
    *,
    limit: float = LIMIT,
) -> Placement:
    """The lowest placement that the search finds, at worst ``known``, and the bound it proves.

    Args:
        known: a valid placement, byte offsets that are multiples of 16.
        overlaps: pairs that may overlap where the one that is read lies so much higher.
        overwrites: pairs that may overlap where both begin at one offset.
        limit: deterministic time after which one question stays open; open questions can leave
            the height above the bound.
    """
    offsets, top = list(known), height(spans, known)
    bound = live_bound(spans, overlaps, overwrites)  # no height below it
    ask = low = bound  # no height below ``low`` is tried (again)
    while low < top:
        answer = _fits(spans, overlaps, overwrites, ask, limit)
        if isinstance(answer, list):
            offsets, top = answer, height(spans, answer)
        else:
            low = ask + ALIGN
            if answer is False:
                bound = low
        ask = low + (top - ALIGN - low) // (2 * ALIGN) * ALIGN
    return Placement(offsets, top, bound)


def _fits(
    spans: Sequence[Span], overlaps: Overlaps, overwrites: Overwrites, top: int, limit: float
) -> list[int] | bool | None:
    """Offsets in bytes that end by ``top`` bytes, False where there are none, None if left open.

    The model counts in units of the alignment, so that every offset is aligned.
    """
    # The import takes 0.4 s, and few graphs come here.
    from ortools.sat.python import cp_model

    sizes = [aligned(span.bytes) // ALIGN for span in spans]
    model = cp_model.CpModel()
    starts = [model.new_int_var(0, top // ALIGN - size, f"at{n}") for n, size in enumerate(sizes)]
    boxes = [
        model.new_fixed_size_interval_var(start, size, f"box{n}")
        for n, (start, size) in enumerate(zip(starts, sizes, strict=True))
    ]
    pairs = overwrites | overlaps.keys()
    for apart in _kept_apart(spans, pairs):
        model.add_no_overlap([boxes[n] for n in apart])
    for read, written in sorted(pairs):
        overlap = overlaps.get((read, written))
        ways = [
            starts[read] + sizes[read] <= starts[written],
            starts[written] + (sizes[written] if overlap is None else overlap // ALIGN)
            <= starts[read],
        ]
        if (read, written) in overwrites:
            ways.append(starts[read] == starts[written])
        _one_of(model, ways)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = SEED
    solver.parameters.max_deterministic_time = limit
    # Else it takes the handler of Ctrl-C away from Python, and nothing cleans up any more.
    solver.parameters.catch_sigint_signal = False
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return False
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return [solver.value(start) * ALIGN for start in starts]


def _one_of(model: Any, ways: Sequence[Any]) -> None:
    """At least one of these linear constraints holds."""
    chosen = [model.new_bool_var("") for _ in ways]
    for way, is_chosen in zip(ways, chosen, strict=True):
        model.add(way).only_enforce_if(is_chosen)
    model.add_bool_or(chosen)


def _kept_apart(spans: Sequence[Span], pairs: frozenset[tuple[int, int]]) -> Iterator[list[int]]:
    """Sets of spans without overlap: all that meet share a set, but for ``pairs``, which never do.

    Two spans that meet share a time, so the sets are those that each time sees.
    """
    alive = [
        frozenset(n for n, s in enumerate(spans) if s.first <= time <= s.last)
        for time in sorted({s.first for s in spans})
    ]
    for here, after in zip(alive, [*alive[1:], frozenset[int]()], strict=True):
        if here <= after:
            continue
        parts = [here]
        for read, written in sorted(pairs):
            split = [part for part in parts if {read, written} <= part]
            parts = [part for part in parts if part not in split]
            parts += [part - {n} for part in split for n in (read, written)]
        for part in parts:
            if len(part) > 1:
                yield sorted(part)
