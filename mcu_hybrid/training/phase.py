"""One network in alternating training: its optimiser, schedule, averaged weights, frozen parts."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from mcu_hybrid.training import finite
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.fit import random_batches, weight_groups
from mcu_hybrid.training.state import rng_state, set_rng_state

_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
# Of the learning rate, where the cosine ends: the published code goes from 1e-4 to 1e-6 (hybrid 3).
_LAST_RATE = 0.01

ORDER = {1: ("router",), 2: ("router", "base"), 3: ("router", "global", "base")}
_ROUTER_STEPS = 50  # least of a phase: one pass over few images is 1 to 5 steps, which move nothing


class Phase:
    """AdamW with warm-up and cosine over all phases' steps, and an exponential moving average.

    One optimiser, schedule and average for each network, as hybrid 3 (docs/papers.md) has it, with
    AdamW for its Adam. The average is reached gradually (decay at most (1 + t) / (10 + t) after t
    steps), so that few steps already move it; ``ema`` 0 makes it the network itself.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        lr: float,
        weight_decay: float,
        iterations: int,
        phases: int,
        warm_up: float,
        ema: float,
        seed: int,
        last_layers: int = 0,
        freeze_norm: bool = False,
        name: str = "network",
    ) -> None:
        """Prepare ``phases`` phases of ``iterations`` batches each.

        Args:
            warm_up: share of the steps with a rising learning rate.
            last_layers, freeze_norm: as for ``freeze``.
            name: "router", "global" or "base", for errors.
        """
        self.net, self.ema, self.done, self.iterations = net, ema, 0, iterations
        self.name, self.lr = name, lr
        steps = iterations * phases
        self.still = freeze(net, last_layers, freeze_norm)
        self.average = copy.deepcopy(net).eval() if ema else net
        self.optimiser = torch.optim.AdamW(weight_groups(net, weight_decay), lr=lr)
        first = max(1, round(warm_up * steps))

        def rate(step: int) -> float:
            if step < first:
                return (step + 1) / first
            share = min(1.0, (step - first) / max(1, steps - first))
            return _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * share))

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, rate)
        self.generator = torch.Generator().manual_seed(seed)

    def start(self) -> None:
        """Training mode, without what is frozen."""
        self.net.train()
        for module in self.still:
            module.eval()

    def batches(self, count: int, batch: int) -> Iterator[torch.Tensor]:
        """Indices below ``count``: the random batches of one phase."""
        steps, left = max(1, count // batch), self.iterations
        while left:
            for part in random_batches(count, steps, self.generator)[:left]:
                left -= 1
                yield part

    def step(self, loss: torch.Tensor) -> float:
        """One step of the optimiser, the schedule and the average; returns the loss."""
        value = finite.loss_value(loss, self.name, f"round_{self.name}_lr", self.lr)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.done += 1
        if self.ema:
            self._follow(min(self.ema, (1 + self.done) / (10 + self.done)))
        return value

    def _follow(self, decay: float) -> None:
        with torch.no_grad():
            now = self.net.state_dict()
            for name, mean in self.average.state_dict().items():
                if mean.is_floating_point():
                    mean.lerp_(now[name], 1 - decay)
                else:  # batch norm's counter
                    mean.copy_(now[name])

    def state(self) -> dict[str, object]:
        """All that a step changes."""
        return {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "rng": rng_state(self.generator),
            "done": self.done,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take ``state`` back."""
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        set_rng_state(self.generator, state["rng"])
        self.done = int(state["done"])


def freeze(net: nn.Module, last_layers: int, freeze_norm: bool) -> list[nn.Module]:
    """Leave gradients to the last layers only; returns the modules that must stay in eval mode.

    Layers count in the order in which the network registered them.

    Args:
        last_layers: how many convolutions and linear layers are trained, each with what follows it
            up to the next one; 0 = all.
        freeze_norm: batch norms keep their statistics, gain and offset everywhere.
    """
    for parameter in net.parameters():
        parameter.requires_grad_(True)
    layers = [m for m in net.modules() if isinstance(m, _WEIGHTED)]
    first = layers[-last_layers] if 0 < last_layers < len(layers) else None
    still: list[nn.Module] = []
    before = first is not None
    for module in net.modules():
        before = before and module is not first
        leaf = next(module.children(), None) is None
        if leaf and (before or (freeze_norm and isinstance(module, _NORMS))):
            still.append(module)
    for module in still:
        for parameter in module.parameters():
            parameter.requires_grad_(False)
    return still


def phases_of(
    config: HybridConfig, nets: Sequence[nn.Module], router_images: int, fit_images: int
) -> dict[str, Phase]:
    """Router, global and base; what the mode leaves out gets a phase that never steps.

    Args:
        nets: in the order of ORDER[3].
        router_images, fit_images: sizes of the two splits that are trained on.
    """
    trained = ORDER[config.parts]
    rates = config.round_router_lr, config.round_global_lr, config.round_base_lr
    caps = config.router_iterations, config.global_iterations, config.base_iterations
    examples = router_images + (fit_images if config.parts == 1 else 0)
    once = max(_ROUTER_STEPS, examples // config.router_batch)
    passes = once, *[max(1, fit_images // config.batch)] * 2
    last = 0, config.global_last_layers, config.base_last_layers
    return {
        name: Phase(
            nets[i],
            lr=rates[i],
            weight_decay=config.weight_decay if i else config.router_weight_decay,
            iterations=caps[i] or passes[i],
            phases=config.rounds + (i == 0),
            warm_up=config.warm_up,
            ema=config.ema if name in trained else 0.0,
            seed=config.seed + 3 + i,
            last_layers=last[i],
            freeze_norm=config.freeze_batch_norm and i > 0,
            name=name,
        )
        for i, name in enumerate(ORDER[3])
    }
