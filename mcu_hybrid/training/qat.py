"""Quantisation in the loop: base and router head as the board runs them, fine-tuned where it costs.

Both are simulated with the converter's rules (nets/int8_sim.py). Where int8 loses more accuracy
than the config allows, the float weights are trained a little further through the simulation, with
gradients straight through the rounding (quantisation-aware training, Jacob et al., CVPR 2018), and
kept if int8 then gets more images right.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from mcu_hybrid.artifacts.train import Int8Base, Int8Loss, Int8Router, TunedBase, TunedRouter
from mcu_hybrid.events import OnEvent
from mcu_hybrid.nets.checkpoint import RouterParts
from mcu_hybrid.nets.int8_sim import Int8Sim, fake_quant, fake_quant_weight
from mcu_hybrid.nets.router_head import Collapsed, score_range
from mcu_hybrid.routing.breakdown import hybrid_accuracy
from mcu_hybrid.training import finite, losses
from mcu_hybrid.training.augment import Views, random_view, to_float
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.fit import predict, weight_groups
from mcu_hybrid.training.phase import freeze
from mcu_hybrid.training.state import copied

# The head is trained already and only has to adapt to rounding: a tenth of the router's learning
# rate, half of its steps. Not tuned; a change that does not pay is not kept anyway.
_HEAD_RATE = 0.1
_HEAD_STEPS = 0.5


def quantise_base(
    net: nn.Module,
    sample: np.ndarray,
    fit: tuple[np.ndarray, torch.Tensor],
    held_out: tuple[np.ndarray, np.ndarray],
    config: HybridConfig,
    views: Views,
    on_event: OnEvent | None = None,
) -> tuple[Int8Sim, Int8Base]:
    """The int8 base, and what quantisation costs it; trains ``net`` in place where that helps.

    Args:
        sample: uint8 NHWC images that ranges come from, as in the export.
        fit: images and their weights [N] in the loss; no classes are needed.
        held_out: images and classes that accuracies are measured on.

    Returns:
        The simulation and facts: accuracies as shares, ``loss_points`` in percentage points.
    """
    sim = Int8Sim(net, sample)
    before_int8 = _accuracies(net, sim, held_out)
    facts = Int8Base(images=len(held_out[1]), whole_network=sim.whole, **vars(before_int8))
    if not (_is_wanted(config, facts) and sim.whole):
        return sim, facts
    before = copied(net.state_dict())
    told = tune_base(net, sim, fit, config, views, on_event)
    after = _accuracies(net, sim, held_out)
    kept = after.int8_accuracy > facts.int8_accuracy
    if not kept:
        net.load_state_dict(before)
        sim.observe()
    return sim, replace(facts, qat=TunedBase(loss=tuple(told), kept=kept, **vars(after)))


def _is_wanted(config: HybridConfig, lost: Int8Loss) -> bool:
    """Whether to train through the simulation."""
    auto = config.qat == "auto" and lost.loss_points > config.qat_points
    return config.qat == "yes" or auto


def tune_base(
    net: nn.Module,
    sim: Int8Sim,
    fit: tuple[np.ndarray, torch.Tensor],
    config: HybridConfig,
    views: Views,
    on_event: OnEvent | None = None,
) -> list[float]:
    """Train ``net`` through its int8 simulation, batch norms in eval mode; mean loss per epoch.

    The target is what the float network said before, -sum p_float log p_int8 (distillation, Hinton
    et al., 2015, at temperature 1): the simulation is to regain that, not to learn the images once
    more. Ranges are taken anew from the
    float network before every epoch, as the converter will do.
    """
    x, weights = fit
    teacher = copy.deepcopy(net).eval()
    freeze(net, config.base_last_layers, config.freeze_batch_norm)
    optimiser = torch.optim.AdamW(weight_groups(net, config.weight_decay), lr=config.qat_lr)
    steps = max(1, len(x) // config.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.qat_epochs * steps)
    generator = torch.Generator().manual_seed(config.seed)
    told = []
    for epoch in range(config.qat_epochs):
        sim.observe()
        sim.live = True
        total = 0.0
        for part in torch.randperm(len(x), generator=generator).tensor_split(steps):
            images = to_float(x[part.numpy()])
            if config.augment:
                images = random_view(images, views, generator)
            with torch.no_grad():
                wanted = torch.softmax(teacher(images), 1)
            loss = losses.weighted_cross_entropy(sim(images), wanted, weights[part])
            value = finite.loss_value(loss, "int8 base", "qat_lr", config.qat_lr)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += value / steps
        sim.live = False
        told.append(total)
        if on_event:
            on_event("int8 base", epoch + 1, config.qat_epochs)
    freeze(net, 0, False)
    sim.observe()
    return told


class HeadSim(nn.Module):
    """The deployed router head in int8: rows [N, 1 + k + C] -> scores [N] on their 256 levels.

    Weights are rounded as the file holds them: where the router reads z, the features take z's
    scale there (export/link.py, Band), which moves their columns against those of z.
    """

    def __init__(self, parts: RouterParts) -> None:
        super().__init__()
        head = parts.head
        self.sample = torch.as_tensor(parts.sample, dtype=torch.float32)
        self.w1, self.b1, self.w2, self.b2 = (
            nn.Parameter(torch.as_tensor(value, dtype=torch.float32))
            for value in (head.w1, head.b1, head.w2, head.b2)
        )
        gains = np.ones(head.w1.shape[1])
        if parts.features:
            z = parts.sample[:, -parts.features :]
            width = max(float(z.max()), 0.0) - min(float(z.min()), 0.0)
            gains[: -parts.features] = 255 / (127 * max(width, 1e-6))
        self.gains = torch.as_tensor(gains, dtype=torch.float32)
        self.observe()

    def observe(self) -> None:
        """Ranges of the hidden units and of the score, from the sample."""
        with torch.no_grad():
            hidden = torch.relu(self.sample @ self.w1.T + self.b1)
        self.peak = hidden.max()
        low, high = score_range(self.collapsed(), self.sample.numpy())
        self.middle, self.span = (low + high) / 2, torch.tensor(max((high - low) / 2, 1e-3))

    def collapsed(self) -> Collapsed:
        """The head with the weights as they are now, in float64."""
        w1, b1, w2, b2 = (p.detach().double().numpy() for p in (self.w1, self.b1, self.w2, self.b2))
        return Collapsed(w1, b1, w2, float(b2))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        w1 = fake_quant_weight(self.w1 * self.gains) / self.gains
        w2 = fake_quant_weight(self.w2[None])[0]
        hidden = torch.relu(rows @ w1.T + self.b1)
        hidden = fake_quant(hidden, torch.zeros(()), self.peak)
        score = hidden @ w2 + self.b2 - self.middle
        return fake_quant(score, -self.span, self.span) + self.middle

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Scores [N] of rows [N, 1 + k + C], arrays."""
        with torch.no_grad():
            return np.asarray(self(torch.as_tensor(rows, dtype=torch.float32)).numpy())


def quantise_router(
    parts: RouterParts,
    rows: np.ndarray,
    right: tuple[np.ndarray, np.ndarray],
    config: HybridConfig,
) -> tuple[RouterParts, Int8Router]:
    """The router, its head fine-tuned in int8 where int8 costs hybrid accuracy; and the facts.

    Args:
        rows: the router's examples as the device sees them, [N, 1 + k + C].
        right: booleans [N], whether base and global get them right.
    """
    sim = HeadSim(parts)

    def accuracy(scores: np.ndarray) -> float:
        return hybrid_accuracy(scores, *right, config.coverage)[0]

    before, float_ = accuracy(sim.scores(rows)), accuracy(parts.head(rows))
    facts = Int8Router(
        float_accuracy=float_, int8_accuracy=before, loss_points=100 * (float_ - before)
    )
    if not _is_wanted(config, facts):
        return parts, facts
    tune_head(sim, rows, right, config)
    after = accuracy(sim.scores(rows))
    kept = after > before
    facts = replace(facts, qat=TunedRouter(kept=kept, int8_accuracy=after))
    return (replace(parts, head=sim.collapsed()) if kept else parts), facts


def tune_head(
    sim: HeadSim, rows: np.ndarray, right: tuple[np.ndarray, np.ndarray], config: HybridConfig
) -> None:
    """Train the collapsed head through its int8 simulation with the router's own loss (hybrid 2).

    Args:
        rows: the head's inputs [N, 1 + k + C].
        right: booleans [N], whether base and global get them right.
    """
    x = torch.as_tensor(rows, dtype=torch.float32)
    base, cloud = (torch.as_tensor(values) for values in right)
    both_wrong = ~base & ~cloud
    query = ~base if config.router_label == "naive" else ~base & cloud
    optimiser = torch.optim.AdamW(
        sim.parameters(), lr=config.router_lr * _HEAD_RATE, weight_decay=0.0
    )
    generator = torch.Generator().manual_seed(config.seed)
    for step in range(math.ceil(config.router_steps * _HEAD_STEPS)):
        if step % 50 == 0:
            sim.observe()
        part = torch.randint(len(x), (config.router_batch,), generator=generator)
        score = sim(x[part])
        gates = torch.stack([torch.zeros_like(score), score], 1)
        loss = losses.router_objective(gates, query[part], both_wrong[part], config)
        finite.loss_value(loss, "int8 router", "router_lr", config.router_lr)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    sim.observe()


def _accuracies(net: nn.Module, sim: Int8Sim, held_out: tuple[np.ndarray, np.ndarray]) -> Int8Loss:
    x, y = held_out
    float_, int8 = (float((predict(n, x).argmax(1) == y).mean()) for n in (net, sim))
    return Int8Loss(float_accuracy=float_, int8_accuracy=int8, loss_points=100 * (float_ - int8))
