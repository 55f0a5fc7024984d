"""Trains a hybrid: base and global on the fit split, then the router on a split they never saw.

Reads top to bottom: config, data, networks, router, files. Returns facts; prints nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mcu_hybrid import nets
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.nets.checkpoint import Hybrid, NetSpec, Splits
from mcu_hybrid.training import data as data_module
from mcu_hybrid.training import evaluate
from mcu_hybrid.training.augment import Views
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.data import Dataset
from mcu_hybrid.training.fit import fit_classifier, predict
from mcu_hybrid.training.router_train import collect, fit_router

OnEvent = Callable[[str, int, int], None]
HISTORY = "history.json"
_FIT_SAMPLE = 300  # images kept for the converter's ranges
_ROUTER_EXAMPLES = 6000  # wanted by default; views make up what images lack
_MOST_VIEWS = 16


def train(
    config: HybridConfig, data: Dataset, out_dir: Path, on_event: OnEvent | None = None
) -> dict[str, Any]:
    """Train, write hybrid.pt, splits.npz and history.json into ``out_dir``, return the facts.

    Raises:
        InputError: the config or a network of the user is not usable.
        DataError: too few images in a class.
    """
    nets.require_torch()
    started = time.monotonic()
    config = resolve(config.check(), data)
    splits = data_module.split(data, _shares(config), config.seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads or threads)
    try:
        hybrid, history = _fit(config, data, splits, on_event)
    finally:
        torch.set_num_threads(threads)
    out_dir.mkdir(parents=True, exist_ok=True)
    checkpoint.save_hybrid(hybrid, out_dir / checkpoint.CHECKPOINT)
    _kept(data, splits, config.seed).save(out_dir / checkpoint.SPLITS)
    (out_dir / HISTORY).write_text(json.dumps(history, indent=1) + "\n")
    facts = _facts(hybrid, data, splits)
    return {**facts, "config": config.to_json(), "seconds": round(time.monotonic() - started, 1)}


def _fit(
    config: HybridConfig,
    data: Dataset,
    splits: dict[str, np.ndarray],
    on_event: OnEvent | None,
) -> tuple[Hybrid, dict[str, Any]]:
    """Base and global on the fit split, then the router on its own; returns the history too."""
    views = _views(config, data)
    fit, router = splits["fit"], splits["router"]
    base, base_history = _network(config, data, fit, False, views, on_event)
    global_, global_history = _network(config, data, fit, True, views, on_event)
    examples = collect(
        base,
        global_,
        data.x[router],
        data.y[router],
        count=config.router_views,
        views=views,
        seed=config.seed,
        on_event=on_event,
    )
    logits = predict(base, data.x[fit])
    parts, router_history = fit_router(
        examples, (float(logits.min()), float(logits.max())), config, on_event
    )
    hybrid = Hybrid(
        base,
        global_,
        NetSpec(config.base, config.base_width),
        NetSpec(config.global_, config.global_width),
        parts,
        data.shape,
        data.labels,
        config.to_json(),
    )
    history = {
        "config": config.to_json(),
        "base": base_history,
        "global": global_history,
        "router": router_history,
    }
    return hybrid, history


def split_and_keep(config: HybridConfig, data: Dataset) -> Splits:
    """The splits that training would make, for a network that was trained elsewhere."""
    return _kept(data, data_module.split(data, _shares(config), config.seed), config.seed)


def resolve(config: HybridConfig, data: Dataset) -> HybridConfig:
    """Replace each "by the data" value of the config by what it means for this data set."""
    from dataclasses import replace

    tiny = min(data.shape[:2]) <= 12
    images = len(data.y)
    router_images = max(1, round(images * config.router_share))
    views = min(_MOST_VIEWS, max(1, round(_ROUTER_EXAMPLES / router_images)))
    base_epochs, global_epochs = (30, 30) if images < 5000 else (16, 12)
    return replace(
        config,
        base_width=config.base_width or (8 if tiny else 16),
        global_width=config.global_width or (16 if tiny else 24),
        base_epochs=config.base_epochs or (0 if config.base_weights else base_epochs),
        global_epochs=config.global_epochs or (0 if config.global_weights else global_epochs),
        router_views=config.router_views or views,
        # One thread gives the same sums on every machine, and tiny images gain nothing from more.
        threads=config.threads or (1 if tiny else 0),
        flip=config.flip if config.flip != "auto" else ("yes" if data.shape[2] == 3 else "no"),
    )


def _shares(config: HybridConfig) -> tuple[float, float, float, float]:
    return config.fit_share, config.router_share, config.calibration_share, config.test_share


def _views(config: HybridConfig, data: Dataset) -> Views:
    """Small turns suit scans; colour photographs get larger shifts instead."""
    flip = config.flip == "yes"
    if data.shape[2] == 3:
        return Views(shift=0.125, turn_degrees=4.0, zoom=0.1, contrast=0.2, flip=flip)
    return Views(flip=flip)


def _network(
    config: HybridConfig,
    data: Dataset,
    indices: np.ndarray,
    large: bool,
    views: Views,
    on_event: OnEvent | None,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Build base or global, load the user's weights, fit on the fit split."""
    spec = config.global_ if large else config.base
    width = config.global_width if large else config.base_width
    weights = config.global_weights if large else config.base_weights
    epochs = config.global_epochs if large else config.base_epochs
    torch.manual_seed(config.seed + large)
    net = nets.build(spec, data.shape, data.classes, width, large=large)
    if weights:
        nets.load_weights(net, Path(weights))
    history = fit_classifier(
        net,
        data.x[indices],
        data.y[indices],
        epochs=epochs,
        batch=min(config.batch, len(indices)),
        lr=config.global_lr if large else config.base_lr,
        weight_decay=config.weight_decay,
        smoothing=0.1 if large else 0.0,
        views=views if config.augment else None,
        seed=config.seed,
        label="global" if large else "base",
        on_event=on_event,
    )
    return net.eval(), history


def _kept(data: Dataset, splits: dict[str, np.ndarray], seed: int) -> Splits:
    """The images that later steps need."""
    rng = np.random.default_rng(seed)
    fit = rng.permutation(splits["fit"])[:_FIT_SAMPLE]
    calibration = splits["calibration"]
    # Folders come class by class; shuffled, the first N test images are a fair sample.
    test = rng.permutation(splits["test"])
    return Splits(
        data.x[np.sort(fit)],
        data.x[calibration],
        data.y[calibration],
        data.x[test],
        data.y[test],
        {**splits, "test": test},
        data.labels,
        data.digest,
    )


def _facts(hybrid: Hybrid, data: Dataset, splits: dict[str, np.ndarray]) -> dict[str, Any]:
    """Sizes and float accuracies; the calibration split stands for what the router will meet."""
    part = splits["calibration"]
    classes = [predict(net, data.x[part]).argmax(1) for net in (hybrid.base, hybrid.global_)]
    sizes = {}
    for name, net in (("base", hybrid.base), ("global", hybrid.global_)):
        sizes[f"{name}_macs"] = nets.count_macs(net, hybrid.shape)
        sizes[f"{name}_parameters"] = sum(p.numel() for p in net.parameters())
    sizes["router_macs"] = hybrid.router.head.w1.size + hybrid.router.head.w2.size
    return {
        "data": data_module.describe(data, splits),
        "calibration": evaluate.room(classes[0], classes[1], data.y[part]),
        **sizes,
    }
