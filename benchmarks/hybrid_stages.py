"""What benchmarks/hybrid.py works on, and its networks in float: the global, a base per seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hybrid_cache import Cache, Stage
from hybrid_plan import Setting
from torch import nn

from mcu_hybrid import nets
from mcu_hybrid.training import data as data_module
from mcu_hybrid.training.augment import Views
from mcu_hybrid.training.baselines import appealnet, loop
from mcu_hybrid.training.data import Dataset

WEIGHTS, LOOP = "weights.pt", "epochs.pt"
LR = {"base": 4e-3, "global": 2e-3, "tune": 1e-3, "fresh": 1e-2}
OnEvent = Callable[[str, int, int], None]


@dataclass(frozen=True)
class World:
    """What every stage sees: the setting, the data, its splits (the same for all seeds)."""

    setting: Setting
    data: Dataset
    splits: dict[str, np.ndarray]
    cache: Cache
    on_event: OnEvent

    def x(self, split: str) -> np.ndarray:
        """Images uint8 NHWC of a split."""
        return self.data.x[self.splits[split]]

    def y(self, split: str) -> np.ndarray:
        """Classes of a split."""
        return self.data.y[self.splits[split]]

    @property
    def views(self) -> Views:
        """The augmentation that training/train.py uses for photographs, or for scans."""
        if self.data.shape[2] == 3:
            return Views(shift=0.125, turn_degrees=4.0, zoom=0.1, contrast=0.2, flip=True)
        return Views()

    def settings(self, *keys: str, **others: Any) -> dict[str, Any]:
        """What a stage's result depends on."""
        values = asdict(self.setting)
        common = {"data": self.data.digest, "splits": self.setting.splits, "rates": LR}
        return common | {key: values[key] for key in keys} | others


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
        "global", world.settings("global_width", "global_epochs", "batch"), (), make
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

    settings = world.settings("base_width", "base_epochs", "batch", seed=seed)
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
