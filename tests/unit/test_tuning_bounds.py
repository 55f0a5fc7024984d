"""The guarantees, held against simulation: many calibration splits of one known population."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from mcu_hybrid.errors import TargetError
from mcu_hybrid.intervals import (
    binomial_cdf,
    lower_bound,
    upper_bound,
    wilson,
)
from mcu_hybrid.routing.costs import Cost
from mcu_hybrid.routing.outcomes import Outcomes
from mcu_hybrid.routing.sweep import steps_of
from mcu_hybrid.routing.tune import bounds
from mcu_hybrid.routing.tune.problem import CRC, LTT, Problem
from mcu_hybrid.routing.tune.settings import ABSTAIN
from mcu_hybrid.routing.tune.solve import solve
from mcu_hybrid.routing.tune.units import target

SPLITS = 400


@dataclass(frozen=True)
class Population:
    """Scores 0..levels-1, equally frequent, and the chances to be right at each: known exactly."""

    device: np.ndarray
    cloud: np.ndarray

    @property
    def levels(self) -> int:
        return len(self.device)

    def draw(self, rng: np.random.Generator, count: int) -> Outcomes:
        """A calibration split: class 0 is right, 1 wrong."""
        scores = rng.integers(0, self.levels, count)
        device = (rng.random(count) >= self.device[scores]).astype(int)
        cloud = (rng.random(count) >= self.cloud[scores]).astype(int)
        return Outcomes.of_two(device, cloud, np.zeros(count, int), {"learned": scores})

    def accuracy(self, threshold: int) -> float:
        kept = np.arange(self.levels) <= threshold
        return float(np.where(kept, self.device, self.cloud).mean())

    def selective(self, threshold: int) -> float:
        kept = np.arange(self.levels) <= threshold
        return float(self.device[kept].mean())

    def coverage(self, threshold: int) -> float:
        return float((np.arange(self.levels) <= threshold).mean())


FALLING = Population(np.linspace(1.0, 0.4, 60), np.full(60, 0.95))
COARSE = Population(np.linspace(1.0, 0.4, 6), np.full(6, 0.95))  # many ties
# The device alone is just below the target, so that certifying keep all is always wrong.
EDGE = Population(np.full(60, 0.899), np.full(60, 0.95))
# The risk does not grow with coverage: first up, then down again.
BENT = Population(np.where(np.arange(60) < 20, 0.8, 1.0), np.full(60, 0.93))


def most(share: float, count: int) -> float:
    """What a share can reach by chance in so many trials (3.3 standard deviations)."""
    return share + 3.3 * math.sqrt(share * (1 - share) / count)


@pytest.mark.parametrize("count", [60, 300])
@pytest.mark.parametrize("population", [FALLING, COARSE, EDGE, BENT])
@pytest.mark.parametrize("delta", [0.05, 0.2])
def test_learn_then_test_is_wrong_in_at_most_delta_of_the_splits(
    population: Population, count: int, delta: float
) -> None:
    rng = np.random.default_rng(0)
    wrong = found = 0
    for _ in range(SPLITS):
        case = Problem(
            population.draw(rng, count), ("learned",), guarantee=LTT, confidence=1 - delta
        )
        try:
            threshold = solve(case, [target("accuracy", "90%")]).threshold
        except TargetError:
            continue  # nothing promised, nothing broken
        found += 1
        wrong += population.accuracy(threshold) < 0.9
    assert wrong / SPLITS <= most(delta, SPLITS)
    if count == 300:
        assert found / SPLITS > 0.5  # the bound is of use


def test_learn_then_test_uses_up_its_error_where_the_truth_lies_on_the_edge() -> None:
    """Not a bound that holds because it promises nothing: near delta of the splits are wrong."""
    rng, wrong = np.random.default_rng(1), 0
    population = Population(np.full(2, 0.8999), np.full(2, 1.0))
    for _ in range(2000):
        steps = steps_of(population.draw(rng, 400), "learned")
        certified = bounds.certify_accuracy(steps, 0.9, 0.1)
        wrong += certified == 2
    assert 0.03 < wrong / 2000 <= most(0.1, 2000)


@pytest.mark.parametrize("population", [FALLING, COARSE, EDGE, BENT])
@pytest.mark.parametrize("count", [20, 100])
def test_conformal_control_holds_on_average(population: Population, count: int) -> None:
    rng, risks = np.random.default_rng(2), []
    for _ in range(SPLITS):
        steps = steps_of(population.draw(rng, count), "learned")
        step = bounds.control_accuracy(steps, 0.85)
        # Where no threshold is fine, none is deployed: the guarantee is of the threshold -infinity.
        if step is not None:
            risks.append(1 - population.accuracy(int(steps.thresholds[step])))
    spread = float(np.std(risks)) / math.sqrt(len(risks))
    assert len(risks) > SPLITS / 4
    assert float(np.mean(risks)) <= 0.15 + 3 * spread


def test_conformal_control_is_not_far_from_the_target() -> None:
    """With cloud answers that are never wrong the running maximum is the risk itself."""
    rng, risks = np.random.default_rng(3), []
    population = Population(np.linspace(1.0, 0.4, 60), np.ones(60))
    for _ in range(SPLITS):
        steps = steps_of(population.draw(rng, 200), "learned")
        step = bounds.control_accuracy(steps, 0.85)
        assert step is not None
        risks.append(1 - population.accuracy(int(steps.thresholds[step])))
    assert 0.13 < float(np.mean(risks)) <= 0.15


@pytest.mark.parametrize("population", [FALLING, COARSE, EDGE, BENT])
@pytest.mark.parametrize("count", [80, 400])
def test_selective_bounds_hold_at_every_threshold_at_once(
    population: Population, count: int
) -> None:
    rng, wrong, splits = np.random.default_rng(4), 0, SPLITS // 4
    for _ in range(splits):
        outcomes = population.draw(rng, count)
        found = bounds.selective_bounds(outcomes.score("learned"), outcomes.device_right, 0.1)
        assert len(found) == bounds.SELECTIVE_COVERAGES
        assert all(at.kept == (outcomes.score("learned") <= at.threshold).sum() for at in found)
        wrong += any(at.accuracy > population.selective(at.threshold) for at in found if at.kept)
    assert wrong / splits <= most(0.1, splits)


def test_selective_targets_are_kept_and_of_use() -> None:
    rng, wrong, found, splits = np.random.default_rng(5), 0, 0, SPLITS // 4
    for _ in range(splits):
        case = Problem(
            FALLING.draw(rng, 400), ("learned",), setting=ABSTAIN, guarantee=LTT, confidence=0.9
        )
        try:
            threshold = solve(case, [target("accuracy", "85%")]).threshold
        except TargetError:
            continue
        found += 1
        wrong += FALLING.selective(threshold) < 0.85
    assert found > splits / 2
    assert wrong / splits <= most(0.1, splits)


@pytest.mark.parametrize("varying", [False, True])
def test_strict_budgets_are_exceeded_in_at_most_delta_of_the_splits(varying: bool) -> None:
    rng, wrong, found = np.random.default_rng(6), 0, 0
    for _ in range(SPLITS):
        outcomes = FALLING.draw(rng, 200)
        sizes = rng.choice([500.0, 1500.0], 200) if varying else 1000.0
        costs = {"bytes": Cost("B", 0.0, sizes)}
        case = Problem(outcomes, ("learned",), costs, confidence=0.9, strict=True)
        threshold = solve(case, [target("bytes", "300B")]).threshold
        found += FALLING.coverage(threshold) < 1.0
        wrong += (1 - FALLING.coverage(threshold)) * 1000.0 > 300.0 + 1e-9
    assert wrong / SPLITS <= most(0.1, SPLITS)
    assert found > SPLITS / 2


def test_both_bounds_together_keep_the_confidence() -> None:
    rng, wrong, found = np.random.default_rng(7), 0, 0
    for _ in range(SPLITS):
        case = Problem(FALLING.draw(rng, 600), ("learned",), confidence=0.8, strict=True)
        try:
            wanted = [target("accuracy", "90%"), target("query_rate", "60%")]
            threshold = solve(case, wanted).threshold
        except TargetError:
            continue
        found += 1
        wrong += FALLING.accuracy(threshold) < 0.9 or FALLING.coverage(threshold) < 0.4
    assert found > SPLITS / 2
    assert wrong / SPLITS <= most(0.2, SPLITS)


# -- the pieces


def test_binomial_tails_against_counting() -> None:
    for count, share in ((1, 0.3), (7, 0.2), (12, 0.95)):
        mass = [
            math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(count + 1)
        ]
        assert binomial_cdf(count, share) == pytest.approx(np.cumsum(mass))
    assert binomial_cdf(5, 0.0).tolist() == [1.0] * 6
    assert binomial_cdf(3, 1.0).tolist() == [0.0, 0.0, 0.0, 1.0]
    assert binomial_cdf(20_000, 0.1)[2000] == pytest.approx(0.506, abs=2e-3)


def test_exact_bounds_against_known_values() -> None:
    exact = lower_bound(10, 100, 0.025), upper_bound(10, 100, 0.025)
    assert exact == pytest.approx((0.04900, 0.17622), abs=1e-5)
    assert lower_bound(100, 100, 0.05) == pytest.approx(0.05**0.01)
    assert upper_bound(0, 100, 0.05) == pytest.approx(1 - 0.05**0.01)
    assert (lower_bound(0, 9, 0.05), upper_bound(9, 9, 0.05)) == (0.0, 1.0)
    assert (lower_bound(0, 0, 0.05), upper_bound(0, 0, 0.05)) == (0.0, 1.0)
    low, high = wilson(10, 100)
    assert exact[0] < low < 0.1 < high < exact[1]


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_p_values_are_valid_and_the_exact_one_is_the_smaller(share: float) -> None:
    """At the edge of the hypothesis P(p <= u) <= u, for every u; computed, not sampled."""
    count = 80
    wrong = np.arange(count + 1)
    mass = np.diff(np.concatenate([[0.0], binomial_cdf(count, share)]))
    exact = bounds.binomial_p_values(wrong, count, share)
    hb = bounds.hoeffding_bentkus(wrong / count, count, share)
    for values in (exact, hb):
        for level in (0.01, 0.05, 0.1, 0.5):
            assert mass[values <= level].sum() <= level + 1e-12
    assert (exact <= hb + 1e-12).all()
    assert (np.diff(hb) >= -1e-12).all()


def test_hoeffding_bentkus_values() -> None:
    # Hoeffding at mean 0: (1 - alpha)^n; Bentkus is e times that, so the former counts.
    assert bounds.hoeffding_bentkus(np.array([0.0]), 50, 0.1) == pytest.approx(0.9**50)
    both = bounds.hoeffding_bentkus(np.array([0.06]), 100, 0.1)
    relative = 0.06 * math.log(0.6) + 0.94 * math.log(0.94 / 0.9)
    bentkus = math.e * float(binomial_cdf(100, 0.1)[6])
    assert both == pytest.approx(min(math.exp(-100 * relative), bentkus))
    assert bounds.hoeffding_bentkus(np.array([0.2]), 100, 0.1) == pytest.approx(1.0)
    assert bounds.hoeffding_bentkus(np.array([1.0]), 10, 1.0) == 0.0
    assert bounds.hoeffding_bentkus(np.array([0.0]), 10, 0.0) == 1.0


def test_a_sequence_stops_at_the_first_failure() -> None:
    assert bounds.fixed_sequence(np.array([0.01, 0.02, 0.3, 0.001]), 0.05) == 2
    assert bounds.fixed_sequence(np.array([0.5, 0.0]), 0.05) == 0
    assert bounds.fixed_sequence(np.array([0.01, 0.05]), 0.05) == 2
    assert bounds.certify_budget(np.array([0.9, 0.001, 0.9, 0.01, 0.01]), 0.05) == 3
    assert bounds.certify_budget(np.array([0.0, 0.9]), 0.05) is None


def test_conformal_control_counts_one_image_more() -> None:
    """Four images, all right: the fifth may be wrong, so at most 4 of 5 are promised."""
    zeros = np.zeros(4, int)
    steps = steps_of(Outcomes.of_two(zeros, zeros, zeros, {"learned": np.arange(4)}), "learned")
    assert bounds.control_accuracy(steps, 0.8) == 4
    assert bounds.control_accuracy(steps, 0.81) is None
    assert bounds.controllable_accuracy(steps, 0) == pytest.approx(0.8)
    case = Problem(
        Outcomes.of_two(zeros, zeros, zeros, {"learned": np.arange(4)}), ("learned",), guarantee=CRC
    )
    assert solve(case, [target("accuracy", "80%")]).coverage == 1.0


def test_certifiable_accuracy_is_the_edge_of_certifying() -> None:
    rng = np.random.default_rng(8)
    steps = steps_of(FALLING.draw(rng, 300), "learned")
    for step in (0, 10, 40):
        best = bounds.certifiable_accuracy(steps, step, 0.05)
        at = bounds.certify_accuracy(steps, best - 1e-9, 0.05)
        above = bounds.certify_accuracy(steps, best + 1e-6, 0.05)
        assert at is not None and at >= step
        assert above is None or above < step
