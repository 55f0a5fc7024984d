"""Routing tables: the paper's identities, thresholds as exact order statistics, link arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcu_hybrid.cloud.linkmodel import PRESETS, LinkModel, link_model
from mcu_hybrid.errors import InputError
from mcu_hybrid.harness import route_eval as rv

COSTS = rv.Costs(edge_ms=200.0, query_ms=2000.0, query_bytes=100)


def simulate(seed: int, n: int = 4000, classes: int = 10) -> tuple[rv.Labels, np.ndarray]:
    """A weak device, a strong cloud, and a score that leans towards the device's mistakes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)

    def answers(accuracy: np.ndarray) -> np.ndarray:
        other = (truth + rng.integers(1, classes, n)) % classes
        return np.where(rng.random(n) < accuracy, truth, other)

    hard = rng.random(n)
    labels = rv.Labels(answers(1 - 0.55 * hard), answers(np.full(n, 0.92)), truth)
    return labels, np.round(100 * (hard + 0.3 * rng.standard_normal(n))).astype(np.int64)


@pytest.mark.parametrize("seed", range(3))
def test_identities(seed: int) -> None:
    labels, scores = simulate(seed)
    device = float((labels.device == labels.truth).mean())
    cloud = float((labels.cloud == labels.truth).mean())
    gain = float(((labels.device != labels.truth) & (labels.cloud == labels.truth)).mean())
    either = float(((labels.device == labels.truth) | (labels.cloud == labels.truth)).mean())
    bounds = rv.oracles(labels, COSTS)
    assert bounds["agreement"]["accuracy"] == cloud
    assert bounds["margin"]["accuracy"] == pytest.approx(either)
    assert bounds["margin_upper"]["accuracy"] == pytest.approx(either)
    assert bounds["margin_upper"]["coverage"] < bounds["margin"]["coverage"]

    curve = rv.curve(labels, scores, COSTS)
    assert (curve["coverage"][0], curve["accuracy"][0]) == (0.0, cloud)
    assert (curve["coverage"][-1], curve["accuracy"][-1]) == (1.0, device)
    coverage, accuracy = np.array(curve["coverage"]), np.array(curve["accuracy"])
    assert (np.diff(coverage) > 0).all()
    assert (accuracy <= device + np.minimum(1 - coverage, gain) + 1e-12).all()
    best = bounds["best"]
    assert (accuracy <= np.interp(coverage, best["coverage"], best["accuracy"]) + 1e-12).all()
    blind = np.interp(coverage, bounds["random"]["coverage"], bounds["random"]["accuracy"])
    assert (accuracy[1:-1] > blind[1:-1] - 0.01).mean() > 0.95
    assert rv.area_under(bounds["random"]) < rv.area_under(curve) < rv.area_under(best)


def test_every_curve_point_is_what_its_threshold_gives() -> None:
    labels, scores = simulate(5, n=300)
    curve = rv.curve(labels, scores, COSTS)
    for i, threshold in enumerate([scores.min() - 1, *np.unique(scores)]):
        point = rv.evaluate(labels, scores <= threshold, COSTS)
        for key in ("coverage", "accuracy", "latency_ms"):
            assert curve[key][i] == pytest.approx(point[key], abs=1e-12)
    assert len(curve["coverage"]) == len(np.unique(scores)) + 1


def test_the_table_keeps_calibration_and_test_apart() -> None:
    labels, scores = simulate(1, n=8000)
    half = rv.Labels(labels.device[4000:], labels.cloud[4000:], labels.truth[4000:])
    routers = {
        "entropy": rv.Scores(scores[:4000] + 0.5, scores[4000:] + 0.5),
        "router": rv.Scores(scores[:4000], scores[4000:]),
    }
    rows = rv.table(half, routers, COSTS)
    assert [row["method"] for row in rows[:2]] == ["on-device only", "cloud only"]
    assert [(r["method"], r["coverage_target"]) for r in rows[2:]] == [
        (m, c) for m in ("entropy", "router") for c in (0.9, 0.8, 0.7, 0.5)
    ]
    for row in rows[2:]:
        low, high = row["coverage_ci"]
        assert low < row["coverage"] < high and high - low < 0.04
        assert abs(row["coverage"] - row["coverage_target"]) < 0.03
        assert row["accuracy_ci"][0] < row["accuracy"] < row["accuracy_ci"][1]
        assert row["latency_ms"] == pytest.approx(200 + (1 - row["coverage"]) * 2000)
        assert row["bytes_sent"] == 100 * row["queried"] == 4000 * row["bytes_per_sample"]
        kept = row["accuracy_kept"] * row["coverage"]
        asked = row["accuracy_queried"] * (1 - row["coverage"])
        assert row["accuracy"] == pytest.approx(kept + asked)
        assert 0 <= row["both_wrong_queried"] <= 1 - row["accuracy_queried"]
    assert isinstance(rows[-1]["threshold"], int)
    assert rows[0]["coverage"] == 1.0 and rows[0]["latency_ms"] == 200 and not rows[0]["bytes_sent"]
    assert rows[1]["coverage"] == 0.0 and rows[1]["latency_ms"] == 2000
    assert rows[1]["bytes_sent"] == 400_000


def test_given_thresholds_are_used_as_they_are() -> None:
    labels, scores = simulate(2, n=200)
    given = rv.Scores(scores, scores, {0.8: -7})
    rows = rv.table(labels, {"router": given}, COSTS, (0.8, 0.5))
    assert rows[2]["threshold"] == -7 and rows[2]["coverage"] == float((scores <= -7).mean())
    assert rows[3]["threshold"] == rv.threshold_for_coverage(scores, 0.5)


@pytest.mark.parametrize(
    ("scores", "coverage", "threshold"),
    [
        (np.arange(1, 10), 0.9, 9),
        (np.arange(1, 10), 0.8, 8),
        (np.arange(1, 10), 0.81, 9),
        (np.arange(1, 10), 0.95, rv.KEEP_ALL),  # nine scores cannot promise more than 9 / 10
        (np.array([3, 3, 3, 3, 1]), 0.5, 3),
        (np.array([5]), 0.0, rv.QUERY_ALL),
        (np.array([5]), 1.0, rv.KEEP_ALL),
        (np.array([0.25, 0.5, 0.75]), 0.5, 0.5),
        (np.array([0.5]), 0.0, -math.inf),
        (np.array([0.5]), 1.0, math.inf),
        (np.array([-128, 127], np.int8), 0.6, 127),
    ],
)
def test_threshold_is_the_order_statistic(
    scores: np.ndarray, coverage: float, threshold: float
) -> None:
    for order in (scores, scores[::-1], np.random.default_rng(0).permutation(scores)):
        found = rv.threshold_for_coverage(order, coverage)
        assert found == threshold
        assert type(found) is (int if scores.dtype.kind == "i" else float)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=60), st.floats(0, 1), st.floats(0, 1))
def test_threshold_properties(values: list[int], one: float, two: float) -> None:
    scores = np.array(values)
    low, high = sorted((one, two))
    assert rv.threshold_for_coverage(scores, low) <= rv.threshold_for_coverage(scores, high)
    threshold = rv.threshold_for_coverage(scores, high)
    kept = int((scores <= threshold).sum())
    assert kept >= min(high * (len(scores) + 1) - 1e-6, len(scores))
    below = int((scores < threshold).sum())  # no smaller score would have been enough
    assert threshold in (rv.KEEP_ALL, rv.QUERY_ALL) or below < high * (len(scores) + 1)


def test_coverage_is_kept_on_new_data_on_average() -> None:
    rng = np.random.default_rng(3)
    got = [
        float((rng.normal(size=500) <= rv.threshold_for_coverage(rng.normal(size=99), 0.8)).mean())
        for _ in range(400)
    ]
    assert 0.795 < np.mean(got) < 0.815  # k / (n + 1) = 80 / 100


@pytest.mark.parametrize(
    ("scores", "coverage"),
    [([], 0.5), ([math.nan, 1.0], 0.5), ([[1, 2]], 0.5), ([1], 1.2), ([1], -0.1)],
)
def test_unusable_calibration_is_refused(scores: list, coverage: float) -> None:
    with pytest.raises(InputError):
        rv.threshold_for_coverage(np.array(scores), coverage)


def test_wilson_interval() -> None:
    # Wald's example value: 10 of 100, from the closed form worked by hand to 4 digits.
    assert rv.wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert rv.wilson(0, 10)[0] == 0.0 and rv.wilson(10, 10)[1] == 1.0
    assert rv.wilson(0, 0) == (0.0, 1.0)
    rng = np.random.default_rng(0)
    inside = [rv.wilson(k, 300) for k in rng.binomial(300, 0.8, 2000)]
    assert 0.93 < np.mean([low <= 0.8 <= high for low, high in inside]) < 0.97


def test_labels_of_different_length_are_refused() -> None:
    with pytest.raises(InputError, match="one common length"):
        rv.Labels(np.zeros(3), np.zeros(3), np.zeros(2))
    labels, scores = simulate(0, n=50)
    with pytest.raises(InputError, match="router: 49 scores for 50 samples"):
        rv.table(labels, {"router": rv.Scores(scores, scores[1:])}, COSTS)


def test_paired_gap_is_tighter_than_two_intervals() -> None:
    labels, scores = simulate(4)
    noise = np.random.default_rng(1).permutation(scores)
    threshold = rv.threshold_for_coverage(scores, 0.7)
    good, blind = scores <= threshold, noise <= threshold
    gap, (low, high) = rv.paired_gap(labels, good, blind)
    measured = [rv.evaluate(labels, keep, COSTS) for keep in (good, blind)]
    assert gap == pytest.approx(measured[0]["accuracy"] - measured[1]["accuracy"])
    assert low < gap < high and low > 0
    widths = sum(row["accuracy_ci"][1] - row["accuracy_ci"][0] for row in measured)
    assert high - low < widths
    assert rv.paired_gap(labels, good, good) == (0.0, (0.0, 0.0))


@pytest.mark.parametrize("coverage", [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])
def test_the_papers_latency_line(coverage: float) -> None:
    """MCU figure of the paper: 200 ms on the board, 2000 ms per query, points at 400..1600 ms."""
    link = PRESETS["paper"]
    query_ms = link.query_ms(224 * 224 * 3)
    mean = link.mean_ms(200.0, coverage, query_ms)
    assert mean == pytest.approx(200 + 2000 * (1 - coverage))
    assert link.coverage_for(mean, 200.0, query_ms) == pytest.approx(coverage)


def test_link_arithmetic() -> None:
    link = LinkModel("x", "x", 50.0, 1e6, 2e6, overhead_bytes=40, packet_bytes=1000)
    assert link.on_air_bytes(0) == 0
    assert link.on_air_bytes(1000) == 1040 and link.on_air_bytes(1001) == 1081
    # 50 ms + 1040 B at 1 Mbit/s (8.32 ms) + 140 B at 2 Mbit/s (0.56 ms) + 5 ms
    assert link.query_ms(1000, 100, cloud_ms=5.0) == pytest.approx(63.88)
    assert PRESETS["paper"].to_json()["up_bits_per_s"] is None
    assert all(preset.assumption for preset in PRESETS.values())
    order = [PRESETS[name].query_ms(3072, 100) for name in ("uart", "ble", "lora")]
    assert order == sorted(order)


def test_links_from_text() -> None:
    assert link_model("lte") is PRESETS["lte"]
    own = link_model("rtt=50,up=1e6,down=5e6,packet=100,overhead=7")
    assert (own.rtt_ms, own.up_bits_per_s, own.down_bits_per_s) == (50.0, 1e6, 5e6)
    assert (own.packet_bytes, own.overhead_bytes, own.name) == (100, 7, "custom")
    assert link_model("lora,rtt=2000").up_bits_per_s == PRESETS["lora"].up_bits_per_s


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pigeon", "no link 'pigeon'"),
        ("speed=3", "unknown key 'speed'"),
        ("rtt=fast", "'fast' is not a number"),
        ("up=0", "above 0"),
        ("rtt=nan", "0 or more"),
        ("", "no link ''"),
    ],
)
def test_bad_links_are_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        link_model(text)
