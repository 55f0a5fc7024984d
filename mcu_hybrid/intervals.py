"""Intervals and bounds of a share from counts: Wilson, exact tails and bounds (Clopper-Pearson)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
_BISECTIONS = 44  # down to 2^-44 = 6e-14, above the rounding of a cumulative sum in float64


def wilson(successes: int, count: int) -> tuple[float, float]:
    """The 95 % score interval (Wilson, 1927) of a binomial share, (low, high) in 0..1."""
    if count <= 0:
        return 0.0, 1.0
    share, z2 = successes / count, Z95 * Z95
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == count else min(1.0, centre + half)
    return low, high


def binomial_cdf(count: int, share: float) -> np.ndarray:
    """P(Binomial(count, share) <= k) for k = 0..count, float64 [count + 1]."""
    if share <= 0.0 or count == 0:
        return np.ones(count + 1)
    if share >= 1.0:
        return np.concatenate([np.zeros(count), np.ones(1)])
    k, log_choose = _log_choose(count)
    log_odds = math.log(share) - math.log1p(-share)
    log_mass = log_choose + k * log_odds + count * math.log1p(-share)
    return np.minimum(1.0, np.cumsum(np.exp(log_mass)))


@lru_cache(maxsize=64)  # a bound asks for the same count some forty times
def _log_choose(count: int) -> tuple[np.ndarray, np.ndarray]:
    """k = 0..count, and the logarithm of count over k."""
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    return np.arange(count + 1.0), log_factorial[-1] - log_factorial - log_factorial[::-1]


def lower_bound(successes: int, count: int, delta: float) -> float:
    """The exact one-sided bound: below the true share with probability 1 - delta or more.

    The largest share p with P(Binomial(count, p) >= successes) <= delta (Clopper-Pearson, 1934).
    """
    if successes <= 0 or count <= 0:
        return 0.0
    return _boundary(lambda p: 1.0 - float(binomial_cdf(count, p)[successes - 1]) <= delta)


def upper_bound(successes: int, count: int, delta: float) -> float:
    """The exact one-sided bound: above the true share with probability 1 - delta or more."""
    return 1.0 - lower_bound(count - successes, count, delta)


def _boundary(holds: Callable[[float], bool]) -> float:
    """The largest p in [0, 1] for which ``holds``, which is true up to some p and false beyond."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
