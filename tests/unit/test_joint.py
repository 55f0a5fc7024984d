"""Alternating training: who is trained when, on what, how long; averages, freezing, folds, best."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from mcu_hybrid import nets
from mcu_hybrid.artifacts.train import RoundFigures
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.data import load_data
from tests.support.artefacts import example

torch = pytest.importorskip("torch")

from mcu_hybrid.training.augment import Views  # noqa: E402
from mcu_hybrid.training.crossfit import (  # noqa: E402
    Fold,
    cross_fit,
    fold_positions,
    held_out_logits,
)
from mcu_hybrid.training.joint import Material, Rounds  # noqa: E402
from mcu_hybrid.training.phase import Phase, freeze  # noqa: E402
from mcu_hybrid.training.stages import select_mask  # noqa: E402
from mcu_hybrid.training.state import Journal  # noqa: E402

QUICK = HybridConfig(
    parts=3, rounds=1, router_iterations=3, base_iterations=4, global_iterations=2, router_batch=32
)
SHAPE = (8, 8, 1)


@pytest.fixture(autouse=True)
def one_thread():
    """Small sums are fastest, and the same everywhere, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def net(large=False, seed=0, width=4):
    torch.manual_seed(seed)
    return nets.build("reference", SHAPE, 10, width, large=large)


def material(folds=()):
    digits = load_data("digits")
    x, y = digits.x[:300], digits.y[:300]
    return Material(x[:160], y[:160], x[160:240], y[160:240], x[240:], y[240:], folds)


def rounds(config=QUICK, folds=(), base=None):
    return Rounds(base or net(), net(True), material(folds), config, Views(), Journal())


def state_of(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("name", ["router", "global", "base"])
def test_a_phase_changes_its_own_network_only(name):
    """Batch norm statistics of the others included."""
    state = rounds()
    before = {n: state_of(phase.net) for n, phase in state.phases.items()}
    state.turn(name)
    for other, phase in state.phases.items():
        assert same(before[other], phase.net.state_dict()) is (other != name), other
    assert state.phases[name].done == {"router": 3, "global": 2, "base": 4}[name]


@pytest.mark.parametrize(("parts", "moved"), [(1, ""), (2, "base"), (3, "base global")])
def test_the_parts_that_are_trained(parts, moved):
    from dataclasses import replace

    state = rounds(replace(QUICK, parts=parts, rounds=2))
    _, rows = state.run()
    steps = {name: phase.done for name, phase in state.phases.items()}
    # Round 0 trains the router alone.
    wanted = {"base": 4 * 2 * ("base" in moved), "global": 2 * 2 * ("global" in moved)}
    assert steps == {"router": 3 * 3, **wanted}
    assert [row.round for row in rows] == [0, 1, 2]
    order = [name for name in ("router", "global", "base") if name in f"router {moved}"]
    assert list(rows[1].loss) == order and list(rows[0].loss) == ["router"]


def test_what_the_router_sends_weighs_less_for_the_base_and_in_no_other_way():
    """With a routed weight near 0, wrong labels of routed images leave the base as it is."""
    from dataclasses import replace

    def trained(wrong_where):
        config = replace(QUICK, base_routed_weight=1e-9, augment=False)
        state = rounds(config)
        routed = torch.zeros(160)
        routed[::2] = 1
        state.queried = lambda: routed
        wrong = np.arange(160) % 2 == wrong_where
        y = np.where(wrong, (state.material.y_fit + 1) % 10, state.material.y_fit)
        state.material = replace(state.material, y_fit=y)
        state.turn("base")
        return state_of(state.phases["base"].net)

    plain, routed_wrong, kept_wrong = trained(2), trained(0), trained(1)
    gap = lambda other: max(  # noqa: E731
        float((plain[k].float() - other[k].float()).abs().max()) for k in plain
    )
    assert gap(routed_wrong) < 1e-6 < 1e-4 < gap(kept_wrong)


def test_without_folds_the_weights_are_shares_of_held_out_images():
    state = rounds()
    state.turn("router")
    queried = state.queried()
    y_fit = torch.as_tensor(state.material.y_fit)
    for label in range(10):  # one share a class: no image of the fit split was looked at
        assert len(set(queried[y_fit == label].tolist())) == 1
    share = np.array([float(queried[y_fit == n][0]) for n in range(10)])
    counts = np.bincount(state.material.y_router, minlength=10)
    assert (share * counts).sum() / counts.sum() == pytest.approx(0.2, abs=0.02)  # 1 - coverage


def test_with_folds_the_weights_come_from_bases_that_did_not_see_the_image():
    class Constant(torch.nn.Module):
        """The same logits for every image, surer the higher ``peak``."""

        def __init__(self, peak):
            super().__init__()
            self.logits = torch.zeros(10)
            self.logits[3] = peak

        def forward(self, x):
            return self.logits.expand(len(x), 10)

    held = fold_positions(material().y_fit, 2, 0)
    state = rounds(
        folds=tuple(Fold(h, Constant(p), None) for h, p in zip(held, (9.0, 0.0), strict=True))
    )
    scores = []
    state._scores = lambda seen, head: scores.append(seen) or seen[:, 10]  # the entropy
    queried = state.queried().numpy()
    assert (queried[held[0]] == 0).all() and (queried[held[1]] == 1).all()
    assert state._fold_examples() is None  # labels would need cross-fitted globals


def test_cross_fitting_leaves_no_image_to_a_network_that_saw_it():
    y = np.repeat(np.arange(5), [7, 13, 20, 9, 11])
    parts = fold_positions(y, 4, 3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(60))
    for label in range(5):
        counts = [int((y[part] == label).sum()) for part in parts]
        assert max(counts) - min(counts) <= 1
    assert max(map(len, parts)) - min(map(len, parts)) <= 1

    class Memory(torch.nn.Module):
        def __init__(self, among):
            super().__init__()
            self.among = set(among.tolist())

    folds = cross_fit(y, 4, 3, lambda number, among: Memory(among), None)
    x = np.arange(60)
    seen = held_out_logits(
        x, folds, lambda fold: fold.base, lambda m, part: np.array([[i in m.among] for i in part])
    )
    assert seen.shape == (60, 1) and not seen.any()
    assert all(len(fold.base.among) == 60 - len(fold.held_out) for fold in folds)


def test_select_images_are_a_stratified_part():
    y = np.repeat(np.arange(4), [8, 40, 4, 20])
    mask = select_mask(y, 0.25, 0)
    assert [int(mask[y == label].sum()) for label in range(4)] == [2, 10, 1, 5]
    assert (mask == select_mask(y, 0.25, 0)).all()


def test_the_best_round_is_what_remains():
    from dataclasses import replace

    state = rounds(replace(QUICK, rounds=3))
    values, kept = [0.5, 0.5, 0.9, 0.9, 0.7, 0.7, 0.6, 0.6], []

    def measure(tested):
        kept.append({name: state_of(module) for name, module in tested.items()})
        return example(RoundFigures, mean_accuracy=values[len(kept) - 1])

    state._measure = measure
    _, rows = state.run()
    assert rows[-1].best_round == 1 and rows[-1].best_kind == "plain"
    for name, phase in state.phases.items():
        assert same(kept[2][name], phase.net.state_dict())
        assert not phase.net.training
    assert not same(kept[2]["base"], kept[6]["base"])


def phase_of(module, **options):
    chosen = {"lr": 0.1, "weight_decay": 0.0, "iterations": 5, "phases": 2, "warm_up": 0.2}
    return Phase(module, **chosen | {"ema": 0.9, "seed": 0} | options)


def test_averaged_weights_by_hand():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    phase = phase_of(module)
    mean = module[0].weight.detach().clone()
    phase.start()
    for step in range(1, 8):
        phase.step(module(torch.randn(4, 2)).square().mean() + module[0].weight.sum())
        decay = min(0.9, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * module[0].weight.detach()
    assert torch.allclose(phase.average[0].weight, mean, atol=1e-6)
    assert int(phase.average[1].num_batches_tracked) == 7
    assert not torch.allclose(phase.average[0].weight, module[0].weight)
    assert phase_of(copy.deepcopy(module), ema=0.0).average is not phase.average
    alone = phase_of(module, ema=0.0)
    assert alone.average is module


def test_the_schedule_warms_up_and_falls():
    module = torch.nn.Linear(1, 1)
    phase = phase_of(module)
    rates = []
    for _ in range(10):
        rates.append(phase.optimiser.param_groups[0]["lr"])
        phase.step(module(torch.ones(1, 1)).sum())
    assert rates[0] == pytest.approx(0.05) and rates[1] == pytest.approx(0.1) == rates[2]
    assert rates[2:] == sorted(rates[2:], reverse=True) and 0.001 <= rates[-1] < 0.01


def test_batches_stop_at_the_cap_and_cover_the_images_without_one():
    phase = phase_of(torch.nn.Linear(1, 1), iterations=7)
    parts = list(phase.batches(20, 8))
    assert len(parts) == 7 and {len(part) for part in parts} == {10}
    once = phase_of(torch.nn.Linear(1, 1), iterations=2)
    assert sorted(torch.cat(list(once.batches(20, 8))).tolist()) == list(range(20))


@pytest.mark.parametrize(("last", "norms"), [(1, False), (2, False), (0, True), (1, True)])
def test_frozen_parts_do_not_change(last, norms):
    from dataclasses import replace

    base = net(width=4)
    layers = [m for m in base if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    free = layers[-last:] if last else layers
    before = copy.deepcopy(base)
    state = rounds(replace(QUICK, base_last_layers=last, freeze_batch_norm=norms), base=base)
    state.turn("base")
    started = False
    for old, new in zip(before, base, strict=True):
        started = started or new is free[0]
        if not old.state_dict():
            continue
        is_norm = isinstance(new, torch.nn.BatchNorm2d)
        assert same(old.state_dict(), new.state_dict()) is (not started or (is_norm and norms))
    freeze(base, 0, False)
    assert all(p.requires_grad for p in base.parameters())


def test_the_router_may_read_the_features():
    from dataclasses import replace

    state = rounds(replace(QUICK, router_inputs="features"))
    head, rows = state.run()
    assert head.bn0.num_features == 1 + 100 + state.phases["base"].net[-1].in_features
    assert 0 <= rows[-1].plain.hybrid_accuracy <= 1
