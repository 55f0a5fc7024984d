"""Simulated splits for the tuning tests, and every threshold tried one by one (no tests)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mcu_hybrid.routing.costs import Cost
from mcu_hybrid.routing.outcomes import Outcomes


def simulate(seed: int, n: int, *, ties: bool = False) -> Outcomes:
    """A weak device, a strong cloud, and a score that leans towards the device's mistakes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 10, n)
    hard = rng.random(n)

    def answers(accuracy: np.ndarray) -> np.ndarray:
        other = (truth + rng.integers(1, 10, n)) % 10
        return np.where(rng.random(n) < accuracy, truth, other)

    device, cloud = answers(1 - 0.6 * hard), answers(np.full(n, 0.93))
    steps = 8 if ties else 1000
    scores = np.round(steps * (hard + 0.2 * rng.standard_normal(n))).astype(np.int64)
    return Outcomes.of_two(device, cloud, truth, {"learned": scores}, "simulated")


def brute_force(outcomes: Outcomes, costs: Mapping[str, Cost]) -> dict[int, dict[str, float]]:
    """Threshold -> figures, for every threshold that makes a difference, by counting."""
    scores = outcomes.score("learned")
    device, cloud = outcomes.device_right, outcomes.cloud_right
    found = {}
    for threshold in [int(scores.min()) - 1, *np.unique(scores).tolist()]:
        keep = scores <= threshold
        row = {
            "coverage": float(keep.mean()),
            "query_rate": float((~keep).mean()),
            "accuracy": float(np.where(keep, device, cloud).mean()),
            "selective": float(device[keep].mean()) if keep.any() else 0.0,
        }
        row |= {
            name: cost.edge + float((~keep * cost.query).mean()) for name, cost in costs.items()
        }
        found[threshold] = row
    return found
