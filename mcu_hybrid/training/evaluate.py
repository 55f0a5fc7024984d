"""What a trained triple is worth in float: accuracies, the room for a router, curves over coverage.

Pure numpy over labels and scores. The device's own figures come from routing/evaluate.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.artifacts.train import Room
from mcu_hybrid.routing.thresholds import queries, threshold_for

COVERAGES = (0.9, 0.8, 0.7, 0.5)  # as in routing/evaluate.py, so that float and int8 compare


@dataclass(frozen=True, kw_only=True)
class AtCoverage:
    """A router at a coverage: hybrid accuracy, and that of the kept and of the routed inputs."""

    coverage_target: float
    threshold: int
    coverage: float
    accuracy: float
    kept_accuracy: float | None
    routed_accuracy: float | None


def room(base: np.ndarray, global_: np.ndarray, y: np.ndarray) -> Room:
    """Accuracies of both networks, the share worth a query, and the oracles of hybrid 5 (shares).

    Query worth is P(o = 1); agreement the coverage P(b = g) of the oracle with the global's
    accuracy; margin oracle P(b = y or g = y), which no router exceeds (docs/papers.md).

    Args:
        base, global_: predicted classes [N].
        y: true classes [N].
    """
    base_right, global_right = base == y, global_ == y
    return Room(
        base_accuracy=float(base_right.mean()),
        global_accuracy=float(global_right.mean()),
        query_worth=float((~base_right & global_right).mean()),
        both_wrong=float((~base_right & ~global_right).mean()),
        agreement=float((base == global_).mean()),
        margin_oracle=float((base_right | global_right).mean()),
    )


def at_coverages(
    calibration_scores: np.ndarray,
    scores: np.ndarray,
    base_right: np.ndarray,
    global_right: np.ndarray,
    coverages: tuple[float, ...] = COVERAGES,
) -> list[AtCoverage]:
    """A row for each target: A(c) of hybrid 1 and its parts, shares.

    Thresholds come from the calibration scores; everything else is measured on ``scores``.
    """
    rows = []
    for target in coverages:
        threshold = threshold_for(calibration_scores, target)
        routed = queries(scores, threshold)
        right = np.where(routed, global_right, base_right)
        rows.append(
            AtCoverage(
                coverage_target=target,
                threshold=threshold,
                coverage=float((~routed).mean()),
                accuracy=float(right.mean()),
                kept_accuracy=float(base_right[~routed].mean()) if (~routed).any() else None,
                routed_accuracy=float(global_right[routed].mean()) if routed.any() else None,
            )
        )
    return rows
