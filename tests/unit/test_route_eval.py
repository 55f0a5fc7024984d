"""Routing tables: the paper's identities, thresholds, link arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from mcu_hybrid.errors import InputError
from mcu_hybrid.routing import evaluate
from mcu_hybrid.routing.link_costs import PRESETS, LinkModel, link_model
from mcu_hybrid.routing.outcomes import Outcomes
from mcu_hybrid.routing.thresholds import threshold_for

COSTS = evaluate.Costs(edge_ms=200.0, query_ms=2000.0, query_bytes=100)


def simulate(seed: int, n: int = 4000, classes: int = 10) -> tuple[Outcomes, np.ndarray]:
    """A weak device, a strong cloud, and a score that leans towards the device's mistakes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)

    def answers(accuracy: np.ndarray) -> np.ndarray:
        other = (truth + rng.integers(1, classes, n)) % classes
        return np.where(rng.random(n) < accuracy, truth, other)

    hard = rng.random(n)
    device, cloud = answers(1 - 0.55 * hard), answers(np.full(n, 0.92))
    scores = np.round(100 * (hard + 0.3 * rng.standard_normal(n))).astype(np.int64)
    return Outcomes.of_two(device, cloud, truth, {"router": scores}), scores


@pytest.mark.parametrize("seed", range(3))
def test_identities(seed: int) -> None:
    labels, _ = simulate(seed)
    device = float((labels.device == labels.truth).mean())
    cloud = float((labels.cloud == labels.truth).mean())
    gain = float(((labels.device != labels.truth) & (labels.cloud == labels.truth)).mean())
    either = float(((labels.device == labels.truth) | (labels.cloud == labels.truth)).mean())
    bounds = evaluate.oracles(labels, COSTS)
    assert bounds.agreement.accuracy == cloud
    assert bounds.margin.accuracy == pytest.approx(either)
    assert bounds.margin_upper.accuracy == pytest.approx(either)
    assert bounds.margin_upper.coverage < bounds.margin.coverage

    curve = evaluate.curve(labels, "router", COSTS)
    assert (curve.coverage[0], curve.accuracy[0]) == (0.0, cloud)
    assert (curve.coverage[-1], curve.accuracy[-1]) == (1.0, device)
    coverage, accuracy = np.array(curve.coverage), np.array(curve.accuracy)
    assert (np.diff(coverage) > 0).all()
    assert (accuracy <= device + np.minimum(1 - coverage, gain) + 1e-12).all()
    best = bounds.best
    assert (accuracy <= np.interp(coverage, best.coverage, best.accuracy) + 1e-12).all()
    blind = np.interp(coverage, bounds.random.coverage, bounds.random.accuracy)
    assert (accuracy[1:-1] > blind[1:-1] - 0.01).mean() > 0.95
    assert (
        evaluate.area_under(bounds.random) < evaluate.area_under(curve) < evaluate.area_under(best)
    )


def test_every_curve_point_is_what_its_threshold_gives() -> None:
    labels, scores = simulate(5, n=300)
    curve = evaluate.curve(labels, "router", COSTS)
    for i, threshold in enumerate([scores.min() - 1, *np.unique(scores)]):
        point = evaluate.evaluate(labels, scores <= threshold, COSTS)
        for key in ("coverage", "accuracy", "latency_ms"):
            assert getattr(curve, key)[i] == pytest.approx(getattr(point, key), abs=1e-12)
    assert len(curve.coverage) == len(np.unique(scores)) + 1


def test_the_table_keeps_calibration_and_test_apart() -> None:
    labels, scores = simulate(1, n=8000)
    half = labels.only(np.arange(8000) >= 4000).scored("entropy", scores[4000:] + 7)
    thresholds = {
        "entropy": {c: threshold_for(scores[:4000] + 7, c) for c in evaluate.COVERAGES},
        "router": {c: threshold_for(scores[:4000], c) for c in evaluate.COVERAGES},
    }
    rows = evaluate.table(half, thresholds, COSTS)
    assert [row.method for row in rows[:2]] == ["on-device only", "cloud only"]
    assert [(r.method, r.coverage_target) for r in rows[2:]] == [
        (m, c) for m in ("entropy", "router") for c in (0.9, 0.8, 0.7, 0.5)
    ]
    for row in rows[2:]:
        low, high = row.coverage_ci
        assert low < row.coverage < high and high - low < 0.04
        assert abs(row.coverage - row.coverage_target) < 0.03
        assert row.accuracy_ci[0] < row.accuracy < row.accuracy_ci[1]
        assert row.latency_ms == pytest.approx(200 + (1 - row.coverage) * 2000)
        assert row.bytes_sent == 100 * row.queried == 4000 * row.bytes_per_sample
        kept = row.accuracy_kept * row.coverage
        asked = row.accuracy_queried * (1 - row.coverage)
        assert row.accuracy == pytest.approx(kept + asked)
        assert 0 <= row.both_wrong_queried <= 1 - row.accuracy_queried
    assert isinstance(rows[-1].threshold, int)
    assert rows[0].coverage == 1.0 and rows[0].latency_ms == 200 and not rows[0].bytes_sent
    assert rows[1].coverage == 0.0 and rows[1].latency_ms == 2000
    assert rows[1].bytes_sent == 400_000


def test_given_thresholds_are_used_as_they_are() -> None:
    labels, scores = simulate(2, n=200)
    given = {0.8: -7, 0.5: threshold_for(scores, 0.5)}
    rows = evaluate.table(labels, {"router": given}, COSTS, (0.8, 0.5))
    assert rows[2].threshold == -7 and rows[2].coverage == float((scores <= -7).mean())
    assert rows[3].threshold == threshold_for(scores, 0.5)
    with pytest.raises(InputError, match=r"router: no threshold for coverage 0\.9"):
        evaluate.table(labels, {"router": given}, COSTS, (0.9,))


def test_wilson_interval() -> None:
    # Wald's example value: 10 of 100, from the closed form worked by hand to 4 digits.
    assert evaluate.wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert evaluate.wilson(0, 10)[0] == 0.0 and evaluate.wilson(10, 10)[1] == 1.0
    assert evaluate.wilson(0, 0) == (0.0, 1.0)
    rng = np.random.default_rng(0)
    inside = [evaluate.wilson(k, 300) for k in rng.binomial(300, 0.8, 2000)]
    assert 0.93 < np.mean([low <= 0.8 <= high for low, high in inside]) < 0.97


def test_labels_of_different_length_are_refused() -> None:
    with pytest.raises(InputError, match="one common length"):
        Outcomes.of_two(np.zeros(3), np.zeros(3), np.zeros(2))
    labels, scores = simulate(0, n=50)
    with pytest.raises(InputError, match="router: 49 scores for 50 samples"):
        labels.scored("router", scores[1:])


def test_paired_gap_is_tighter_than_two_intervals() -> None:
    labels, scores = simulate(4)
    noise = np.random.default_rng(1).permutation(scores)
    threshold = threshold_for(scores, 0.7)
    good, blind = scores <= threshold, noise <= threshold
    gap, (low, high) = evaluate.paired_gap(labels, good, blind)
    measured = [evaluate.evaluate(labels, keep, COSTS) for keep in (good, blind)]
    assert gap == pytest.approx(measured[0].accuracy - measured[1].accuracy)
    assert low < gap < high and low > 0
    widths = sum(row.accuracy_ci[1] - row.accuracy_ci[0] for row in measured)
    assert high - low < widths
    assert evaluate.paired_gap(labels, good, good) == (0.0, (0.0, 0.0))


def test_link_arithmetic() -> None:
    link = LinkModel("x", "x", 50.0, 1e6, 2e6, overhead_bytes=40, packet_bytes=1000)
    assert link.on_air_bytes(0) == 0
    assert link.on_air_bytes(1000) == 1040 and link.on_air_bytes(1001) == 1081
    # 50 ms + 1040 B at 1 Mbit/s (8.32 ms) + 140 B at 2 Mbit/s (0.56 ms) + 5 ms
    assert link.query_ms(1000, 100, cloud_ms=5.0) == pytest.approx(63.88)
    assert PRESETS["paper"].facts().up_bits_per_s is None
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


def test_where_the_cloud_is_silent_the_devices_answer_stands() -> None:
    truth = np.array([0, 0, 0, 0])
    scores = {"r": np.array([1, 2, 3, 4])}
    labels = Outcomes.of_two(np.array([0, 1, 0, 1]), np.array([0, 0, -1, -1]), truth, scores)
    rows = evaluate.table(labels, {"r": {0.5: 2}}, COSTS, [0.5])
    device, cloud, routed = rows
    assert (device.cloud_missing, cloud.cloud_missing, routed.cloud_missing) == (0, 2, 2)
    assert (device.accuracy, cloud.accuracy, routed.accuracy) == (0.5, 1.0, 0.5)
    assert cloud.queried == 4 and cloud.accuracy_ci == evaluate.wilson(2, 2)
    assert evaluate.curve(labels, "r", COSTS).accuracy == (0.75, 0.75, 0.5, 0.5, 0.5)
    assert evaluate.oracles(labels, COSTS).best.accuracy[-1] == 0.5


def test_a_cloud_that_never_answered_has_no_accuracy_and_no_time() -> None:
    labels = Outcomes.of_two(np.array([0, 1]), np.array([-1, -1]), np.array([0, 0]))
    device, cloud = evaluate.table(labels, {}, evaluate.Costs(200.0, None, 100))
    assert (device.accuracy, device.latency_ms) == (0.5, 200.0)
    assert (cloud.accuracy, cloud.latency_ms, cloud.bytes_sent) == (None, None, 200)
