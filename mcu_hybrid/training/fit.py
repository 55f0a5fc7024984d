"""Fits one classifier (base or global) with cross-entropy; the router is in router_train.py."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mcu_hybrid.artifacts.train import Epoch, EpochTold, OnTold
from mcu_hybrid.events import OnEvent
from mcu_hybrid.training import accelerate, finite
from mcu_hybrid.training.augment import Views, random_view, to_float
from mcu_hybrid.training.state import Journal, copied, rng_state, set_rng_state


def fit_classifier(
    net: nn.Module,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    batch: int,
    lr: float,
    weight_decay: float,
    smoothing: float,
    views: Views | None,
    seed: int,
    label: str,
    journal: Journal | None = None,
    on_event: OnEvent | None = None,
    on_told: OnTold | None = None,
) -> list[Epoch]:
    """Train in place with AdamW and a one-cycle schedule; returns loss and accuracy per epoch.

    Args:
        x: uint8 NHWC.
        views: augmentation, None for none.
        smoothing: of the labels, 0..1.
        journal: its section ``label`` is where an ended run goes on, and is kept up to date.

    Raises:
        InputError: the loss is no number any more.
    """
    if epochs == 0:  # the user's weights, used as they are
        net.eval()
        return []
    layout = torch.channels_last if min(x.shape[1:3]) > 12 else torch.contiguous_format
    # A fifth faster on CPUs; tiny images gain nothing. (torch's stubs lack this form of to().)
    accelerate.place(net).to(memory_format=layout)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(seed)
    targets = torch.as_tensor(y)
    optimiser = torch.optim.AdamW(weight_groups(net, weight_decay), lr=lr)
    steps = max(1, len(x) // batch)
    total = epochs * steps + 1
    rise = max(0.2, 2 / total)  # torch divides by zero where the rise is no step long
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total, pct_start=rise)
    journal = journal or Journal()
    history = _restore(journal.get(label), net, optimiser, schedule, generator)
    what = label or "network"
    option = "global_lr" if label.startswith("global") else "base_lr"
    first, started = len(history), time.monotonic()
    for epoch in range(first, epochs):
        net.train()
        loss_sum, right, seen = 0.0, 0, 0
        for part in random_batches(len(x), steps, generator):
            images = to_float(x[part.numpy()])
            if views is not None:
                images = random_view(images, views, generator)
            logits = accelerate.forward(net, images.contiguous(memory_format=layout))
            loss = functional.cross_entropy(logits, targets[part], label_smoothing=smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            loss_sum += finite.loss_value(loss, what, option, lr) * len(part)
            right += int((logits.argmax(1) == targets[part]).sum())
            seen += len(part)
        history.append(Epoch(epoch=epoch, loss=loss_sum / seen, accuracy=right / seen))
        if epoch + 1 == epochs:
            finite.check_net(net, x, what, option, lr)
        journal.put(label, _kept(net, optimiser, schedule, generator, history))
        if on_event:
            on_event(label, epoch + 1, epochs)
        if on_told:
            pace_s = (time.monotonic() - started) / (epoch + 1 - first)
            told = EpochTold(
                label=what,
                epoch=epoch + 1,
                epochs=epochs,
                loss=history[-1].loss,
                accuracy=history[-1].accuracy,
                seconds_left=pace_s * (epochs - epoch - 1),
            )
            on_told(told)
    net.cpu().eval()
    return history


def _kept(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    generator: torch.Generator,
    history: list[Epoch],
) -> dict[str, object]:
    """All that an epoch changes."""
    return {
        "net": copied(net.state_dict()),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "rng": rng_state(generator),
        "history": [vars(epoch) for epoch in history],
    }


def _restore(
    kept: Mapping[str, Any] | None,
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    generator: torch.Generator,
) -> list[Epoch]:
    """Take ``_kept`` back; the history of the epochs that are done."""
    if kept is None:
        return []
    net.load_state_dict(kept["net"])
    optimiser.load_state_dict(kept["optimiser"])
    schedule.load_state_dict(kept["schedule"])
    set_rng_state(generator, kept["rng"])
    return [Epoch(**epoch) for epoch in kept["history"]]


def predict(net: nn.Module, x: np.ndarray, batch: int = 512) -> np.ndarray:
    """Logits float32 [N, K] of uint8 NHWC images, in eval mode, on the network's device."""
    net.eval()
    where = next((p.device for p in net.parameters()), torch.device("cpu"))
    parts = []
    with torch.no_grad():
        for start in range(0, len(x), batch):
            parts.append(net(to_float(x[start : start + batch]).to(where)).cpu().numpy())
    return np.concatenate(parts)


def random_batches(count: int, steps: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """A random order cut into equal batches: none so small that batch norm suffers."""
    return torch.randperm(count, generator=generator).tensor_split(steps)


def weight_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only, not on biases and batch norm; frozen ones out."""
    trained = [p for p in net.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1]
    others = [p for p in trained if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
