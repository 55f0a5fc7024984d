"""Thresholds of several hops together, by trying vectors of them on the calibration split.

The vectors stand in one order, from "all go to the end" to "all stay at the first stage": by the
number of images that reach the last stage, then the one ahead of it, and so on. The order knows
scores alone, no labels. As with one threshold, budgets take the first vector within all of them
(used up), an accuracy target the last one that reaches it within the budgets (as few queries as
possible). For one hop this is the order of the thresholds themselves. A vector is judged by what
the cascade does to each image; that hops fail independently, as the additive searches for early
exits assume (Sponner et al.; docs/papers.md), is not assumed.

What it promises: the expected values on these images, nothing more. Where all vectors of the
images' own scores fit in MOST_WALKS walks, the choice is that of trying every vector of integers;
beyond, each hop's candidates are evenly spaced order statistics, and a better vector may lie
between them. The labels choose among many vectors, so expect less accuracy than they show.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import TargetError
from mcu_hybrid.routing.costs import Cost
from mcu_hybrid.routing.sweep import LOWEST
from mcu_hybrid.routing.tune.problem import Problem
from mcu_hybrid.routing.tune.settings import ABSTAIN
from mcu_hybrid.routing.tune.units import Target

MOST_WALKS = 20_000_000  # vectors x images: about a second


@dataclass(frozen=True)
class Walked:
    """A vector, and the number [N] of the stage that each image goes up to."""

    thresholds: tuple[int, ...]
    stages: np.ndarray

    def mean(self, cost: Cost, hops: int) -> float:
        """The mean cost of an input."""
        spent = (
            np.sum(np.broadcast_to(each, self.stages.shape)[self.stages > hop])
            for hop, each in enumerate(cost.hops(hops))
        )
        return cost.edge + float(sum(spent)) / len(self.stages)


def choose(problem: Problem, targets: Sequence[Target]) -> tuple[int, ...]:
    """The thresholds that meet all targets; raises TargetError where no vector does."""
    fine = every(problem)
    for target in targets:
        if not target.metric.is_minimum:
            fine = _within(problem, fine, target)
    accuracy = next((target for target in targets if target.metric.is_minimum), None)
    if accuracy is None:
        return fine[0].thresholds
    reached = [_accuracy(problem, one) for one in fine]
    good = [
        one for one, share in zip(fine, reached, strict=True) if share >= accuracy.value - 1e-12
    ]
    if not good:
        raise _unmet(accuracy, max(reached), f"on {problem.outcomes.count} calibration images")
    return good[-1].thresholds


def every(problem: Problem) -> list[Walked]:
    """All vectors that are tried, in their order."""
    found = [
        Walked(thresholds, problem.outcomes.stages(problem.cascade(thresholds)))
        for thresholds in itertools.product(*_candidates(problem))
    ]
    return sorted(found, key=lambda one: (_order(one, problem.hops), one.thresholds))


def _order(one: Walked, hops: int) -> tuple[int, ...]:
    """More images at the last stage come first, then at the one ahead of it."""
    return tuple(-int((one.stages > hop).sum()) for hop in reversed(range(hops)))


def _candidates(problem: Problem) -> list[list[int]]:
    """Thresholds of each hop: one below all scores, and the scores, thinned where they are many."""
    most = max(2, int((MOST_WALKS / problem.outcomes.count) ** (1 / problem.hops)))
    found = []
    for hop, router in enumerate(problem.routers):
        ranked = np.unique(problem.outcomes.score(router, hop))
        every = np.concatenate([[max(LOWEST, int(ranked[0]) - 1)], ranked])
        if len(every) > most:
            every = every[np.unique(np.linspace(0, len(every) - 1, most).round().astype(int))]
        found.append([int(value) for value in every])
    return found


def _within(problem: Problem, vectors: Sequence[Walked], target: Target) -> list[Walked]:
    """Those of the vectors that are within a budget; raises TargetError where none is."""
    cost = problem.cost(target.metric.name)
    means = [one.mean(cost, problem.hops) for one in vectors]
    fine = [
        one for one, mean in zip(vectors, means, strict=True) if mean <= target.value * (1 + 1e-12)
    ]
    if not fine:
        raise _unmet(target, min(means), "within the other budgets")
    return fine


def _accuracy(problem: Problem, one: Walked) -> float:
    """The accuracy on the calibration images; that of the kept ones under abstention."""
    right = problem.outcomes.right_at(one.stages)
    if problem.setting == ABSTAIN:
        kept = one.stages < problem.hops
        return float(right[kept].mean()) if kept.any() else 0.0
    return float(right.mean())


def _unmet(target: Target, nearest: float, why: str) -> TargetError:
    return TargetError(
        f"{target.text()} cannot be met; nearest feasible: {target.metric.text(nearest)} ({why})",
        target.option(nearest),
        nearest={target.metric.name: nearest},
    )
