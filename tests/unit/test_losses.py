"""Every loss against a computation by hand, and the two faults of the released code."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from mcu_hybrid.training.config import HybridConfig  # noqa: E402
from mcu_hybrid.training.losses import (  # noqa: E402
    balanced,
    coverage_penalty,
    focal,
    router_labels,
    router_loss,
    router_objective,
    sample_weights,
    weighted_cross_entropy,
)


def gates_of(wishes):
    """Gates (0, wish): the router's G_query - G_keep is the wish itself."""
    wish = torch.tensor(wishes)
    return torch.stack([torch.zeros_like(wish), wish], 1)


def minus_log_sigmoid(wish):
    return math.log(1 + math.exp(-wish))


def test_labels_differ_in_the_cell_where_both_are_wrong():
    logits = torch.eye(3)
    y = torch.tensor([0, 0, 0, 0])
    base, cloud = logits[[0, 0, 1, 1]], logits[[0, 1, 0, 2]]
    proxy, both_wrong = router_labels(base, cloud, y)
    naive, same = router_labels(base, cloud, y, "naive")
    assert proxy.tolist() == [False, False, True, False]
    assert naive.tolist() == [False, False, True, True]
    assert both_wrong.tolist() == same.tolist() == [False, False, False, True]


def test_balanced_loss_by_hand():
    # One to query among three: weight 2; on the wrong side of the gate (beyond -0.1) up to 1.4.
    query = torch.tensor([True, False, False])
    got = balanced(gates_of([-0.3, 0.25, -1.0]), query)
    wanted = [
        2 * 1.2 * minus_log_sigmoid(-0.3),
        1 * 1.15 * minus_log_sigmoid(-0.25),
        1 * minus_log_sigmoid(1.0),
    ]
    assert got.tolist() == pytest.approx(wanted, rel=1e-5)


def test_focal_loss_by_hand():
    query = torch.tensor([True, False])
    got = focal(gates_of([0.4, 0.4]), query, 2.0, 3.0)
    p = 1 / (1 + math.exp(-0.4))
    wanted = [(1 - p) ** 2 * -math.log(p), 3 * p**2 * -math.log(1 - p)]
    assert got.tolist() == pytest.approx(wanted, rel=1e-5)
    sure = focal(gates_of([80.0]), torch.tensor([False]), 2.0, 1.0)
    assert float(sure) == pytest.approx(-math.log(1e-7), rel=0.1)  # clamped, not infinite


@pytest.mark.parametrize("kind", ["balanced", "focal"])
def test_the_config_reaches_the_loss(kind):
    gates, query = gates_of([0.5, -0.2, 0.3, -2.0]), torch.tensor([True, False, True, False])
    both_wrong = torch.tensor([False, True, False, False])
    config = HybridConfig(
        router_loss=kind,
        coverage=0.7,
        coverage_weight=10.0,
        both_wrong_weight=0.1,
        focal_gamma=1.0,
        focal_keep_weight=4.0,
        most_coverage=0.8,
    )
    each = balanced(gates, query) if kind == "balanced" else focal(gates, query, 1.0, 4.0)
    each = each * torch.tensor([1.0, 0.1, 1.0, 1.0])
    wanted = each.mean() + 10 * (0.1 * 0.5 - 0.1 * 0.3)
    assert float(router_objective(gates, query, both_wrong, config)) == pytest.approx(float(wanted))
    plain = router_loss(
        gates,
        query,
        both_wrong,
        coverage=0.7,
        coverage_weight=0.0,
        both_wrong_weight=0.0,
        kind=kind,
    )
    assert float(plain) < float(wanted)


def test_coverage_penalty_by_hand_on_both_sides():
    half = gates_of([0.05, 1.0, -1.0, -0.02])  # ramps: routed 0.05 + 0.1, kept 0.1 + 0.02
    assert float(coverage_penalty(half, 0.8)) == pytest.approx(0.15 / 4 - 0.02, abs=1e-7)
    assert float(coverage_penalty(half, 0.5)) == 0
    both = coverage_penalty(half, 0.5, most_coverage=0.2)
    assert float(both) == pytest.approx(0.12 / 4 - 0.02, abs=1e-7)


@pytest.mark.parametrize(
    ("coverage", "most", "start", "grows"), [(0.8, 1.0, 0.05, True), (0.2, 0.4, -0.05, False)]
)
def test_the_penalty_moves_coverage_to_its_target(coverage, most, start, grows):
    """The released code's term pushed coverage down where it was below its target."""
    gates = gates_of([start + 0.0024 * i for i in range(-20, 20)]).requires_grad_(True)
    kept = lambda: float((gates[:, 1] <= gates[:, 0]).float().mean())  # noqa: E731
    before = kept()
    for _ in range(40):
        penalty = coverage_penalty(gates, coverage, most)
        (gradient,) = torch.autograd.grad(penalty, gates)
        with torch.no_grad():
            gates -= 0.1 * gradient
    assert kept() > before if grows else kept() < before


def test_weights_act_per_sample():
    """Spec 10.2: weights [N, 1] times losses [N] weigh nothing, whatever they are."""
    torch.manual_seed(0)
    logits, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    each = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    weight = torch.tensor([2.0, 1.0, 2.0, 1.0, 1.0, 2.0])
    got = weighted_cross_entropy(logits, y, weight)
    assert float(got) == pytest.approx(float((weight * each).sum() / 9))
    assert float(got) != pytest.approx(float(each.mean()), rel=1e-3)
    assert float(((weight[:, None]) * each).mean() / weight.mean()) == pytest.approx(
        float(each.mean())
    )
    with pytest.raises(ValueError, match=r"weights have shape \(6, 1\)"):
        weighted_cross_entropy(logits, y, weight[:, None])
    smoothed = torch.nn.functional.cross_entropy(logits, y, reduction="none", label_smoothing=0.1)
    got = weighted_cross_entropy(logits, y, weight, 0.1)
    assert float(got) == pytest.approx(float((weight * smoothed).sum() / 9))


def test_base_and_global_weights_follow_the_router():
    queried = torch.tensor([0.0, 1.0, 0.25])
    assert sample_weights(queried, 2.0, 1.0).tolist() == [2.0, 1.0, 1.75]  # 2 - r
    assert sample_weights(queried, 1.0, 2.0).tolist() == [1.0, 2.0, 1.25]  # 1 + r
