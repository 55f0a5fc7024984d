"""Targets to thresholds: the solver against trying every threshold, and what cannot be met."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.errors import InputError, TargetError
from mcu_hybrid.routing.cascade import board_to_cloud
from mcu_hybrid.routing.costs import Cost
from mcu_hybrid.routing.outcomes import Outcomes, load_outcomes
from mcu_hybrid.routing.sweep import steps_of
from mcu_hybrid.routing.tune.problem import CRC, LTT, NONE, Problem
from mcu_hybrid.routing.tune.settings import ABSTAIN, SAME_DEVICE, curve, measure
from mcu_hybrid.routing.tune.solve import solve
from mcu_hybrid.routing.tune.units import target
from tests.support.tuning_sample import brute_force, simulate

COSTS = {"latency": Cost("ms", 3.0, 80.0), "bytes": Cost("B", 0.0, 1000.0)}


def problem(outcomes: Outcomes, **values: object) -> Problem:
    return Problem(outcomes, ("learned",), **{"costs": COSTS, "guarantee": NONE, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2, 0.35, 0.9, 1.0])
def test_a_budget_is_used_up_and_not_exceeded(rate: float, ties: bool) -> None:
    outcomes = simulate(1, 400, ties=ties)
    found = solve(problem(outcomes), [target("query_rate", f"{100 * rate}%")])
    every = brute_force(outcomes, COSTS)
    fine = [t for t, row in every.items() if row["query_rate"] <= rate + 1e-12]
    assert found.threshold == min(fine)
    assert found.estimates["query_rate"].value == every[found.threshold]["query_rate"]
    assert found.guarantees == {"query_rate": "on average"}


def test_latency_and_bytes_are_the_same_constraint_in_other_units() -> None:
    outcomes = simulate(2, 300)
    by_rate = solve(problem(outcomes), [target("query_rate", "20%")])
    by_time = solve(problem(outcomes), [target("latency", "19ms")])  # 3 + 0.2 * 80
    by_bytes = solve(problem(outcomes), [target("bytes", "200B")])
    assert by_rate.threshold == by_time.threshold == by_bytes.threshold
    latency, rate = by_time.estimates["latency"], by_time.estimates["query_rate"]
    assert latency.value == pytest.approx(3 + 80 * (rate.value or 0))
    assert (latency.low, latency.high) == pytest.approx((3 + 80 * rate.low, 3 + 80 * rate.high))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("setting", ["edge-cloud", SAME_DEVICE, ABSTAIN])
def test_an_accuracy_is_reached_with_the_fewest_queries(setting: str, ties: bool) -> None:
    outcomes = simulate(4, 400, ties=ties)
    every = brute_force(outcomes, COSTS)
    kind = "selective" if setting == ABSTAIN else "accuracy"
    wanted = 0.85
    found = solve(problem(outcomes, setting=setting), [target("accuracy", "85%")])
    assert found.threshold == max(t for t, row in every.items() if row[kind] >= wanted)
    assert found.estimates["accuracy"].value == pytest.approx(every[found.threshold][kind])


def test_several_targets_at_once() -> None:
    outcomes = simulate(5, 400)
    every = brute_force(outcomes, COSTS)
    targets = [target("accuracy", "85%"), target("latency", "60ms"), target("bytes", "600B")]
    found = solve(problem(outcomes), targets)
    row = every[found.threshold]
    assert row["accuracy"] >= 0.85 and row["latency"] <= 60 and row["bytes"] <= 600
    cheaper = [t for t in every if t > found.threshold]
    assert all(every[t]["accuracy"] < 0.85 for t in cheaper)


@pytest.mark.parametrize("guarantee", [NONE, LTT, CRC])
def test_guaranteed_thresholds_query_more(guarantee: str) -> None:
    outcomes = simulate(6, 1000)
    plain = solve(problem(outcomes), [target("accuracy", "88%")])
    sure = solve(problem(outcomes, guarantee=guarantee), [target("accuracy", "88%")])
    assert sure.threshold <= plain.threshold
    assert (sure.threshold < plain.threshold) == (guarantee != NONE)
    words = {NONE: "none", LTT: "with 95 % confidence", CRC: "on average over calibrations"}
    assert sure.guarantees == {"accuracy": words[guarantee]}


def test_strict_budgets_keep_more() -> None:
    outcomes = simulate(7, 400)
    plain = solve(problem(outcomes), [target("query_rate", "20%")])
    sure = solve(problem(outcomes, strict=True), [target("query_rate", "20%")])
    assert sure.threshold > plain.threshold
    assert sure.guarantees == {"query_rate": "with 95 % confidence"}
    everything = solve(problem(outcomes, strict=True), [target("latency", "90ms")])
    assert everything.coverage == 0.0  # a budget above all costs is never in doubt


def test_fewer_queries_with_the_same_accuracy_are_named() -> None:
    scores = np.array([1, 2, 3, 4, 5, 6])
    device = np.array([0, 0, 0, 0, 0, 1])  # wrong only where the score is highest
    outcomes = Outcomes.of_two(device, np.zeros(6, int), np.zeros(6, int), {"learned": scores})
    found = solve(problem(outcomes), [target("query_rate", "50%")])
    assert (found.threshold, found.coverage) == (3, 0.5)
    assert any("--max-query-rate 16.67%" in note for note in found.notes)


# -- what cannot be met


def refuse(case: Problem, *wanted: tuple[str, str]) -> TargetError:
    with pytest.raises(TargetError) as caught:
        solve(case, [target(*one) for one in wanted])
    return caught.value


def again(case: Problem, option: str, *others: tuple[str, str]) -> None:
    """What the hint names can be met as it stands."""
    name, value = option.split(",")[0].split(" ")[:2]
    metric = name.split("-", 3)[3].replace("-", "_")
    solve(case, [target(metric, value), *(target(*one) for one in others if one[0] != metric)])


def test_a_budget_below_the_edge_names_the_edge() -> None:
    case = problem(simulate(1, 50))
    error = refuse(case, ("latency", "2ms"))
    assert error.message == (
        "latency <= 2 ms cannot be met; nearest feasible: 3 ms (an input costs that without any "
        "query)"
    )
    assert error.nearest == {"latency": 3.0}
    again(case, error.hint)


@pytest.mark.parametrize(
    ("guarantee", "setting"),
    [(NONE, "edge-cloud"), (LTT, "edge-cloud"), (CRC, "edge-cloud"), (LTT, ABSTAIN)],
)
def test_an_accuracy_out_of_reach_names_the_best(guarantee: str, setting: str) -> None:
    case = problem(simulate(8, 300), guarantee=guarantee, setting=setting)
    error = refuse(case, ("accuracy", "100%"))
    assert "accuracy >= 100 % cannot be met" in error.message
    assert 0.3 < error.nearest["accuracy"] < 1.0
    again(case, error.hint)
    with pytest.raises(TargetError):
        solve(case, [target("accuracy", f"{error.nearest['accuracy'] + 1e-6}")])


@pytest.mark.parametrize("guarantee", [NONE, LTT, CRC])
def test_targets_in_conflict_name_both_ways_out(guarantee: str) -> None:
    case = problem(simulate(9, 600), guarantee=guarantee)
    wanted = ("accuracy", "86%"), ("query_rate", "2%")
    error = refuse(case, *wanted)
    assert set(error.nearest) == {"accuracy", "query_rate"}
    assert "within the budget" in error.message and "takes query rate" in error.message
    for option in error.hint.split(", or ")[:2]:
        again(case, option, *wanted)


def test_strict_budgets_that_a_small_split_cannot_show() -> None:
    case = problem(simulate(1, 50), strict=True)
    error = refuse(case, ("query_rate", "1%"))
    assert "50 calibration images cannot show less" in error.message
    assert error.nearest["query_rate"] == pytest.approx(1 - 0.05 ** (1 / 50))
    again(case, error.hint)


def test_abstention_has_no_conformal_guarantee() -> None:
    with pytest.raises(InputError, match="not over the kept ones"):
        problem(simulate(1, 50), guarantee=CRC, setting=ABSTAIN)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"guarantee": "hope"}, "no guarantee 'hope'"),
        ({"confidence": 1.0}, "not between 0 and 1"),
    ],
)
def test_problems_that_make_no_sense(values: Mapping[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        problem(simulate(1, 10), **values)


def test_unknown_routers_metrics_settings_and_no_target() -> None:
    outcomes = simulate(1, 10)
    with pytest.raises(InputError, match="no 'oracle' score"):
        solve(Problem(outcomes, ("oracle",)), [target("query_rate", "20%")])
    with pytest.raises(InputError, match="the energy of an input is not known here"):
        solve(problem(outcomes), [target("energy", "5mJ")])
    with pytest.raises(InputError, match="no target"):
        solve(problem(outcomes), [])
    with pytest.raises(InputError, match="no setting 'moon'"):
        measure(outcomes, board_to_cloud("learned", 0), {}, "moon")


# -- small and odd splits


def test_an_empty_split_is_refused() -> None:
    none = np.zeros(0, int)
    with pytest.raises(InputError, match="calibration split is empty"):
        Outcomes.of_two(none, none, none, {"learned": none})
    with pytest.raises(InputError, match="different lengths"):
        Outcomes.of_two(np.zeros(2), np.zeros(2), np.zeros(2), {"learned": np.zeros(3)})


def test_one_image() -> None:
    one = Outcomes.of_two(np.array([1]), np.array([2]), np.array([2]), {"learned": np.array([7])})
    found = solve(problem(one), [target("accuracy", "100%")])
    assert (found.threshold, found.coverage) == (6, 0.0)
    kept = solve(problem(one), [target("query_rate", "0%")])
    assert (kept.threshold, kept.coverage) == (7, 1.0)
    error = refuse(problem(one, guarantee=LTT), ("accuracy", "90%"))
    assert error.nearest["accuracy"] == pytest.approx(0.05)  # P(1 of 1 right) <= 5 %
    assert refuse(problem(one, guarantee=CRC), ("accuracy", "90%")).nearest["accuracy"] == 0.5


def test_all_scores_alike_leave_two_decisions() -> None:
    outcomes = simulate(3, 100)
    flat = Outcomes.of_two(
        outcomes.device, outcomes.cloud, outcomes.truth, {"learned": np.full(100, -128)}
    )
    assert steps_of(flat, "learned").thresholds.tolist() == [-129, -128]
    assert solve(problem(flat), [target("query_rate", "50%")]).coverage == 1.0


def test_outcomes_survive_the_file(tmp_path: Path) -> None:
    outcomes = simulate(3, 40)
    outcomes.save(tmp_path / "x.npz")
    back = load_outcomes(tmp_path / "x.npz")
    assert (back.device == outcomes.device).all() and (back.truth == outcomes.truth).all()
    assert (back.score("learned") == outcomes.score("learned")).all()
    assert back.basis == outcomes.basis
    (tmp_path / "x.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be read as outcomes"):
        load_outcomes(tmp_path / "x.npz")


# -- settings


@pytest.mark.parametrize("setting", ["edge-cloud", ABSTAIN])
def test_curves_are_what_their_thresholds_give(setting: str) -> None:
    outcomes = simulate(11, 200)
    got = curve(outcomes, "learned", COSTS, setting)
    every = brute_force(outcomes, COSTS)
    kind = "selective" if setting == ABSTAIN else "accuracy"
    first = 1 if setting == ABSTAIN else 0
    assert got["threshold"] == list(every)[first:]
    for i, threshold in enumerate(got["threshold"]):
        row = every[int(threshold)]
        assert got["coverage"][i] == pytest.approx(row["coverage"])
        assert got["accuracy"][i] == pytest.approx(row[kind])
        assert got["latency"][i] == pytest.approx(row["latency"])
    thin = curve(outcomes, "learned", COSTS, setting, points=20)
    assert len(thin["coverage"]) == 20
    assert (thin["coverage"][0], thin["coverage"][-1]) == (got["coverage"][0], 1.0)


def test_selective_accuracy_falls_with_coverage_and_is_none_of_nothing() -> None:
    outcomes = simulate(11, 200)
    kept = curve(outcomes, "learned", {}, ABSTAIN)
    assert kept["accuracy"][0] > kept["accuracy"][-1]
    nothing = measure(outcomes, board_to_cloud("learned", -1000), {}, ABSTAIN)
    assert nothing["accuracy"].value is None


def test_costs_that_differ_between_images() -> None:
    outcomes = simulate(12, 500)
    sizes = np.random.default_rng(0).integers(500, 1500, 500).astype(float)
    costs = {"bytes": Cost("B", 0.0, sizes)}
    found = solve(problem(outcomes, costs=costs), [target("bytes", "200B")])
    queried = outcomes.score("learned") > found.threshold
    exact = float(sizes[queried].sum() / 500)
    got = found.estimates["bytes"]
    assert got.value == pytest.approx(exact) and exact <= 200
    assert got.low < exact < got.high
    one_less = outcomes.score("learned") > sorted(outcomes.score("learned")[~queried])[-2]
    assert float(sizes[one_less].sum() / 500) > 200 - 1500 / 500  # the next step is above
    sure = solve(problem(outcomes, costs=costs, strict=True), [target("bytes", "200B")])
    assert sure.threshold > found.threshold
    with pytest.raises(InputError, match="costs of 3 images for 500 outcomes"):
        measure(outcomes, board_to_cloud("learned", 0), {"bytes": Cost("B", 0.0, np.ones(3))})


def test_the_interval_of_a_cost_covers_the_truth() -> None:
    """Queries of different size: 95 % intervals from 300 images, 600 times."""
    rng = np.random.default_rng(5)
    inside, share, mean_size = 0, 0.2, 1000.0
    for _ in range(600):
        queried = rng.random(300) < share
        sizes = rng.gamma(4.0, mean_size / 4, 300)
        labels = np.zeros(300, int)
        outcomes = Outcomes.of_two(labels, labels, labels, {"learned": queried.astype(int)})
        got = measure(outcomes, board_to_cloud("learned", 0), {"bytes": Cost("B", 0.0, sizes)})[
            "bytes"
        ]
        inside += got.low <= share * mean_size <= got.high
    assert 0.92 <= inside / 600 <= 0.98
