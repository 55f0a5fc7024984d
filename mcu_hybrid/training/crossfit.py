"""Predictions for images that a network was fitted on, by networks that did not see them.

K-fold cross-fitting is ours: Kag et al. take labels from images that both networks may have learned
by heart, which makes o = 1 rare and biased (hybrid 2, docs/papers.md).

Base and global are nearly always right on their own fit split, so a router that learned there would
find little worth a query. Here the split is cut into folds, and for each one a network is fitted on
the others. Those networks stand in for the deployed ones, which were fitted on all folds: they are
a little weaker, and they do not follow later changes of the deployed ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from torch import nn

from mcu_hybrid.training.fit import predict

Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class Fold:
    """Positions in the fit split, and networks fitted on all other positions."""

    held_out: np.ndarray
    base: nn.Module
    global_: nn.Module | None


def fold_positions(y: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Sorted, disjoint positions that together are all of them; each class is spread evenly."""
    rng = np.random.default_rng(seed)
    fold_of = np.empty(len(y), np.int64)
    start = 0
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        fold_of[members] = (np.arange(len(members)) + start) % folds
        start += len(members)  # else the first folds got the remainder of every class
    return [np.flatnonzero(fold_of == fold) for fold in range(folds)]


def cross_fit(
    y: np.ndarray,
    folds: int,
    seed: int,
    fit_base: Callable[[int, np.ndarray], nn.Module],
    fit_global: Callable[[int, np.ndarray], nn.Module] | None,
) -> list[Fold]:
    """Fit the networks of each fold on the positions of the other ones.

    Args:
        y: classes of the fit split.
        fit_base, fit_global: (number of the fold, positions to fit on) -> network in eval mode.
    """
    made = []
    everything = np.arange(len(y))
    for number, held_out in enumerate(fold_positions(y, folds, seed)):
        others = np.setdiff1d(everything, held_out)
        made.append(
            Fold(
                held_out,
                fit_base(number, others),
                fit_global(number, others) if fit_global else None,
            )
        )
    return made


def held_out_logits(
    x: np.ndarray,
    folds: Sequence[Fold],
    net_of: Callable[[Fold], Net],
    read: Callable[[Net, np.ndarray], np.ndarray] = predict,
) -> np.ndarray:
    """What the fold that did not see an image says of it: float32 [N, ...] for all of x, in order.

    Args:
        x: uint8 NHWC, the fit split.
        read: (network, images) -> values [n, ...]; its logits by default.
    """
    parts = [read(net_of(fold), x[fold.held_out]) for fold in folds]
    result = np.empty((len(x), *parts[0].shape[1:]), np.float32)
    for fold, part in zip(folds, parts, strict=True):
        result[fold.held_out] = part
    return result
