"""The networks of experiments/hybrid in float: the global, a base per seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from experiments.hybrid.cache import Stage
from experiments.hybrid.plan import LR
from experiments.hybrid.world import World
from mcu_hybrid import nets
from mcu_hybrid.training import data as data_module
from mcu_hybrid.training.baselines import appealnet, loop

WEIGHTS, LOOP = "weights.pt", "epochs.pt"


def global_stage(world: World) -> Stage:
    """The large network, trained once and shared by the seeds; its logits of every image."""
    setting = world.setting

    def make(folder: Path) -> dict[str, Any]:
        torch.manual_seed(1)
        shape = world.data.shape
        net = nets.build("reference", shape, world.data.classes, setting.global_width, large=True)
        _fit_plain(world, net, folder, "global", setting.global_epochs, 0.1, 0)
        logits = {name: loop.outputs(net, world.x(name)) for name in data_module.SPLITS}
        np.savez(folder / "logits.npz", **logits)
        torch.save(net.cpu().state_dict(), folder / WEIGHTS)
        return {
            "macs": nets.count_macs(net, shape),
            "accuracy": float((logits["test"].argmax(1) == world.y("test")).mean()),
        }

    return world.cache.stage(
        "global",
        world.settings("global_width", "global_epochs", "batch", rates=("global",)),
        (),
        make,
    )


def base_stage(world: World, seed: int) -> Stage:
    """The small network of a seed, in float."""
    setting = world.setting

    def make(folder: Path) -> dict[str, Any]:
        net = build_base(world, seed)
        _fit_plain(world, net, folder, f"base {seed}", setting.base_epochs, 0.0, seed)
        torch.save(net.cpu().state_dict(), folder / WEIGHTS)
        seen = loop.outputs(net, world.x("test")).argmax(1)
        return {
            "macs": nets.count_macs(net, world.data.shape),
            "accuracy_float": float((seen == world.y("test")).mean()),
        }

    settings = world.settings("base_width", "base_epochs", "batch", rates=("base",), seed=seed)
    return world.cache.stage(f"base {seed}", settings, (), make)


def build_base(world: World, seed: int, weights: Path | None = None) -> nn.Module:
    """The small network, new or with the weights of a base stage."""
    torch.manual_seed(seed)
    data, width = world.data, world.setting.base_width
    net = nets.build("reference", data.shape, data.classes, width, large=False)
    if weights is not None:
        nets.load_weights(net, weights)
    return net


def _fit_plain(
    world: World,
    net: nn.Module,
    folder: Path,
    label: str,
    epochs: int,
    smoothing: float,
    seed: int,
) -> None:
    """Cross-entropy on the fit split."""
    y = torch.as_tensor(world.y("fit"))

    def loss(logits: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits, y[at], label_smoothing=smoothing)

    rate = LR["global" if label == "global" else "base"]
    fit(world, net, folder / LOOP, label, loss, epochs, rate, seed)


def fit(
    world: World,
    net: nn.Module,
    kept: Path,
    label: str,
    loss: loop.Loss,
    epochs: int,
    lr: float,
    seed: int,
) -> None:
    """Train on the fit split with any loss; the file ``kept`` is there while it runs."""
    schedule = loop.Schedule(
        epochs,
        world.setting.batch,
        lr,
        views=world.views,
        seed=seed,
        fresh=appealnet.ACCEPT,
        fresh_lr=LR["fresh"],
    )
    loop.fit(
        net,
        world.x("fit"),
        loss,
        schedule,
        label=label,
        checkpoint=kept,
        on_event=world.on_event,
    )
    kept.unlink(missing_ok=True)
