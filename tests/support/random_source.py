"""Where random models take their decisions from: a seed, or hypothesis, which can shrink them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Source:
    """Decisions from ``below(n)``, which gives one of 0 .. n - 1; simple choices come first."""

    def __init__(self, below: Callable[[int], int]) -> None:
        self.below = below
        self.values = np.random.default_rng(below(1 << 16))

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def between(self, low: int, high: int) -> int:
        """``high`` is included."""
        return low + self.below(high - low + 1)

    def chance(self, percent: int) -> bool:
        return self.below(100) >= 100 - percent


def seeded(seed: int) -> Source:
    """Decisions from a seed alone."""
    rng = np.random.default_rng(seed)
    return Source(lambda n: int(rng.integers(0, n)))
