"""Thresholds, decisions, and the exact collapse of the trained router."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcu_hybrid import mechanisms
from mcu_hybrid.cli.completion import router_names
from mcu_hybrid.errors import InputError
from mcu_hybrid.nets import router_head
from mcu_hybrid.ops import route_features
from mcu_hybrid.routing.thresholds import queries, threshold_for
from tests.support.routers import Router

torch = pytest.importorskip("torch")


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=60), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_no_threshold_comes_nearer_to_the_coverage(values, coverage):
    scores = np.array(values)
    chosen = threshold_for(scores, coverage)

    def off(threshold: int) -> float:
        return abs(float((~queries(scores, threshold)).mean()) - coverage)

    assert off(chosen) <= min(off(t) for t in [*values, min(values) - 1]) + 1e-9


def test_threshold_is_the_order_statistic_without_ties():
    scores = np.random.default_rng(0).permutation(100) * 3
    for coverage in (0.9, 0.8, 0.7, 0.5):
        threshold = threshold_for(scores, coverage)
        assert threshold == np.sort(scores)[round(coverage * 100) - 1]
        assert (scores <= threshold).mean() == coverage


def test_ties_move_together_to_the_nearer_side():
    scores = np.array([1] * 4 + [2] * 3 + [3] * 3)
    assert threshold_for(scores, 0.5) == 1  # 0.4 is nearer than 0.7
    assert threshold_for(scores, 0.6) == 2
    assert threshold_for(scores, 0.55) == 2  # equally near: keep more
    assert threshold_for(scores, 0.0) == 0
    assert threshold_for(scores, 1.0) == 3
    assert threshold_for(np.array([7, 7]), 0.4) == 6


def test_coverage_is_near_on_new_data_on_average():
    rng = np.random.default_rng(3)

    def draw(count: int) -> np.ndarray:
        return np.round(1000 * rng.normal(size=count)).astype(int)

    got = []
    for _ in range(400):
        threshold = threshold_for(draw(99), 0.8)
        got.append((~queries(draw(500), threshold)).mean())
    assert 0.79 < np.mean(got) < 0.81


@pytest.mark.parametrize(("scores", "coverage"), [([], 0.5), ([1], 1.5)])
def test_threshold_refuses(scores, coverage):
    with pytest.raises(InputError, match="cannot choose a threshold"):
        threshold_for(np.array(scores), coverage)


def test_router_ids_are_the_firmware_s():
    known = {"none": 0} | {one.name: one.id for one in mechanisms.every()}
    names = {router.name.lower().replace("_", "-"): int(router) for router in Router}
    assert {name: mechanisms.router_id(name) for name in known} == known == names
    assert {number: mechanisms.router_name(number) for number in known.values()} == {
        number: name for name, number in known.items()
    }
    assert set(router_names()) == set(known)
    with pytest.raises(InputError, match="no router 'x'") as refused:
        mechanisms.router_id("x")
    assert refused.value.hint == "one of: none, learned, entropy, max-prob, margin"


@pytest.mark.parametrize("name", [one.name for one in mechanisms.of_logits()])
def test_simple_scores_rise_as_the_logits_come_together(name):
    attrs = route_features.make_attrs(10, 0.1, [0.0] * 11, [1.0] * 11, 1 / 127, 0)
    rows = np.zeros((128, 10), np.int8)
    rows[:, 3] = np.arange(128)[::-1]  # from certain to undecided
    scores = route_features.scores(attrs, rows)[:, mechanisms.by_name(name).column]
    assert (np.diff(scores) >= -4).all() and scores[0] < scores[-1]  # 4: the stated rounding


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=50), st.integers(-200, 200))
def test_a_higher_score_never_turns_a_query_into_a_keep(values, threshold):
    asked = queries(np.sort(np.array(values)), threshold)
    assert (np.diff(asked.astype(int)) >= 0).all()
    fewer = queries(np.sort(np.array(values)), threshold + 1)
    assert (fewer <= asked).all()


def _trained_head(top: int, hidden: int):
    """A head with batch statistics, gains and offsets that are far from their defaults."""
    torch.manual_seed(top)
    head = router_head.build_head(top, hidden)
    head.train()
    for _ in range(20):
        head(torch.rand(64, 1 + top) * torch.linspace(2, 0.1, 1 + top))
    with torch.no_grad():
        for bn in (head.bn0, head.bn1, head.bn2):
            bn.weight.uniform_(0.3, 2.0)
            bn.bias.uniform_(-1, 1)
        head.fc3.weight.uniform_(-1, 1)  # zero at the start
    return head.eval().double()


def _inputs(count: int, top: int):
    """[entropy; probabilities, the largest first], float64."""
    x = torch.rand(count, 1 + top, dtype=torch.float64)
    x[:, 1:] = x[:, 1:].sort(1, descending=True).values
    return x


def test_the_router_begins_as_the_margin_score():
    x = _inputs(50, 10)
    head = router_head.build_head(10, 32).eval().double()
    order = np.argsort(router_head.collapse(head)(x.numpy()))
    assert (order == np.argsort((x[:, 2] - x[:, 1]).numpy())).all()


@pytest.mark.parametrize(("top", "hidden"), [(10, 32), (10, 256), (2, 5), (3, 1)])
def test_collapse_equals_the_trained_form(top, hidden):
    head = _trained_head(top, hidden)
    x = _inputs(200, top)
    with torch.no_grad():
        gates = head(x).numpy()
    small = router_head.collapse(head)
    assert small.w1.shape == (max(2, hidden), 1 + top) and small.w2.shape == (max(2, hidden),)
    np.testing.assert_allclose(small(x.numpy()), gates[:, 1] - gates[:, 0], rtol=1e-9, atol=1e-9)


def test_feature_scaling_and_balancing_change_no_score():
    small = router_head.collapse(_trained_head(10, 32))
    rng = np.random.default_rng(0)
    x = _inputs(300, 10).numpy()
    centers, widths = rng.uniform(0, 1, 11), rng.uniform(0.01, 1, 11)
    features = (x - centers) / widths
    moved = small.on_features(centers, widths)
    np.testing.assert_allclose(moved(features), small(x), rtol=1e-9, atol=1e-9)
    balanced = moved.balanced(features)
    np.testing.assert_allclose(balanced(features), small(x), rtol=1e-9, atol=1e-9)
    peaks = np.maximum(features @ balanced.w1.T + balanced.b1, 0).max(axis=0)
    np.testing.assert_allclose(peaks, 1.0)


def test_margins_hold_every_difference():
    x = np.array([0.5, 0.7, 0.2, 0.1])
    phi = router_head.margins(3) @ x
    assert phi[0] == 0.5
    expected = [a - b for a in x[1:] for b in x[1:]]
    np.testing.assert_allclose(phi[1:], expected)
