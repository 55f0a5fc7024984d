"""Cascades of two and three stages: who answers, who is right, and thresholds of all hops at once.

The three-stage answers are made: an exit, the base's end, the cloud. Every choice is held against
trying all vectors of thresholds by counting.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcu_hybrid.errors import InputError, TargetError
from mcu_hybrid.routing.cascade import Cascade, Rule, Stage, board_to_cloud, cascade_of
from mcu_hybrid.routing.costs import Cost
from mcu_hybrid.routing.outcomes import MISSING, Outcomes
from mcu_hybrid.routing.tune import vectors
from mcu_hybrid.routing.tune.problem import CRC, LTT, NONE, Problem
from mcu_hybrid.routing.tune.settings import ABSTAIN, measure
from mcu_hybrid.routing.tune.solve import solve
from mcu_hybrid.routing.tune.units import target
from tests.support.tuning_sample import simulate

COSTS = {
    "latency": Cost("ms", 1.0, 80.0, between=(3.0,)),
    "bytes": Cost("B", 0.0, 1000.0),
}
ROUTERS = ("margin", "entropy")


def three(seed: int, count: int = 40, levels: int = 8) -> Outcomes:
    """An exit that is often wrong, a base, and a cloud; each hop's score leans towards mistakes."""
    rng = np.random.default_rng(seed)
    hard, truth = rng.random(count), rng.integers(0, 5, count)

    def answers(accuracy: np.ndarray) -> np.ndarray:
        other = (truth + rng.integers(1, 5, count)) % 5
        return np.where(rng.random(count) < accuracy, truth, other)

    said = [answers(1 - 0.9 * hard), answers(1 - 0.5 * hard), answers(np.full(count, 0.95))]
    noisy = [np.floor(levels * (hard + 0.2 * rng.standard_normal(count))) for _ in range(4)]
    scores = {
        "margin": np.stack(noisy[:2], axis=1).astype(np.int64),
        "entropy": np.stack(noisy[2:], axis=1).astype(np.int64),
    }
    return Outcomes(np.stack(said, axis=1), truth, scores)


def by_hand(outcomes: Outcomes, thresholds: tuple[int, int]) -> dict[str, float]:
    """The figures of two thresholds, image by image."""
    right, kept, kept_right, latency, sent = 0, 0, 0, 0.0, 0.0
    reached = [0, 0]
    for i in range(outcomes.count):
        stage = 0
        while stage < 2 and outcomes.scores[ROUTERS[stage]][i, stage] > thresholds[stage]:
            reached[stage] += 1
            stage += 1
        good = outcomes.answers[i, stage] == outcomes.truth[i]
        right += good
        kept += stage < 2
        kept_right += good and stage < 2
        latency += 1.0 + (3.0 if stage > 0 else 0.0) + (80.0 if stage > 1 else 0.0)
        sent += 1000.0 if stage > 1 else 0.0
    n = outcomes.count
    return {
        "accuracy": right / n,
        "selective": kept_right / kept if kept else 0.0,
        "query_rate": reached[1] / n,
        "second": reached[0] / n,
        "latency": latency / n,
        "bytes": sent / n,
    }


def all_vectors(outcomes: Outcomes) -> Iterator[tuple[tuple[int, int], dict[str, float]]]:
    """Every pair of integers that can matter."""
    ranges = [
        range(int(outcomes.score(name, hop).min()) - 1, int(outcomes.score(name, hop).max()) + 1)
        for hop, name in enumerate(ROUTERS)
    ]
    for one in itertools.product(*ranges):
        yield (one[0], one[1]), by_hand(outcomes, (one[0], one[1]))


def problem(outcomes: Outcomes, **values: object) -> Problem:
    return Problem(outcomes, ROUTERS, **{"costs": COSTS, "guarantee": NONE, **values})  # type: ignore[arg-type]


def going(row: dict[str, float]) -> tuple[float, float]:
    """What is used up, or spared: inputs at the last stage, then at the second."""
    return row["query_rate"], row["second"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "wanted",
    [
        {"query_rate": "20%"},
        {"latency": "15ms"},
        {"latency": "25ms", "query_rate": "10%"},
        {"accuracy": "80%"},
        {"accuracy": "75%", "latency": "40ms"},
        {"accuracy": "70%", "bytes": "300B", "latency": "30ms"},
    ],
)
def test_two_thresholds_are_those_of_trying_every_pair(seed: int, wanted: dict[str, str]) -> None:
    outcomes = three(seed)
    targets = [target(name, text) for name, text in wanted.items()]
    budgets = {t.metric.name: t.value for t in targets if t.metric.name != "accuracy"}
    rows = [row for _, row in all_vectors(outcomes)]
    fine = [row for row in rows if all(row[name] <= most + 1e-9 for name, most in budgets.items())]
    good = [row for row in fine if row["accuracy"] >= targets[0].value - 1e-12]
    case = problem(outcomes)
    if not fine or ("accuracy" in wanted and not good):
        with pytest.raises(TargetError, match="nearest feasible") as refused:
            solve(case, targets)
        if fine:
            assert refused.value.nearest["accuracy"] == max(row["accuracy"] for row in fine)
        return
    best = min(map(going, good)) if "accuracy" in wanted else max(map(going, fine))
    found = solve(case, targets)
    row = by_hand(outcomes, (found.thresholds[0], found.thresholds[1]))
    assert going(row) == best
    assert all(row[name] <= most + 1e-9 for name, most in budgets.items())
    assert "accuracy" not in wanted or row["accuracy"] >= targets[0].value - 1e-12
    for name in ("accuracy", "query_rate", "latency", "bytes"):
        assert found.estimates[name].value == pytest.approx(row[name])
        low, high = found.estimates[name].low, found.estimates[name].high
        assert low <= row[name] + 1e-12 and row[name] <= high + 1e-12
    assert found.coverage == pytest.approx(1 - row["query_rate"])
    assert set(found.guarantees.values()) <= {"none", "on average"}


def test_abstaining_behind_two_stages() -> None:
    outcomes = three(2)
    rows = [row for _, row in all_vectors(outcomes)]
    wanted = sorted(row["selective"] for row in rows)[-40]
    found = solve(problem(outcomes, setting=ABSTAIN), [target("accuracy", f"{100 * wanted}%")])
    best = min(going(row) for row in rows if row["selective"] >= wanted - 1e-12)
    row = by_hand(outcomes, (found.thresholds[0], found.thresholds[1]))
    assert going(row) == best and found.estimates["accuracy"].value == row["selective"]


def test_what_no_pair_reaches_names_what_can_be() -> None:
    outcomes = three(1)
    rows = [row for _, row in all_vectors(outcomes)]
    with pytest.raises(TargetError) as refused:
        solve(problem(outcomes), [target("latency", "0.5ms")])
    assert refused.value.nearest == {"latency": 1.0}
    with pytest.raises(TargetError) as refused:
        solve(problem(outcomes), [target("accuracy", "100%")])
    assert refused.value.nearest == {"accuracy": max(row["accuracy"] for row in rows)}


@pytest.mark.parametrize("guarantee", [LTT, CRC])
def test_no_bound_is_promised_for_two_thresholds(guarantee: str) -> None:
    with pytest.raises(InputError, match="no bound is known for 2 thresholds together"):
        problem(three(0), guarantee=guarantee)
    with pytest.raises(InputError, match="no bound is known"):
        problem(three(0), strict=True)
    with pytest.raises(InputError, match="1 routers for 2 hops"):
        Problem(three(0), ("margin",), guarantee=NONE)


@given(st.integers(0, 50), st.sampled_from([0.0, 0.1, 0.25, 0.6, 1.0]))
@settings(max_examples=25, deadline=None)
def test_vectors_of_one_are_the_exact_solver_s(seed: int, rate: float) -> None:
    outcomes = simulate(seed, 60, ties=True)
    case = Problem(outcomes, ("learned",), guarantee=NONE)
    budget = [target("query_rate", f"{100 * rate:g}%")]
    assert vectors.choose(case, budget) == solve(case, budget).thresholds
    reached = sorted({float(outcomes.right_at(one.stages).mean()) for one in vectors.every(case)})
    accuracy = [target("accuracy", f"{100 * reached[len(reached) // 2]}%")]
    assert vectors.choose(case, accuracy) == solve(case, accuracy).thresholds


def test_many_scores_are_thinned_and_the_targets_still_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes = three(3, count=300, levels=1000)
    monkeypatch.setattr(vectors, "MOST_WALKS", 300 * 400)
    assert len(vectors.every(problem(outcomes))) <= 400
    found = solve(problem(outcomes), [target("latency", "30ms"), target("accuracy", "70%")])
    row = by_hand(outcomes, (found.thresholds[0], found.thresholds[1]))
    assert row["latency"] <= 30 and row["accuracy"] >= 0.7


# -- cascades and outcomes


def test_a_walk_ends_at_the_first_stage_that_is_sure() -> None:
    cascade = cascade_of([Rule("margin", 3), Rule("entropy", 10)])
    assert [stage.kind for stage in cascade.stages] == ["exit", "base", "cloud"]
    first, second = np.array([3, 4, 4, 0]), np.array([99, 10, 11, 99])
    assert cascade.walk([first, second]).tolist() == [0, 1, 2, 0]
    two = board_to_cloud("margin", 3)
    assert [stage.kind for stage in two.stages] == ["base", "cloud"]
    assert two.walk([first]).tolist() == [0, 1, 1, 0]
    with pytest.raises(ValueError, match="2 stages have a rule fewer, not 0"):
        Cascade((Stage("a", "base"), Stage("b", "cloud")), ())


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=30), st.integers(-9, 9))
@settings(deadline=None)
def test_board_and_cloud_are_the_one_rule(values: list[int], threshold: int) -> None:
    scores = np.array(values)
    stages = board_to_cloud("margin", threshold).walk([scores])
    assert stages.tolist() == [int(value > threshold) for value in values]


def test_a_silent_stage_leaves_the_answer_of_the_one_ahead() -> None:
    answers = np.array([[0, 1, 2], [0, 1, MISSING], [0, MISSING, MISSING], [0, MISSING, 2]])
    outcomes = Outcomes(answers, np.array([2, 1, 0, 2]), {})
    assert outcomes.standing.tolist() == [[0, 1, 2], [0, 1, 1], [0, 0, 0], [0, 0, 2]]
    assert outcomes.right.tolist() == [
        [False, False, True],
        [False, True, True],
        [True, True, True],
        [False, False, True],
    ]
    assert outcomes.answered.tolist() == [True, False, False, True]
    assert outcomes.right_at(np.array([2, 0, 1, 1])).tolist() == [True, False, True, False]
    assert answers.tolist()[1] == [0, 1, MISSING]  # what was said stays as it was


def test_outcomes_refuse_what_does_not_fit() -> None:
    answers = np.zeros((3, 3), int)
    with pytest.raises(ValueError, match="for 2 hops"):
        Outcomes(answers, np.zeros(3, int), {"margin": np.zeros((3, 1), int)})
    with pytest.raises(ValueError, match="two stages"):
        Outcomes(answers, np.zeros(3, int)).save("x.npz")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no 'learned' score"):
        three(0).score("learned", 1)


def test_measures_of_two_and_three_agree_where_the_exit_never_answers() -> None:
    outcomes = three(4, count=200)
    never = int(outcomes.score("margin").min()) - 1
    found = measure(
        outcomes, cascade_of([Rule("margin", never), Rule("entropy", 4)]), {"bytes": COSTS["bytes"]}
    )
    two = Outcomes.of_two(
        outcomes.answers[:, 1],
        outcomes.cloud,
        outcomes.truth,
        {"entropy": outcomes.score("entropy", 1)},
    )
    assert found == measure(two, board_to_cloud("entropy", 4), {"bytes": COSTS["bytes"]})
