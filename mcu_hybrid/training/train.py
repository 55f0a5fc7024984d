"""Trains a hybrid: base and global on the fit split, the router on images they never saw.

Reads top to bottom: config, data, stages, files. Returns facts; prints nothing.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mcu_hybrid import nets
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.train import Described, History, OnTold, TrainFacts
from mcu_hybrid.events import OnEvent
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.nets.checkpoint import Hybrid, NetSpec, Splits
from mcu_hybrid.nets.penultimate import feature_count
from mcu_hybrid.training import accelerate, evaluate, stages
from mcu_hybrid.training import data as data_module
from mcu_hybrid.training.augment import Views, usual_views
from mcu_hybrid.training.breakdown import breakdown_of
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.data import Dataset
from mcu_hybrid.training.fit import predict
from mcu_hybrid.training.stages import Run
from mcu_hybrid.training.state import Journal
from mcu_hybrid.training.verdict import warnings_of

# Images kept for the converter's ranges; more make splits.npz and the conversion larger. Not tuned.
_FIT_SAMPLE = 300
_ROUTER_EXAMPLES = 20_000  # wanted by default; views make up what images lack
_MOST_VIEWS = 16  # of one image; each takes a pass of both networks. Not tuned
_ROUNDS = 6  # of two and three parts; the best one is kept, so more cost time only


def train(
    config: HybridConfig,
    data: Dataset,
    out_dir: Path,
    on_event: OnEvent | None = None,
    *,
    state_file: Path | None = None,
    resume: bool = False,
    on_told: OnTold | None = None,
) -> TrainFacts:
    """Train, write hybrid.pt, splits.npz and history.json into ``out_dir``, return the facts.

    Args:
        state_file: kept up to date while it trains, so that an ended run can go on; the caller
            removes it when the result is safe. None for none.
        resume: go on from ``state_file``; on one thread the result is the same to the bit.
        on_told: is given the facts about the data, and each epoch's figures.

    Raises:
        InputError: the config or a network of the user is not usable.
        DataError: too few images in a class.
    """
    nets.require_torch()
    started = time.monotonic()
    config = resolve(config.check(), data)
    splits = data_module.split(data, _shares(config), config.splits_from)
    described = data_module.describe(data, splits)
    if on_told:
        on_told(described)
    kept = _kept(data, splits, config.seed)
    journal = Journal(state_file, {**config.to_json(), "data": data.digest}, resume)
    views = _views(config, data)
    run = Run(config, data, splits, kept.x_fit, views, journal, on_event, on_told)
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads or threads)
    accelerate.keep_memory()
    try:
        hybrid, history = _fit(run)
    finally:
        torch.set_num_threads(threads)
    out_dir.mkdir(parents=True, exist_ok=True)
    checkpoint.save_hybrid(hybrid, out_dir / checkpoint.CHECKPOINT)
    kept.save(out_dir / checkpoint.SPLITS)
    store.write(history, out_dir)
    facts = _facts(hybrid, data, splits["calibration"], described, history)
    return replace(facts, seconds=round(time.monotonic() - started, 1))


def _fit(run: Run) -> tuple[Hybrid, History]:
    """All stages one after the other; returns the hybrid and the history."""
    config, data = run.config, run.data
    # What is wrong with a network is said before minutes of training.
    probes = [stages.network(run, large=large) for large in (False, True)]
    if config.router_inputs == "features":
        feature_count(probes[0], data.shape)
    base, base_history = stages.bootstrap(run, large=False)
    global_, global_history = stages.bootstrap(run, large=True)
    made = stages.folds(run)
    state, rows = stages.rounds(run, base, global_, made)
    sim, int8 = stages.int8_base(run, base, state)
    parts, router_history = stages.router(run, sim, global_, made, state)
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
    history = History(
        config=config.to_json(),
        base=tuple(base_history),
        global_=tuple(global_history),
        rounds=tuple(rows),
        int8=int8,
        router=router_history,
        losses=breakdown_of(hybrid, sim, *run.images("calibration")),
    )
    return hybrid, history


def split_and_keep(config: HybridConfig, data: Dataset) -> Splits:
    """The splits that training would make, for a network that was trained elsewhere."""
    return _kept(data, data_module.split(data, _shares(config), config.splits_from), config.seed)


def resolve(config: HybridConfig, data: Dataset) -> HybridConfig:
    """Replace each "by the data" value of the config by what it means for this data set."""
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
        rounds=config.rounds or (0 if config.parts == 1 else _ROUNDS),
        # One thread gives the same sums on every machine, and tiny images gain nothing from more.
        threads=config.threads or (1 if tiny else 0),
        flip=config.flip if config.flip != "auto" else ("yes" if data.shape[2] == 3 else "no"),
    )


def _shares(config: HybridConfig) -> tuple[float, float, float, float]:
    return config.fit_share, config.router_share, config.calibration_share, config.test_share


def _views(config: HybridConfig, data: Dataset) -> Views:
    """Small turns suit scans; colour photographs get larger shifts instead."""
    return replace(usual_views(data.shape), flip=config.flip == "yes")


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


def _facts(
    hybrid: Hybrid, data: Dataset, part: np.ndarray, described: Described, history: History
) -> TrainFacts:
    """Sizes and float accuracies; the calibration split stands for what the router will meet."""
    networks = (hybrid.base, hybrid.global_)
    classes = [predict(net, data.x[part]).argmax(1) for net in networks]
    macs = [nets.count_macs(net, hybrid.shape) for net in networks]
    parameters = [sum(p.numel() for p in net.parameters()) for net in networks]
    room = evaluate.room(classes[0], classes[1], data.y[part])
    options = history.config
    given = [name for name in ("base", "global") if options[f"{name}_weights"]]
    return TrainFacts(
        calibration=room,
        base_macs=macs[0],
        base_parameters=parameters[0],
        global_macs=macs[1],
        global_parameters=parameters[1],
        router_macs=hybrid.router.head.w1.size + hybrid.router.head.w2.size,
        data=described,
        losses=history.losses,
        int8=history.int8,
        warnings=tuple(warnings_of(room, history.losses, data.y[part], data.labels, given)),
        config=options,
        seconds=0.0,
    )
