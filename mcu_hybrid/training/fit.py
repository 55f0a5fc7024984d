"""Fits one classifier (base or global) with cross-entropy; the router is in router_train.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mcu_hybrid.training.augment import Views, random_view, to_float

OnEvent = Callable[[str, int, int], None]


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
    on_event: OnEvent | None = None,
) -> list[dict[str, Any]]:
    """Train in place with AdamW and a one-cycle schedule; returns loss and accuracy per epoch.

    Args:
        x: uint8 NHWC.
        views: augmentation, None for none.
        smoothing: of the labels, 0..1.
    """
    if epochs == 0:  # the user's weights, used as they are
        net.eval()
        return []
    layout = torch.channels_last if min(x.shape[1:3]) > 12 else torch.contiguous_format
    # A fifth faster on CPUs; tiny images gain nothing. (torch's stubs lack this form of to().)
    net.to(memory_format=layout)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(seed)
    targets = torch.as_tensor(y)
    optimiser = torch.optim.AdamW(_groups(net, weight_decay), lr=lr)
    steps = max(1, len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, lr, total_steps=epochs * steps + 1, pct_start=0.2
    )
    history = []
    for epoch in range(epochs):
        net.train()
        loss_sum, right, seen = 0.0, 0, 0
        for part in _batches(len(x), steps, generator):
            images = to_float(x[part.numpy()])
            if views is not None:
                images = random_view(images, views, generator)
            logits = net(images.contiguous(memory_format=layout))
            loss = functional.cross_entropy(logits, targets[part], label_smoothing=smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            loss_sum += loss.item() * len(part)
            right += int((logits.argmax(1) == targets[part]).sum())
            seen += len(part)
        history.append({"epoch": epoch, "loss": loss_sum / seen, "accuracy": right / seen})
        if on_event:
            on_event(label, epoch + 1, epochs)
    net.eval()
    return history


def predict(net: nn.Module, x: np.ndarray, batch: int = 512) -> np.ndarray:
    """Logits float32 [N, K] of uint8 NHWC images, in eval mode."""
    net.eval()
    with torch.no_grad():
        parts = [net(to_float(x[i : i + batch])).numpy() for i in range(0, len(x), batch)]
    return np.concatenate(parts)


def _batches(count: int, steps: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """A random order cut into equal batches: none so small that batch norm suffers."""
    return torch.randperm(count, generator=generator).tensor_split(steps)


def _groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only, not on biases and batch norm."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
