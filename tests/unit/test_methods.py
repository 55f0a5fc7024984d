"""Identities of the spec's section 11, on synthetic answers: any score, any pair of networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcu_hybrid.errors import InputError
from mcu_hybrid.routing import methods
from mcu_hybrid.routing.evaluate import wilson
from mcu_hybrid.routing.methods import SCORE, Run, UnitCosts
from mcu_hybrid.routing.outcomes import Outcomes

COSTS = UnitCosts(edge_ms=200.0, query_ms=2000.0, query_bytes=3072, edge_mj=20.0, query_mj=200.0)
PAPER_COVERAGES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


def images(rng: np.random.Generator, count: int, noise: float) -> Outcomes:
    """A weak edge, a strong cloud, and a score that sees the difficulty through noise."""
    hard = rng.random(count)
    edge = rng.random(count) > 0.55 * hard
    cloud = rng.random(count) > 0.1 + 0.1 * hard
    score = np.round(5000 * (hard + noise * rng.standard_normal(count))).astype(np.int64)
    return Outcomes.of_right(edge, cloud, {SCORE: score})


def run(seed: int, method: str = "ours", noise: float = 0.3, count: int = 4000) -> Run:
    """A run whose answers depend on the seed and whose scores depend on the noise too."""
    rng = np.random.default_rng(seed)
    return Run(method, seed, images(rng, count, noise), images(rng, count, noise), COSTS)


@pytest.mark.parametrize("seed", range(4))
def test_the_ends_are_the_two_networks(seed: int) -> None:
    one = run(seed)
    top = int(one.test.score(SCORE).max())
    sure = one.calibration.scored(SCORE, np.full(one.calibration.count, top))
    everything = methods.point(replace(one, calibration=sure), 1.0)
    assert everything["coverage"] == 1.0
    assert everything["accuracy"] == one.test.device_right.mean() == everything["accuracy_kept"]
    assert everything["latency_ms"] == 200.0 and everything["bytes"] == 0.0
    low = int(min(one.test.score(SCORE).min(), one.calibration.score(SCORE).min()))
    unsure = one.calibration.scored(SCORE, np.full(one.calibration.count, low))
    nothing = methods.point(replace(one, calibration=unsure), 0.0)
    assert nothing["coverage"] == 0.0
    assert nothing["accuracy"] == one.test.cloud_right.mean() == nothing["accuracy_queried"]
    assert nothing["latency_ms"] == 2200.0 and nothing["bytes"] == 3072.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
def test_no_score_beats_the_oracles(seed: int, noise: float) -> None:
    one = run(seed, noise=noise)
    edge, worth = (
        one.test.device_right.mean(),
        (~one.test.device_right & one.test.cloud_right).mean(),
    )
    bounds = methods.oracles(one)
    either = (one.test.device_right | one.test.cloud_right).mean()
    assert bounds.margin.accuracy == pytest.approx(either)
    assert bounds.margin_upper.accuracy == pytest.approx(either)
    assert bounds.margin_upper.coverage <= bounds.margin.coverage
    for coverage in np.linspace(0, 1, 21):
        row = methods.point(one, float(coverage))
        assert row["accuracy"] <= edge + min(1 - row["coverage"], worth) + 1e-12
        best = methods.oracle_curve([one], (row["coverage"],))["accuracy"][0]
        assert row["accuracy"] <= best + 1e-12


def test_the_oracles_own_order_reaches_its_curve() -> None:
    one = run(3)
    gain = one.test.cloud_right.astype(int) - one.test.device_right.astype(int)
    # Each image its own score, so that every coverage is reached on the test split itself.
    order = np.argsort(np.argsort(gain, kind="stable"))
    known = one.test.scored(SCORE, order)
    perfect = Run("oracle", 3, known, known, COSTS)
    curve = methods.curve([perfect])
    bound = methods.oracle_curve([perfect])
    np.testing.assert_allclose(curve["accuracy"], bound["accuracy"], atol=2e-4)
    np.testing.assert_allclose(curve["latency_ms"], bound["latency_ms"], atol=1e-6)


@pytest.mark.parametrize("coverage", PAPER_COVERAGES)
def test_realised_coverage_lies_in_its_interval(coverage: float) -> None:
    points = [methods.point(run(seed, count=1500), coverage) for seed in range(60)]
    assert np.mean([p["coverage_in_interval"] for p in points]) >= 0.88
    assert max(abs(p["coverage"] - coverage) for p in points) < 0.08
    assert all(p["coverage_allowed"] < 0.045 for p in points)
    large = methods.point(run(1, count=100_000), coverage)
    assert abs(large["coverage"] - coverage) < 0.005
    for p in points:
        assert p["latency_ms"] == pytest.approx(200 + 2000 * (1 - p["coverage"]))
        assert p["energy_mj"] == pytest.approx(20 + 200 * (1 - p["coverage"]))


def test_equal_scores_widen_the_interval_by_what_they_hold_together() -> None:
    one = run(0)
    coarse = [s.scored(SCORE, s.score(SCORE) // 2500) for s in (one.calibration, one.test)]
    row = methods.point(replace(one, calibration=coarse[0], test=coarse[1]), 0.6)
    assert row["coverage_in_interval"] and row["coverage_allowed"] > 0.03


def test_rows_are_means_over_seeds_with_intervals() -> None:
    runs = [run(seed, count=2000) for seed in range(3)]
    rows = methods.table([*runs, run(0, "other")], (0.8,))
    assert [row["method"] for row in rows] == ["ours", "other"]
    singles = [methods.point(one, 0.8) for one in runs]
    row = rows[0]
    for key in ("accuracy", "coverage", "latency_ms", "accuracy_kept", "both_wrong_queried"):
        assert row[key] == pytest.approx(np.mean([p[key] for p in singles]))
    assert row["accuracy_seeds"][0] == min(p["accuracy"] for p in singles)
    low, high = row["accuracy_ci"]
    assert low < row["accuracy"] < high and row["seeds"] == 3
    # Independent seeds here: the mean of three is surer than one of them.
    single = wilson(round(2000 * singles[0]["accuracy"]), 2000)
    assert high - low < single[1] - single[0]


def test_bootstrap_is_the_binomial_interval_where_values_are_0_or_1() -> None:
    values = np.repeat([0.0, 1.0], [200, 800])
    low, high = methods.bootstrap(values)
    assert (low, high) == pytest.approx((0.775, 0.8245), abs=0.002)
    assert methods.bootstrap(values) == (low, high)
    assert methods.bootstrap(np.ones(50)) == (1.0, 1.0)


def test_gaps_are_paired() -> None:
    good = [run(seed, noise=0.1) for seed in range(3)]
    blind = [
        replace(
            one, method="blind", test=one.test.scored(SCORE, one.test.score(SCORE)[::-1].copy())
        )
        for one in good
    ]
    row = methods.gaps(good, blind, (0.7,))[0]
    means = [methods.table(runs, (0.7,))[0]["accuracy"] for runs in (good, blind)]
    assert row["gap"] == pytest.approx(means[0] - means[1])
    assert row["gap"] == pytest.approx(np.mean(row["gap_seeds"]))
    assert row["gap_ci"][0] > 0 and min(row["gap_seeds"]) > 0
    assert methods.gaps(good, good, (0.7,))[0]["gap_ci"] == [0.0, 0.0]
    with pytest.raises(InputError, match="different seeds"):
        methods.gaps(good, blind[:2])


def test_the_share_of_the_gap_that_is_closed() -> None:
    one = run(5, "simple", noise=1.0)
    gain = one.test.cloud_right.astype(int) - one.test.device_right.astype(int)
    order = np.argsort(np.argsort(gain, kind="stable"))
    known = one.test.scored(SCORE, order)
    perfect = Run("oracle", 5, known, known, COSTS)
    worse = replace(run(5, "worse", noise=9.0), test=one.test.scored(SCORE, order[::-1].copy()))
    told = methods.closed([perfect], {"worse": [worse], "simple": [one]}, 0.8)
    assert told["best_simple"] == "simple"
    assert told["closed"] == pytest.approx(1.0, abs=0.01)
    assert methods.closed([one], {"simple": [one]}, 0.8)["closed"] == 0.0


def test_faulty_arrays_are_refused() -> None:
    flags = np.ones(3, bool)
    with pytest.raises(InputError, match="one common length"):
        Outcomes.of_right(flags, flags, {SCORE: np.zeros(2, int)})
    with pytest.raises(InputError, match="must be integers"):
        Outcomes.of_right(flags, flags, {SCORE: np.zeros(3)})
    with pytest.raises(InputError, match="test splits of"):
        methods.table([run(0, count=100), run(1, count=200)])
