"""Which program of a front to take: the fastest that fits, the smallest, or a compromise."""

from __future__ import annotations

from collections.abc import Sequence

from mcu_hybrid.compiler.program import Program

AIMS = ("speed", "ram", "balanced")
# Instructions that a balanced schedule may take, over the fastest: a price that few would notice.
# docs/engine.md promises this figure; it was not tuned.
BALANCED_COST = 1.02
# Predicted counts are up to this much off the measured ones (shared models, mps2-an500): what is
# as near to the fastest counts as being as fast.
SAME_SPEED = 1.002
# An arena that is worth more streams at the same speed: they cost code, so not for less. Not tuned.
MUCH_SMALLER = 0.75


def choose(front: Sequence[Program], aim: str, limit: int | None = None) -> Program | None:
    """The program for an aim whose arena has at most ``limit`` bytes; None where none has.

    Args:
        front: fastest first, each with a smaller arena than the one before.
        aim: "speed" (fewest instructions; of those that are as fast as can be told, one with a
            much smaller arena, else fewest streams), "ram" (smallest arena), or "balanced" (the
            smallest arena that costs at most 2 % more instructions than the fastest of the front; a
            limit may ask for more).
    """
    fitting = [s for s in front if limit is None or s.plan.arena_bytes <= limit]
    if not fitting:
        return None
    if aim == "ram":
        return fitting[-1]
    if aim == "balanced":
        most = front[0].instructions * BALANCED_COST
        return next((s for s in reversed(fitting) if s.instructions <= most), fitting[0])
    near = [s for s in fitting if is_as_fast(s, front[0])] or fitting[:1]
    if near[-1].plan.arena_bytes <= MUCH_SMALLER * near[0].plan.arena_bytes:
        return near[-1]
    return min(near, key=lambda s: len(s.streams))


def is_as_fast(program: Program, fastest: Program) -> bool:
    """True where the predictions do not tell which of both takes fewer instructions."""
    return program.instructions <= SAME_SPEED * fastest.instructions
