"""The simulated int8 network, and training through it. Against the real .tflite: test_export."""

from __future__ import annotations

import copy
import functools
from dataclasses import replace

import numpy as np
import pytest

from mcu_hybrid import nets
from mcu_hybrid.errors import InputError
from mcu_hybrid.nets.checkpoint import RouterParts
from mcu_hybrid.nets.router_head import Collapsed
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.data import load_data

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from mcu_hybrid.nets.int8_sim import Int8Sim, fake_quant, fake_quant_weight  # noqa: E402
from mcu_hybrid.nets.sight import Sight  # noqa: E402
from mcu_hybrid.training.augment import Views, to_float  # noqa: E402
from mcu_hybrid.training.fit import fit_classifier, predict  # noqa: E402
from mcu_hybrid.training.qat import HeadSim, quantise_base, quantise_router  # noqa: E402

CONFIG = HybridConfig(qat_epochs=6, augment=False)


@pytest.fixture(autouse=True)
def one_thread():
    """Small sums are fastest, and the same everywhere, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scalar(value):
    return torch.tensor(float(value))


def test_rounding_by_hand():
    # -1..4.1 in 255 steps of 0.02, zero point -78: 0 is a level, and what lies outside is clipped.
    x = torch.tensor([0.0, 0.011, -0.03, -1.5, 9.0])
    got = fake_quant(x, scalar(-1), scalar(4.1))
    assert got.tolist() == pytest.approx([0, 0.02, -0.04, -1.0, 4.1], abs=1e-6)
    # A range on one side of 0 is widened to hold it.
    assert float(fake_quant(scalar(0.0), scalar(1), scalar(2.55))) == 0
    # An average pool rounds 2.5 levels over -128 away from the int8 zero: to 2.
    half = fake_quant(scalar(0.025), scalar(0), scalar(2.55), averaged=True)
    assert float(half) == pytest.approx(0.02, abs=1e-6)


def test_weights_have_a_scale_per_output_channel():
    weight = torch.tensor([[1.27, 0.006, -0.304], [127.0, 0.4, -3.6]])
    got = fake_quant_weight(weight)
    assert got[0].tolist() == pytest.approx([1.27, 0.01, -0.30], abs=1e-6)
    assert got[1].tolist() == [127.0, 0.0, -4.0]


def test_gradients_pass_straight_through_and_reach_the_range():
    x = torch.tensor([0.013, -3.0, 9.0], requires_grad=True)
    high = torch.tensor(4.1, requires_grad=True)
    fake_quant(x, scalar(-1), high).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0]
    assert float(high.grad) != 0


class Mixed(nn.Module):
    """A bit of everything that a converter treats in its own way."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU6())
        self.depth = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.pool, self.out = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 10)

    def forward(self, x):
        y = nn.functional.max_pool2d(self.stem(x), 2)
        y = torch.relu(y + self.norm(self.depth(y)))
        return self.out(torch.flatten(self.pool(y), 1))


def lived(module):
    """The module with batch statistics that are not the initial ones."""
    torch.manual_seed(1)
    module.train()
    for _ in range(3):
        module(to_float(load_data("digits").x[:64]))
    return module.eval()


@pytest.mark.parametrize(
    "make", [Mixed, lambda: nets.build("reference", (8, 8, 1), 10, 6, large=True)]
)
def test_ranges_and_folding_leave_the_float_network_as_it_is(make):
    torch.manual_seed(0)
    module, x = lived(make()), load_data("digits").x[:50]
    sim = Int8Sim(module, x)
    images = to_float(x)
    with torch.no_grad():
        wanted = module(images)
        assert torch.allclose(sim._run(images, observing=True), wanted, atol=1e-5)
        got = sim(images)
    low, high = sim.logits_range
    scale = (max(high, 0) - min(low, 0)) / 255
    steps = got / scale
    assert torch.allclose(steps, steps.round(), atol=1e-3)  # on the logits' levels
    assert 0 < float((got - wanted).abs().max()) < 12 * scale
    assert sim.whole and not sim.train().training


def test_what_is_fused_is_not_rounded_twice():
    module = Mixed().eval()
    sim = Int8Sim(module, load_data("digits").x[:20])
    ranges = set(sim.ranges)
    # stem's ReLU6, the depthwise batch norm, the sum's ReLU, the mean, the logits; and the pixels
    assert len(ranges) == 6 and float(sim.ranges["x"][1]) == 1.0
    assert not any("conv" in name or name in ("stem_1", "depth", "add") for name in ranges)


def test_it_follows_the_network_it_simulates():
    module, x = lived(Mixed()), load_data("digits").x[:40]
    sim = Int8Sim(module, x)
    before = predict(sim, x)
    with torch.no_grad():
        module.out.weight.mul_(2)
        module.out.bias.mul_(2)
    sim.observe()
    assert np.allclose(predict(sim, x), 2 * before, atol=1e-4)


def test_the_router_sees_the_int8_features():
    module, x = lived(Mixed()), load_data("digits").x[:40]
    sim = Int8Sim(module, x)
    seen = Sight(sim, (8, 8, 1), True).read(x)
    z = seen[:, -6:]
    low, high = (float(v) for v in sim.ranges["pool"])
    steps = z / ((high - min(low, 0.0)) / 255)
    assert np.abs(steps - steps.round()).max() < 1e-3


class Branching(Mixed):
    def forward(self, x):
        return super().forward(x) if float(x.mean()) >= 0 else x


def test_a_network_that_cannot_be_traced_gets_its_logits_rounded():
    x = load_data("digits").x[:30]
    sim = Int8Sim(Branching().eval(), x)
    assert not sim.whole
    low, high = sim.logits_range
    steps = predict(sim, x) / ((max(high, 0) - min(low, 0)) / 255)
    assert np.abs(steps - steps.round()).max() < 1e-3
    bad = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    with pytest.raises(InputError, match="no running statistics"):
        Int8Sim(bad, x)


@functools.cache
def trained_badly():
    """A trained base, one channel of its stem blown up and the next layer shrunk to match."""
    digits = load_data("digits")
    torch.manual_seed(0)
    base = nets.build("reference", (8, 8, 1), 10, 8, large=False)
    fit_classifier(
        base,
        digits.x[:700],
        digits.y[:700],
        epochs=8,
        batch=50,
        lr=8e-3,
        weight_decay=1e-2,
        smoothing=0.0,
        views=None,
        seed=0,
        label="base",
    )
    with torch.no_grad():
        for channel in (0, 3):
            base[1].weight[channel] *= 300
            base[1].bias[channel] *= 300
            base[3].weight[:, channel] /= 300
    fit = digits.x[:700], torch.ones(700)
    return base, fit, (digits.x[700:1100], digits.y[700:1100])


def badly_quantising():
    base, fit, held_out = trained_badly()
    return copy.deepcopy(base), fit, held_out


def test_qat_mends_a_network_that_quantises_badly():
    base, fit, held_out = badly_quantising()
    sample = fit[0][:200]
    before = {k: v.clone() for k, v in base.state_dict().items()}
    _, told = quantise_base(base, sample, fit, held_out, replace(CONFIG, qat="no"), Views())
    assert told.qat is None and told.loss_points > 3
    _, wide = quantise_base(base, sample, fit, held_out, replace(CONFIG, qat_points=90), Views())
    assert wide.qat is None  # less is lost than may be
    assert all(torch.equal(before[k], v) for k, v in base.state_dict().items())
    sim, facts = quantise_base(base, sample, fit, held_out, CONFIG, Views())
    assert facts.loss_points == told.loss_points and facts.qat.kept
    assert facts.qat.int8_accuracy > facts.int8_accuracy + 0.1
    again = (predict(Int8Sim(base, sample), held_out[0]).argmax(1) == held_out[1]).mean()
    assert (
        again
        == facts.qat.int8_accuracy
        == (predict(sim, held_out[0]).argmax(1) == held_out[1]).mean()
    )
    for name in ("1.running_mean", "1.running_var"):
        assert torch.equal(before[name], base.state_dict()[name])


def test_qat_that_does_not_help_is_undone():
    base, fit, held_out = badly_quantising()
    before = {k: v.clone() for k, v in base.state_dict().items()}
    harmful = replace(CONFIG, qat_lr=30.0, qat_epochs=1)
    sim, facts = quantise_base(base, fit[0][:200], fit, held_out, harmful, Views())
    assert facts.qat.kept is False
    assert all(torch.equal(before[k], v) for k, v in base.state_dict().items())
    got = (predict(sim, held_out[0]).argmax(1) == held_out[1]).mean()
    assert got == facts.int8_accuracy


def router_case(first):
    """A head on (1, x): its first weight is of no use but sets the step of the others."""
    rng = np.random.default_rng(0)
    rows = np.stack([np.ones(4000), rng.uniform(-1, 1, 4000)], 1)
    w1 = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    head = Collapsed(w1, np.array([0.0, 1.0, 1.0]), np.array([first, 0.14, -0.14]), 0.0)
    scores = head(rows)
    right = scores <= np.quantile(scores, 0.8), np.ones(4000, bool)
    sample = rows[:512].astype(np.float32)
    return RouterParts(head, (0.0, 0.0), (1.0, 1.0), 0.1, sample), rows, right


def test_the_head_in_int8():
    parts, rows, right = router_case(0.5)
    sim = HeadSim(parts)
    scores = sim.scores(rows)
    level = 2 * float(sim.span) / 255
    steps = (scores - sim.middle) / level
    assert np.abs(steps - np.round(steps)).max() < 1e-2
    inside = scores > scores.min() + level  # the surest are clipped on purpose
    assert np.abs(scores - parts.head(rows))[inside].max() < 6 * level
    same, facts = quantise_router(parts, rows, right, CONFIG)
    assert same is parts and facts.qat is None and facts.loss_points < 0.5


def test_the_head_is_fine_tuned_where_int8_costs_accuracy():
    parts, rows, right = router_case(40.0)
    config = replace(CONFIG, router_steps=400, coverage=0.8)
    found, facts = quantise_router(parts, rows, right, config)
    assert facts.loss_points > 0.5 and facts.qat.kept
    assert facts.qat.int8_accuracy > facts.int8_accuracy + 0.005
    assert found.head.w1.shape == parts.head.w1.shape
