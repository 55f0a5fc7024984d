"""Thresholds and the one rule that decides.

A score is an integer per input, higher = more in need of the cloud, the same number that the
device computes. Keep (answer on the device) iff score <= threshold; query iff score > threshold:
the rule of hybrid 5 (docs/papers.md), whose threshold is chosen on a split of its own.
"""

from __future__ import annotations

import math

import numpy as np

from mcu_hybrid.errors import InputError


def queries(scores: np.ndarray, threshold: int) -> np.ndarray:
    """True where the cloud is asked; a higher score never turns a query into a keep."""
    return np.asarray(scores) > threshold


def threshold_for(scores: np.ndarray, coverage: float) -> int:
    """The threshold whose share of kept calibration scores is nearest to ``coverage``.

    It is one of the scores themselves (an order statistic), or one below the least score for
    coverage 0. Equal scores are kept or queried together; where the two neighbouring thresholds
    are equally near, the one that keeps more is taken. It is the one rule: the export writes these
    thresholds into the model, and tables that have to choose one choose it here. New inputs of
    the same kind are kept as often on average; a single split scatters around that.

    Args:
        scores: integers [N] of a calibration split that nothing was fitted on.
        coverage: target share 0..1.
    """
    ranked = np.sort(np.asarray(scores).astype(np.int64).ravel())
    count = len(ranked)
    if count == 0 or not 0.0 <= coverage <= 1.0:
        raise InputError(
            f"cannot choose a threshold for coverage {coverage} from {count} scores",
            "give a coverage between 0 and 1 and a calibration split with images",
            key="coverage",
        )
    wanted = math.ceil(coverage * count - 1e-9)
    upper = int(ranked[wanted - 1]) if wanted else int(ranked[0]) - 1
    kept_upper = int(np.searchsorted(ranked, upper, side="right"))
    kept_lower = int(np.searchsorted(ranked, upper, side="left"))
    lower = int(ranked[kept_lower - 1]) if kept_lower else int(ranked[0]) - 1
    if abs(kept_lower - coverage * count) < abs(kept_upper - coverage * count) - 1e-9:
        return lower
    return upper
