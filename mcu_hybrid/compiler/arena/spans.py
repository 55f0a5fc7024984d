"""What a placement works on: bytes that are needed for a time, and the arithmetic of the arena."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

ALIGN = 16  # a vector of Helium, which may read to the end of its unit; TFLM's arena has it, too

# (span that is read, span that is written) -> bytes, a multiple of the alignment, that the first
# must lie above the second where they share memory. The first ends at the time the second begins.
Overlaps = Mapping[tuple[int, int], int]
NO_OVERLAPS: Overlaps = MappingProxyType({})

# (span that is read, span that is written): the second, no larger, may begin where the first does.
Overwrites = frozenset[tuple[int, int]]
NO_OVERWRITES: Overwrites = frozenset()


@dataclass(frozen=True)
class Span:
    """``bytes`` that are needed from time ``first`` to time ``last``, both included."""

    first: int
    last: int
    bytes: int

    def meets(self, other: Span) -> bool:
        """True where some time sees both."""
        return self.first <= other.last and other.first <= self.last


def aligned(size: int) -> int:
    """``size`` rounded up to the arena's alignment."""
    return -(-size // ALIGN) * ALIGN


def live_bytes(
    spans: Sequence[Span], overlaps: Overlaps = NO_OVERLAPS, overwrites: Overwrites = NO_OVERWRITES
) -> Iterator[tuple[int, int]]:
    """(time, bytes that no placement can do without then) where something begins to live."""
    shared: dict[int, int] = {}  # written span -> what it may share with those it is made of
    for (read, written), overlap in overlaps.items():
        most = min(aligned(spans[read].bytes), aligned(spans[written].bytes) - overlap)
        shared[written] = shared.get(written, 0) + max(most, 0)
    for _, written in overwrites:
        shared[written] = max(shared.get(written, 0), aligned(spans[written].bytes))
    for time in sorted({s.first for s in spans}):
        alive = [n for n, s in enumerate(spans) if s.first <= time <= s.last]
        saved = sum(shared.get(n, 0) for n in alive if spans[n].first == time)
        yield time, sum(aligned(spans[n].bytes) for n in alive) - saved


def live_bound(
    spans: Sequence[Span], overlaps: Overlaps = NO_OVERLAPS, overwrites: Overwrites = NO_OVERWRITES
) -> int:
    """Bytes of the fullest time: no placement is lower."""
    return max((n for _, n in live_bytes(spans, overlaps, overwrites)), default=0)


def height(spans: Sequence[Span], offsets: Sequence[int]) -> int:
    """Bytes from 0 to the end of the span that ends highest."""
    ends = (at + aligned(s.bytes) for s, at in zip(spans, offsets, strict=True))
    return max(ends, default=0)
