"""Targets to thresholds, one a hop, on the calibration split; what cannot be met says what can.

Budgets (query rate, latency, energy, bytes, MACs) are met by their expected value and used up: the
lowest threshold within all of them, which depends on scores and costs alone. An accuracy target is
met as cheaply as possible: the highest threshold that reaches it, and with the guarantee asked for.
One hop is solved exactly here, with bounds; several together by vectors.py. A target's coverage
follows from the costs of hybrid 1, its threshold is that of hybrid 5 (docs/papers.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import InputError, TargetError
from mcu_hybrid.intervals import upper_bound
from mcu_hybrid.routing.costs import Cost
from mcu_hybrid.routing.sweep import Steps, steps_of
from mcu_hybrid.routing.tune import bounds, vectors
from mcu_hybrid.routing.tune.problem import CRC, LTT, NONE, Problem, Solution
from mcu_hybrid.routing.tune.settings import ABSTAIN, measure
from mcu_hybrid.routing.tune.units import METRICS, Target


def solve(problem: Problem, targets: Sequence[Target]) -> Solution:
    """The thresholds that meet all targets.

    Raises:
        TargetError: none does; names the nearest values that can be met.
        InputError: no target, a metric without a cost, an unknown router.
    """
    if not targets:
        raise InputError("no target is given", "for example --min-accuracy 91%")
    thresholds, notes = _one(problem, targets) if problem.hops == 1 else _several(problem, targets)
    cascade = problem.cascade(thresholds)
    costs = {name: cost for name, cost in problem.costs.items() if name != "query_rate"}
    estimates = measure(problem.outcomes, cascade, costs, problem.setting)
    guarantees = {target.metric.name: _promise(problem, target) for target in targets}
    return Solution(cascade, estimates, guarantees, tuple(notes))


_CHOSEN = "chosen by these images' labels: expect a little less accuracy than they show"


def _one(problem: Problem, targets: Sequence[Target]) -> tuple[tuple[int, ...], list[str]]:
    """The threshold of the only hop, and what is to be said of it."""
    steps = steps_of(problem.outcomes, problem.routers[0])
    search = _Search(problem, steps, _deltas(problem, targets))
    budgets, accuracy = _parts(targets)
    first = max((search.budget_step(target) for target in budgets), default=0)
    if accuracy is None:
        return (int(steps.thresholds[first]),), search.spare(first)
    return (search.threshold_for(accuracy, first, budgets),), [_CHOSEN]


def _several(problem: Problem, targets: Sequence[Target]) -> tuple[tuple[int, ...], list[str]]:
    """The thresholds of all hops, and what is to be said of them."""
    _, accuracy = _parts(targets)
    return vectors.choose(problem, targets), [_CHOSEN] if accuracy is not None else []


def _parts(targets: Sequence[Target]) -> tuple[list[Target], Target | None]:
    """The budgets, and the accuracy target."""
    budgets = [target for target in targets if not target.metric.is_minimum]
    return budgets, next((target for target in targets if target.metric.is_minimum), None)


def _deltas(problem: Problem, targets: Sequence[Target]) -> float:
    """The error probability of each bound, so that all hold together (union bound)."""
    bounded = sum(
        problem.guarantee == LTT if target.metric.is_minimum else problem.strict
        for target in targets
    )
    return (1.0 - problem.confidence) / max(1, bounded)


def _promise(problem: Problem, target: Target) -> str:
    """What holds of a target on new inputs, for the table."""
    sure = f"with {100 * problem.confidence:g} % confidence"
    if not target.metric.is_minimum:
        return sure if problem.strict else "on average"
    texts = {LTT: sure, CRC: "on average over calibrations", NONE: "none"}
    return texts[problem.guarantee]


@dataclass(frozen=True)
class _Search:
    """One problem's steps and the error probability of each bound."""

    problem: Problem
    steps: Steps
    delta: float

    # -- budgets

    def budget_step(self, target: Target) -> int:
        """The first step within the budget; raises TargetError where keep all is above it."""
        cost = self.problem.cost(target.metric.name)
        if self.problem.strict and cost.mean_query > 0:
            return self._strict_step(target, cost)
        means = self._means(cost)
        fine = np.flatnonzero(means <= target.value * (1 + 1e-12))
        if not len(fine):
            raise self._too_small(target, cost.edge, "an input costs that without any query")
        return int(fine[0])

    def _means(self, cost: Cost) -> np.ndarray:
        """The mean cost [T] of every step."""
        return np.asarray(cost.edge + self.steps.queried_sum(cost.query) / self.steps.count)

    def _strict_step(self, target: Target, cost: Cost) -> int:
        """The first step whose mean cost is within the budget with the confidence asked for."""
        count, most = self.steps.count, float(np.max(cost.query))
        limit = (target.value - cost.edge) / most
        if cost.is_constant:
            p_values = bounds.binomial_p_values(count - self.steps.kept, count, limit)
        else:
            losses = self.steps.queried_sum(cost.query) / (count * most)
            p_values = bounds.hoeffding_bentkus(losses, count, limit)
        step = bounds.certify_budget(p_values, self.delta)
        if limit <= 0 or step is None:
            # Without a single query among n images the rate can still be this high.
            least = cost.edge + most * upper_bound(0, count, self.delta)
            raise self._too_small(
                target, least, f"{count} calibration images cannot show less with this confidence"
            )
        return step

    def _too_small(self, target: Target, least: float, why: str) -> TargetError:
        return TargetError(
            f"{target.text()} cannot be met; nearest feasible: {target.metric.text(least)} ({why})",
            target.option(least),
            nearest={target.metric.name: least},
        )

    def spare(self, first: int) -> list[str]:
        """A note where fewer queries reach the same accuracy on these images."""
        if self.problem.setting == ABSTAIN:
            return []
        right, count = self.steps.right, self.steps.count
        last = int(np.flatnonzero(right >= right[first])[-1])
        if last <= first:
            return []
        less = Target(METRICS["query_rate"], 1.0)
        rate = 1.0 - int(self.steps.kept[last]) / count
        return [f"{100 * rate:.3g} % queries are as accurate on these images: {less.option(rate)}"]

    # -- accuracy

    def threshold_for(self, target: Target, first: int, budgets: Sequence[Target]) -> int:
        """The highest threshold that reaches the accuracy, at step ``first`` or later."""
        if self.problem.setting == ABSTAIN and self.problem.guarantee == LTT:
            return self._selective(target, first, budgets)
        last = self._last_accurate(target.value, first)
        if last is None or last < first:
            raise self._not_accurate(target, self._best(first), budgets, last)
        return int(self.steps.thresholds[last])

    def _accuracies(self) -> np.ndarray:
        """The accuracy [T] on the calibration images; 0 where nothing is kept under abstention."""
        if self.problem.setting == ABSTAIN:
            return np.asarray(self.steps.kept_right / np.maximum(1, self.steps.kept))
        return np.asarray(self.steps.right / self.steps.count)

    def _last_accurate(self, accuracy: float, first: int) -> int | None:
        """The last step that reaches the accuracy, if any; it may lie ahead of ``first``."""
        if self.problem.guarantee == LTT:
            return bounds.certify_accuracy(self.steps, accuracy, self.delta)
        if self.problem.guarantee == CRC:
            return bounds.control_accuracy(self.steps, accuracy)
        fine = np.flatnonzero(self._accuracies() >= accuracy - 1e-12)
        return int(fine[-1]) if len(fine) else None

    def _best(self, first: int) -> float:
        """The highest accuracy that can be promised at step ``first`` or later."""
        if self.problem.guarantee == LTT:
            return bounds.certifiable_accuracy(self.steps, first, self.delta)
        if self.problem.guarantee == CRC:
            return bounds.controllable_accuracy(self.steps, first)
        return float(self._accuracies()[first:].max())

    def _selective(self, target: Target, first: int, budgets: Sequence[Target]) -> int:
        """Abstention with a guarantee for the kept inputs."""
        outcomes, least = self.problem.outcomes, int(self.steps.thresholds[first])
        found = bounds.selective_bounds(
            outcomes.score(self.problem.routers[0]), outcomes.device_right, self.delta
        )
        fine = [at for at in found if at.accuracy >= target.value]
        allowed = [at for at in fine if at.threshold >= least]
        if not allowed:
            best = max((at.accuracy for at in found if at.threshold >= least), default=0.0)
            last = None
            if fine:
                thresholds = self.steps.thresholds
                last = int(np.searchsorted(thresholds, fine[-1].threshold, side="right")) - 1
            raise self._not_accurate(target, best, budgets, last)
        return allowed[-1].threshold

    def _not_accurate(
        self, target: Target, best: float, budgets: Sequence[Target], last: int | None
    ) -> TargetError:
        """Names the accuracy that can be met within the budgets, and the budgets that it takes."""
        count, confidence = self.steps.count, 100 * self.problem.confidence
        how = {LTT: f" with {confidence:g} % confidence", CRC: " on average over calibrations"}
        basis = f"{how.get(self.problem.guarantee, '')} on {count} calibration images"
        within = " within the budget" if budgets else ""
        text = f"{target.text()} cannot be met{basis}; nearest feasible{within}: "
        text += f"accuracy {target.metric.text(best)}"
        hints, nearest = [target.option(best)], {target.metric.name: best}
        if budgets and last is not None:
            for budget in budgets:
                need = float(self._means(self.problem.cost(budget.metric.name))[last])
                if need > budget.value:
                    text += f"; {target.text()} takes {budget.metric.title} "
                    text += budget.metric.text(need)
                    hints.append(budget.option(need))
                    nearest[budget.metric.name] = need
        if self.problem.guarantee != NONE and self._accuracies().max() >= target.value:
            hints.append("more calibration images, or --guarantee none for the expected value")
        return TargetError(text, ", or ".join(hints), nearest=nearest)
