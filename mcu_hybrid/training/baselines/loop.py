"""One training loop for every network of a comparison: any loss, resumable after each epoch.

It runs where ``accelerate.on`` says. Losses are the callers'.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mcu_hybrid.events import OnEvent
from mcu_hybrid.training import accelerate
from mcu_hybrid.training.augment import Views, random_view, to_float

Loss = Callable[[Any, torch.Tensor], torch.Tensor]
_WARM_UP = 0.2  # share of the steps with a rising rate, as for base and global (training/fit.py)


@dataclass(frozen=True)
class Schedule:
    """AdamW with a one-cycle learning rate; ``views`` None: no augmentation.

    Parameters whose name begins with ``fresh`` have ``fresh_lr``: a head that is new on a network
    that is not.
    """

    epochs: int
    batch: int
    lr: float
    weight_decay: float = 1e-2
    views: Views | None = None
    seed: int = 0
    fresh: str = ""
    fresh_lr: float = 0.0


def fit(
    net: nn.Module,
    x: np.ndarray,
    loss: Loss,
    schedule: Schedule,
    *,
    label: str,
    checkpoint: Path | None = None,
    on_event: OnEvent | None = None,
) -> list[float]:
    """Train the parameters that require a gradient, in place; returns the mean loss per epoch.

    Modules that ``freeze`` has marked stay in eval mode. With ``checkpoint`` each epoch is saved
    there, and a run that was ended goes on after its last epoch with the same batches.

    Args:
        x: uint8 NHWC.
        loss: (output of the network in float32, indices int64 into x) -> scalar.
    """
    accelerate.place(net)
    accelerate.channels_last(net)
    groups = _groups(net, schedule)
    optimiser = torch.optim.AdamW(groups, lr=schedule.lr)
    steps = max(1, len(x) // schedule.batch)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        [group["lr"] for group in groups],
        total_steps=schedule.epochs * steps + 1,
        pct_start=_WARM_UP,
    )
    generator = torch.Generator().manual_seed(schedule.seed)
    state = _State(net, optimiser, rate, generator, checkpoint)
    losses = state.restore()
    for epoch in range(len(losses), schedule.epochs):
        _train_mode(net)
        total = 0.0
        for part in torch.randperm(len(x), generator=generator).tensor_split(steps):
            images = to_float(x[part.numpy()])
            if schedule.views is not None:
                images = random_view(images, schedule.views, generator)
            out = accelerate.forward(net, accelerate.channels_last(images))
            value = loss(out, part)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            rate.step()
            total += float(value.detach()) * len(part)
        losses.append(total / len(x))
        state.save(losses)
        if on_event:
            on_event(label, epoch + 1, schedule.epochs)
    net.eval()
    return losses


def outputs(net: nn.Module, x: np.ndarray, batch: int = 512) -> np.ndarray:
    """What the network gives for uint8 NHWC images, in eval mode and float32, [N, ...]."""
    accelerate.place(net).eval()
    with torch.no_grad():
        parts = [
            accelerate.forward(net, to_float(x[i : i + batch]), exact=True).numpy()
            for i in range(0, len(x), batch)
        ]
    return np.concatenate(parts)


def freeze(net: nn.Module) -> nn.Module:
    """No gradients, and batch norm keeps its statistics while the rest is trained."""
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    for module in net.modules():
        module.frozen = True  # type: ignore[assignment]
    return net


def _train_mode(net: nn.Module) -> None:
    net.train()
    for module in net.modules():
        if getattr(module, "frozen", False):
            module.training = False


def _groups(net: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only, not on biases and batch norm."""
    groups = []
    for is_fresh, lr in ((False, schedule.lr), (True, schedule.fresh_lr)):
        mine = [
            parameter
            for name, parameter in net.named_parameters()
            if parameter.requires_grad
            and (bool(schedule.fresh) and name.startswith(schedule.fresh)) is is_fresh
        ]
        if not mine:
            continue
        decay = schedule.weight_decay
        matrices = [p for p in mine if p.ndim > 1]
        groups.append({"params": matrices, "weight_decay": decay, "lr": lr})
        vectors = [p for p in mine if p.ndim <= 1]
        groups.append({"params": vectors, "weight_decay": 0.0, "lr": lr})
    return groups


@dataclass(frozen=True)
class _State:
    """All that an epoch changes, to and from a file that is replaced as a whole."""

    net: nn.Module
    optimiser: torch.optim.Optimizer
    rate: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    path: Path | None

    def restore(self) -> list[float]:
        """Load the file if there is one; the losses of the epochs that are done."""
        if self.path is None or not self.path.is_file():
            return []
        kept = torch.load(self.path, map_location="cpu", weights_only=True)
        self.net.load_state_dict(kept["net"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.rate.load_state_dict(kept["rate"])
        self.generator.set_state(kept["generator"].cpu())
        torch.set_rng_state(kept["torch"].cpu())
        return [float(value) for value in kept["losses"]]

    def save(self, losses: list[float]) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        torch.save(
            {
                "net": self.net.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "rate": self.rate.state_dict(),
                "generator": self.generator.get_state(),
                "torch": torch.get_rng_state(),  # dropout draws from it
                "losses": losses,
            },
            part,
        )
        os.replace(part, self.path)
