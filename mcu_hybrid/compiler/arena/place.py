"""Offsets of spans in the arena: greedy placement in several orders.

A pair of spans may *overlap*: the one that is read lies at least so many bytes above the one that
is written, and the two then share what lies between, because a kernel reads ahead of what it
writes. Not here: what the spans are (buffers.py), and the optimiser that follows (place_sat.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mcu_hybrid.compiler.arena.spans import NO_OVERLAPS, Overlaps, Span, aligned, height, live_bound

# Tries of the search that follows the fixed orders: each places all spans once more, and what they
# leave unproved goes to the solver. Not tuned.
PROMOTIONS = 64


def place(spans: Sequence[Span], overlaps: Overlaps = NO_OVERLAPS) -> list[int]:
    """Offset of each span, multiples of 16; the lowest total height that the tries find."""
    bound = live_bound(spans, overlaps)
    best: list[int] = []
    best_height = -1
    best_order: list[int] = []
    for key in _ORDERS:
        order = [n for _, n in sorted((key(span), n) for n, span in enumerate(spans))]
        offsets = _greedy(spans, order, overlaps)
        top = height(spans, offsets)
        if best_height < 0 or top < best_height:
            best, best_height, best_order = offsets, top, order
        if best_height <= bound:
            return best
    return _promote(spans, best_order, best, best_height, overlaps)


def _promote(
    spans: Sequence[Span], order: list[int], best: list[int], top: int, overlaps: Overlaps
) -> list[int]:
    """Move the span that ends highest to the front and place again, while tries are left."""
    seen = {tuple(order)}
    offsets, bound = best, live_bound(spans, overlaps)
    for _ in range(PROMOTIONS):
        worst = max(order, key=lambda n: (offsets[n] + aligned(spans[n].bytes), n))
        order = [worst, *(n for n in order if n != worst)]
        if tuple(order) in seen:
            break
        seen.add(tuple(order))
        offsets = _greedy(spans, order, overlaps)
        if height(spans, offsets) < top:
            best, top = offsets, height(spans, offsets)
        if top <= bound:
            break
    return best


def _greedy(spans: Sequence[Span], order: Sequence[int], overlaps: Overlaps) -> list[int]:
    """Place in this order, each into the tightest gap between what it meets, else on top."""
    offsets = [-1] * len(spans)
    done: list[int] = []
    for n in order:
        taken = sorted(
            _forbidden(spans, overlaps, n, m, offsets[m]) for m in done if spans[m].meets(spans[n])
        )
        end, best, best_gap = 0, -1, -1
        for start, stop in taken:
            gap = start - end
            if gap >= 0 and (best < 0 or gap < best_gap):
                best, best_gap = end, gap
            end = max(end, stop)
        offsets[n] = best if best >= 0 else end
        done.append(n)
    return offsets


def _forbidden(
    spans: Sequence[Span], overlaps: Overlaps, n: int, m: int, at: int
) -> tuple[int, int]:
    """Offsets between these two, without them, at which ``n`` would hurt ``m``, which lies at."""
    if (m, n) in overlaps:  # m is read, n is written: below m by the overlap, or all above it
        return at - overlaps[m, n], at + aligned(spans[m].bytes)
    if (n, m) in overlaps:
        return at - aligned(spans[n].bytes), at + overlaps[n, m]
    return at - aligned(spans[n].bytes), at + aligned(spans[m].bytes)


# Sort keys: small first. Size wins mostly; the others win where long-lived buffers lie in the way.
_ORDERS: tuple[Callable[[Span], tuple[int, ...]], ...] = (
    lambda s: (-s.bytes, s.first),
    lambda s: (-s.bytes * (s.last - s.first + 1), s.first),
    lambda s: (-(s.last - s.first), -s.bytes),
    lambda s: (s.first, -s.bytes),
    lambda s: (-s.last, -s.bytes),
)
