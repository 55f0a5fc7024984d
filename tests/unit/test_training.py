"""Losses, networks, checkpoints and one small training run (its export: test_export.py)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mcu_hybrid import nets
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.training import evaluate
from mcu_hybrid.training.config import HybridConfig, from_json
from mcu_hybrid.training.data import load_data, make_dataset

torch = pytest.importorskip("torch")

from mcu_hybrid.training.augment import PHOTOGRAPHS, Views, random_view, to_float  # noqa: E402
from mcu_hybrid.training.losses import proxy_labels, router_loss  # noqa: E402
from mcu_hybrid.training.train import split_and_keep, train  # noqa: E402

QUICK = HybridConfig(
    base_epochs=3, global_epochs=1, global_width=4, router_steps=40, router_views=2
)


def one_hot(classes):
    return torch.nn.functional.one_hot(torch.tensor(classes), 3).float()


def test_proxy_label_is_base_wrong_and_global_right():
    y = torch.tensor([0, 0, 0, 0])
    query, both_wrong = proxy_labels(one_hot([0, 0, 1, 1]), one_hot([0, 1, 0, 2]), y)
    assert query.tolist() == [False, False, True, False]
    assert both_wrong.tolist() == [False, False, False, True]


def loss_of(wish, query, *, coverage=0.8, weight=0.0, both_wrong=None, both_wrong_weight=1.0):
    gates = torch.stack([torch.zeros(len(wish)), torch.tensor(wish)], dim=1)
    query = torch.tensor(query)
    wrong = torch.zeros(len(wish), dtype=torch.bool) if both_wrong is None else both_wrong
    loss = router_loss(
        gates,
        query,
        wrong,
        coverage=coverage,
        coverage_weight=weight,
        both_wrong_weight=both_wrong_weight,
    )
    return float(loss)


def test_router_loss_balances_the_classes_and_falls_with_the_right_gate():
    query = [True] + [False] * 9
    right, wrong = [3.0] + [-3.0] * 9, [-3.0] + [3.0] * 9
    assert loss_of(right, query) < 0.1 < loss_of(wrong, query)
    # One missed query weighs as much as nine false ones (each side 1.4 times its weight).
    missed = loss_of([-3.0] + [-3.0] * 9, query) - loss_of(right, query)
    false = loss_of([3.0] + [3.0] * 9, query) - loss_of(right, query)
    assert missed == pytest.approx(false, rel=1e-5)


def test_coverage_penalty_bites_only_below_the_target():
    query = [True, True, False, False, False]
    two_routed = [1.0, 1.0, -1.0, -1.0, -1.0]
    plain = loss_of(two_routed, query)
    assert loss_of(two_routed, query, coverage=0.6, weight=100.0) == pytest.approx(plain)
    # 40 % routed where 20 % may be: 100 * 0.1 * 0.2
    over = loss_of(two_routed, query, coverage=0.8, weight=100.0)
    assert over - plain == pytest.approx(2.0, rel=1e-5)
    fewer = loss_of([1.0, -1.0, -1.0, -1.0, -1.0], query, coverage=0.8, weight=100.0)
    assert fewer == pytest.approx(loss_of([1.0, -1.0, -1.0, -1.0, -1.0], query))


def test_both_wrong_weight_takes_the_cell_out():
    wrong = torch.tensor([False, False, True])
    args = {"both_wrong": wrong, "both_wrong_weight": 0.0}
    high = loss_of([1.0, -1.0, 5.0], [True, False, False], **args)
    low = loss_of([1.0, -1.0, -5.0], [True, False, False], **args)
    assert high == pytest.approx(low)


def test_views_stay_in_range_and_near_and_follow_the_seed():
    x = to_float(load_data("digits").x[:20])
    make = lambda s: random_view(x, Views(), torch.Generator().manual_seed(s))  # noqa: E731
    one = make(0)
    assert one.shape == x.shape and float(one.min()) >= 0 and float(one.max()) <= 1
    assert torch.equal(one, make(0)) and not torch.equal(one, make(1))
    still = random_view(x, Views().scaled(0.0), torch.Generator())
    assert torch.allclose(still, x, atol=1e-5)
    mirrored = random_view(x, Views(0, 0, 0, 0, flip=True), torch.Generator().manual_seed(0))
    same = [torch.allclose(m, i, atol=1e-5) for m, i in zip(mirrored, x, strict=True)]
    back = [torch.allclose(m.flip(2), i, atol=1e-5) for m, i in zip(mirrored, x, strict=True)]
    assert all(a or b for a, b in zip(same, back, strict=True)) and 0 < sum(same) < 20


def test_views_of_photographs_move_whole_pixels_and_mirror():
    n, size, reach = 12, 16, 2
    x = torch.rand(n, 3, size, size)
    made = random_view(x, PHOTOGRAPHS, torch.Generator().manual_seed(0))
    assert made.shape == x.shape
    inner = slice(reach, size - reach)
    found = []
    for image, view in zip(x, made, strict=True):
        for mirrored in (False, True):
            origin = view.flip(2) if mirrored else view
            found += [
                (mirrored, down, right)
                for down in range(-reach, reach + 1)
                for right in range(-reach, reach + 1)
                if torch.equal(
                    origin[:, inner, inner], image.roll((down, right), (1, 2))[:, inner, inner]
                )
            ]
    assert len(found) == n  # each view is one shift of its own image, mirrored or not
    assert len(set(found)) > n // 2 and 0 < sum(mirrored for mirrored, _, _ in found) < n
    grey = random_view(x[:, :1], Views(0.125, 0, 0, 0), torch.Generator().manual_seed(0))
    assert (grey == 0).any() and grey.shape == (n, 1, size, size)  # scans lie on an empty ground


def test_reference_networks_fit_their_promise():
    base = nets.reference_base((8, 8, 1), 10, 8)
    assert nets.count_macs(base, (8, 8, 1)) <= 60_000
    assert nets.count_macs(torch.nn.Conv2d(2, 4, 3, padding=1), (5, 5, 2)) == 25 * 4 * 18
    for shape in ((8, 8, 1), (32, 32, 3), (49, 10, 1), (5, 9, 3)):
        for large in (False, True):
            net = nets.build("reference", shape, 7, 4, large=large).eval()
            assert net(torch.zeros(2, shape[2], shape[0], shape[1])).shape == (2, 7)


def test_the_user_s_network_is_checked(tmp_path, monkeypatch):
    (tmp_path / "user_nets.py").write_text(
        "from torch import nn\n"
        "def flat(): return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))\n"
        "def sized(shape, classes): return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))\n"
        "def text(): return 'no'\n"
    )
    monkeypatch.chdir(tmp_path)
    shape = (4, 4, 1)
    assert nets.build("user_nets:flat", shape, 3, 0, large=False)(torch.zeros(1, 1, 4, 4)).shape
    assert nets.build("user_nets:sized", shape, 5, 0, large=True)(torch.zeros(1, 1, 4, 4)).shape
    for spec, classes, words in (
        ("user_nets:flat", 4, r"gives shape \(1, 3\).*4 classes"),
        ("user_nets:text", 3, "returned str"),
        ("user_nets", 3, "not of the form module:function"),
    ):
        with pytest.raises(InputError, match=words):
            nets.build(spec, shape, classes, 0, large=False)
    with pytest.raises(InputError, match="does not take images"):
        nets.build("user_nets:flat", (5, 5, 1), 3, 0, large=False)


def test_config_round_trip_and_faults():
    assert from_json(QUICK.to_json()) == QUICK
    with pytest.raises(InputError, match="not an option"):
        from_json({"speed": 3})
    for wrong in ({"coverage": 1.0}, {"test_share": 0.5}, {"flip": "maybe"}, {"router_hidden": 0}):
        with pytest.raises(InputError, match=next(iter(wrong)).split("_")[-1]):
            from_json(wrong)


def small_data():
    digits = load_data("digits")
    return make_dataset("some digits", digits.x[:400], digits.y[:400])


def test_training_is_repeatable_and_its_files_load(tmp_path):
    events = []
    facts = train(QUICK, small_data(), tmp_path / "a", lambda *event: events.append(event))
    again = train(QUICK, small_data(), tmp_path / "b")
    assert {e[0] for e in events} == {"base", "global", "router", "router views"}
    assert facts.calibration == again.calibration
    one = checkpoint.load_hybrid(tmp_path / "a" / checkpoint.CHECKPOINT)
    two = checkpoint.load_hybrid(tmp_path / "b" / checkpoint.CHECKPOINT)
    for a, b in zip(one.base.parameters(), two.base.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (one.router.head.w1 == two.router.head.w1).all()
    assert one.router.head.w1.shape[1] == 11 and np.abs(one.router.sample).max() <= 1
    history = json.loads((tmp_path / "a" / "history.json").read_text())
    assert history["config"]["router_steps"] == 40 and len(history["base"]) == 3
    splits = checkpoint.load_splits(tmp_path / "a" / checkpoint.SPLITS)
    assert splits.x_test.shape[1:] == (8, 8, 1) and len(splits.y_test) == len(splits.x_test)
    joined = np.concatenate(list(splits.indices.values()))
    assert len(joined) == len(np.unique(joined)) == 400


def test_foreign_checkpoints_are_refused(tmp_path):
    path = tmp_path / "hybrid.pt"
    with pytest.raises(ModelError, match="does not exist"):
        checkpoint.load_hybrid(path)
    path.write_bytes(b"nothing of ours")
    with pytest.raises(ModelError, match="not a checkpoint of mcu-hybrid train"):
        checkpoint.load_hybrid(path)
    torch.save({"version": 99}, path)
    with pytest.raises(ModelError, match="version 99"):
        checkpoint.load_hybrid(path)
    with pytest.raises(ModelError, match="cannot be read as splits"):
        checkpoint.load_splits(path)


def test_evaluation_keeps_the_identities_of_the_formulation():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, 2000)
    base = np.where(rng.random(2000) < 0.7, y, rng.integers(0, 5, 2000))
    global_ = np.where(rng.random(2000) < 0.9, y, rng.integers(0, 5, 2000))
    facts = evaluate.room(base, global_, y)
    assert facts.margin_oracle == pytest.approx(facts.base_accuracy + facts.query_worth)
    scores = rng.permutation(2000)
    rows = evaluate.at_coverages(scores, scores, base == y, global_ == y, (1.0, 0.5, 0.0))
    assert rows[0].accuracy == facts.base_accuracy and rows[0].coverage == 1
    assert rows[2].accuracy == facts.global_accuracy and rows[2].coverage == 0
    oracle = ((base != y) & (global_ == y)).astype(int)
    best = evaluate.at_coverages(oracle, oracle, base == y, global_ == y, (0.7,))[0]
    assert best.accuracy == pytest.approx(facts.margin_oracle)
    assert rows[1].accuracy <= facts.base_accuracy + min(0.5, facts.query_worth) + 1e-9


def test_the_first_test_images_are_a_fair_sample():
    digits = load_data("digits")
    order = np.argsort(digits.y, kind="stable")  # as a folder would give them
    data = make_dataset("sorted", digits.x[order], digits.y[order])
    splits = split_and_keep(HybridConfig(), data)
    assert len(set(splits.y_test[:60].tolist())) == 10
    assert (data.y[splits.indices["test"]] == splits.y_test).all()
    assert (data.x[splits.indices["test"]] == splits.x_test).all()
