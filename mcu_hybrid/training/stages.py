"""The stages of a training run, in their order; each goes on where the journal left it.

Bootstrap (base and global with cross-entropy), folds, alternating rounds, int8 base, router.
``train.py`` calls them and writes the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mcu_hybrid import nets
from mcu_hybrid.artifacts.codec import plain_to, to_json
from mcu_hybrid.artifacts.train import Epoch, Int8Base, OnTold, Round, RouterFit
from mcu_hybrid.events import OnEvent
from mcu_hybrid.nets.checkpoint import RouterParts
from mcu_hybrid.nets.int8_sim import Int8Sim
from mcu_hybrid.training import finite, qat
from mcu_hybrid.training.augment import Views
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.crossfit import Fold, cross_fit
from mcu_hybrid.training.data import Dataset
from mcu_hybrid.training.fit import fit_classifier
from mcu_hybrid.training.joint import GLOBAL_SMOOTHING, Material, Rounds
from mcu_hybrid.training.router_train import Examples, collect, device_rows, fit_router
from mcu_hybrid.training.state import Journal

_INT8 = "int8 base"  # a section of the journal


@dataclass(frozen=True)
class Run:
    """What every stage works on.

    Args:
        splits: indices of the fit and router split (and the others, which no stage touches).
        sample: uint8 images of the fit split that the converter's ranges come from.
    """

    config: HybridConfig
    data: Dataset
    splits: Mapping[str, np.ndarray]
    sample: np.ndarray
    views: Views
    journal: Journal
    on_event: OnEvent | None = None
    on_told: OnTold | None = None

    def images(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 NHWC and classes of a split."""
        indices = self.splits[split]
        return self.data.x[indices], self.data.y[indices]


def network(run: Run, *, large: bool) -> nn.Module:
    """Base or global as the run starts with it: built, with the user's weights where given."""
    config, data = run.config, run.data
    spec = config.global_ if large else config.base
    width = config.global_width if large else config.base_width
    weights = config.global_weights if large else config.base_weights
    torch.manual_seed(config.seed + large)
    net = nets.build(spec, data.shape, data.classes, width, large=large)
    if weights:
        nets.load_weights(net, Path(weights))
    return net


def bootstrap(
    run: Run, *, large: bool, among: np.ndarray | None = None, label: str = ""
) -> tuple[nn.Module, list[Epoch]]:
    """Base or global, fitted with cross-entropy on the fit split.

    Args:
        among: positions in the fit split to fit on; None for all.
        label: of the section and the events; "base" or "global" by default.
    """
    config = run.config
    net = network(run, large=large)
    x, y = run.images("fit")
    if among is not None:
        x, y = x[among], y[among]
    lr = config.global_lr if large else config.base_lr
    name = "global" if large else "base"
    finite.check_net(net, x, name, f"{name}_lr", lr)  # the user's weights, perhaps
    history = fit_classifier(
        net,
        x,
        y,
        epochs=config.global_epochs if large else config.base_epochs,
        batch=min(config.batch, len(y)),
        lr=lr,
        weight_decay=config.weight_decay,
        smoothing=GLOBAL_SMOOTHING if large else 0.0,
        views=run.views if config.augment else None,
        seed=config.seed,
        label=label or name,
        journal=run.journal,
        on_event=run.on_event,
        on_told=run.on_told,
    )
    return net.eval(), history


def folds(run: Run) -> tuple[Fold, ...]:
    """Networks fitted on all folds but one, for each fold; none with ``folds`` 1."""
    config = run.config
    if config.folds < 2:
        return ()

    def fitter(large: bool) -> Callable[[int, np.ndarray], nn.Module]:
        name = "global" if large else "base"
        return lambda number, among: bootstrap(
            run, large=large, among=among, label=f"{name} without fold {number + 1}"
        )[0]

    with_global = config.fold_global == "yes" or (
        config.fold_global == "auto" and config.parts == 1
    )
    y = run.images("fit")[1]
    return tuple(
        cross_fit(
            y, config.folds, config.seed, fitter(False), fitter(True) if with_global else None
        )
    )


def rounds(
    run: Run, base: nn.Module, global_: nn.Module, made: tuple[Fold, ...]
) -> tuple[Rounds | None, list[Round]]:
    """Alternating training in place; returns its state (None without rounds) and its rows."""
    if run.config.rounds == 0:
        return None, []
    x, y = run.images("router")
    select = select_mask(y, run.config.select_share, run.config.seed)
    material = Material(*run.images("fit"), x[~select], y[~select], x[select], y[select], made)
    state = Rounds(base, global_, material, run.config, run.views, run.journal)
    return state, state.run(run.on_event, run.on_told)[1]


def int8_base(run: Run, base: nn.Module, state: Rounds | None) -> tuple[Int8Sim, Int8Base]:
    """The simulated int8 base, fine-tuned in place where int8 costs too much; and the facts."""
    kept = run.journal.get(_INT8)
    if kept is not None:
        base.load_state_dict(kept["net"])
        return Int8Sim(base, run.sample), plain_to(Int8Base, kept["facts"])
    x, _ = run.images("fit")
    weights = torch.ones(len(x))
    if state is not None and run.config.parts > 1:
        weights = state.weights("base")
    sim, facts = qat.quantise_base(
        base,
        run.sample,
        (x, weights),
        run.images("router"),
        run.config,
        run.views,
        run.on_event,
    )
    run.journal.put(_INT8, {"net": base.state_dict(), "facts": to_json(facts)})
    return sim, facts


def router(
    run: Run, sim: Int8Sim, global_: nn.Module, made: tuple[Fold, ...], state: Rounds | None
) -> tuple[RouterParts, RouterFit]:
    """The deployed router, fitted on what the int8 base says of images that it did not learn from.

    These are the router split, and with cross-fitted base and global that stand still (one part)
    the fit split too, through each fold's own int8 base. After rounds the router of the best round
    is where it starts.
    """
    x, y = run.images("router")
    parts = [_examples(run, sim, global_, x, y)]
    if run.config.parts == 1:
        x, y = run.images("fit")
        parts += [
            _examples(run, Int8Sim(f.base, run.sample), f.global_, x[f.held_out], y[f.held_out])
            for f in made
            if f.global_ is not None
        ]
    examples = _joined(parts)
    start = state.head.state_dict() if state is not None else None
    found, history = fit_router(examples, sim.logits_range, run.config, run.on_event, start)
    right = examples.base.argmax(1) == examples.y, examples.global_.argmax(1) == examples.y
    rows = device_rows(found, examples, sim.logits_range, run.config)
    found, told = qat.quantise_router(found, rows, right, run.config)
    return found, replace(history, int8=told)


def select_mask(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Booleans [N]: the images of the router split that only select; spread over the classes."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(len(y), bool)
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        mask[members[: max(1, round(share * len(members)))]] = True
    return mask


def _examples(
    run: Run, base: nn.Module, global_: nn.Module, x: np.ndarray, y: np.ndarray
) -> Examples:
    return collect(
        base,
        global_,
        x,
        y,
        count=run.config.router_views,
        views=run.views,
        seed=run.config.seed,
        features=run.config.router_inputs == "features",
        on_event=run.on_event,
    )


def _joined(parts: list[Examples]) -> Examples:
    def all_of(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    z = all_of("z") if parts[0].z is not None else None
    return Examples(all_of("base"), all_of("global_"), all_of("y"), z)
