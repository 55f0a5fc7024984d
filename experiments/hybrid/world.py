"""What every stage of experiments/hybrid works on: the setting, the data and its splits."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.hybrid.cache import Cache
from experiments.hybrid.plan import LR, Setting
from mcu_hybrid.events import OnEvent
from mcu_hybrid.training import data as data_module
from mcu_hybrid.training.augment import Views, usual_views
from mcu_hybrid.training.data import Dataset


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
        return usual_views(self.data.shape)

    def settings(self, *keys: str, rates: tuple[str, ...], **others: Any) -> dict[str, Any]:
        """What a stage's result depends on: keys of the setting, learning rates, anything else."""
        chosen = {key: getattr(self.setting, key) for key in keys}
        chosen |= {f"{name} lr": LR[name] for name in rates}
        common = {"data": self.data.digest, "splits": self.setting.splits}
        return common | {"views": asdict(self.views)} | chosen | others


def read(source: str, setting: Setting, cache_root: Path) -> World:
    """The data and its splits; decoded images are kept in the cache.

    The source's own test split is kept, or as many images as the setting says; fewer images than
    the setting asks for are shared out in its proportions.
    """
    cache = Cache(cache_root / setting.name, lambda line: print(line, file=sys.stderr, flush=True))
    path = Path(source)
    told = {"source": source, "bytes": path.stat().st_size if path.is_file() else 0}

    def make(folder: Path) -> dict[str, Any]:
        found = data_module.load_data(source)
        arrays = {"x": found.x, "y": found.y, "labels": np.array(found.labels)}
        if found.fixed_test_mask is not None:
            arrays["test"] = found.fixed_test_mask
        np.savez(folder / "data.npz", **arrays)
        return {"images": len(found.y)}

    stage = cache.stage("data", told, (), make)
    found = fewer(data_module.load_data(str(stage.folder / "data.npz")), setting)
    config = setting.config(0, "", "")
    shares = config.fit_share, config.router_share, config.calibration_share, config.test_share
    splits = data_module.split(found, shares, config.split_seed)
    return World(setting, found, splits, cache, tell)


def fewer(found: Dataset, setting: Setting) -> Dataset:
    """At most as many images as the setting's splits need, test images apart."""
    rng = np.random.default_rng(0)
    mask = found.fixed_test_mask
    groups = (
        [np.arange(len(found.y))] if mask is None else [np.flatnonzero(~mask), np.flatnonzero(mask)]
    )
    wanted = [sum(setting.splits), setting.test_images]
    wanted = [sum(wanted)] if mask is None else wanted
    if all(len(group) <= most for group, most in zip(groups, wanted, strict=True)):
        return found
    chosen = [rng.permutation(g)[:most] for g, most in zip(groups, wanted, strict=True)]
    at = np.sort(np.concatenate(chosen))
    test = None if mask is None else mask[at]
    return data_module.make_dataset(found.name, found.x[at], found.y[at], found.labels, test)


def tell(label: str, done: int, total: int) -> None:
    """Progress on one line of the terminal."""
    if sys.stderr.isatty():
        print(f"\r{label} {done}/{total}   ", end="", file=sys.stderr, flush=True)
