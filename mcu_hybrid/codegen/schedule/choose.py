"""Which schedule of a front to take: the fastest that fits, the smallest, or a compromise."""

from __future__ import annotations

from collections.abc import Sequence

from mcu_hybrid.codegen.schedule.search import Schedule

AIMS = ("speed", "ram", "balanced")
BALANCED_COST = 1.02  # instructions that a balanced schedule may take, over the fastest


def choose(front: Sequence[Schedule], aim: str, limit: int | None = None) -> Schedule | None:
    """The schedule for an aim whose arena has at most ``limit`` bytes; None where none has.

    Args:
        front: fastest first, each with a smaller arena than the one before.
        aim: "speed", "ram" (smallest arena), or "balanced" (the smallest arena that costs at most
            2 % more instructions than the fastest of the front; a limit may ask for more).
    """
    fitting = [s for s in front if limit is None or s.plan.arena_bytes <= limit]
    if not fitting:
        return None
    if aim == "ram":
        return fitting[-1]
    if aim == "balanced":
        most = front[0].instructions * BALANCED_COST
        return next((s for s in reversed(fitting) if s.instructions <= most), fitting[0])
    return fitting[0]
