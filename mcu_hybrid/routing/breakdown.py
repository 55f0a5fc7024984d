"""Where a hybrid's accuracy goes: to quantisation, and to a router that is not the oracle.

Pure numpy. Training states it for the simulated int8 network, the export for the exact one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.artifacts.table import Losses, QuantisationLoss, RoutingLoss, SideLoss
from mcu_hybrid.routing.thresholds import queries, threshold_for

_SCORE_STEPS = 1 << 30


@dataclass(frozen=True)
class Side:
    """The device's half of a hybrid, in float or in int8, on N images."""

    classes: np.ndarray  # [N], of the base
    scores: np.ndarray  # [N], higher = more in need of the cloud; integers or floats


def integer_scores(scores: np.ndarray) -> np.ndarray:
    """Scores int64 [N] in the same order; thresholds are integers."""
    scores = np.asarray(scores)
    if scores.dtype.kind in "iu":
        return scores.astype(np.int64)
    peak = max(float(np.abs(scores).max()), 1e-30)
    return np.round(scores.astype(np.float64) / peak * _SCORE_STEPS).astype(np.int64)


def hybrid_accuracy(
    scores: np.ndarray, base_right: np.ndarray, global_right: np.ndarray, coverage: float
) -> tuple[float, float]:
    """Return (accuracy, realised coverage); the threshold comes from these very scores.

    Right for comparing routers at one coverage. What a deployed threshold does to images that it
    was not chosen on is measured on the test split, elsewhere.

    Args:
        scores: [N], higher = more in need of the cloud; integers or floats.
        base_right, global_right: booleans [N].
    """
    ranked = integer_scores(scores)
    queried = queries(ranked, threshold_for(ranked, coverage))
    return float(np.where(queried, global_right, base_right).mean()), float((~queried).mean())


def breakdown(
    float_: Side,
    int8: Side,
    global_classes: np.ndarray,
    y: np.ndarray,
    coverage: float,
    *,
    split: str,
    exact: bool,
) -> Losses:
    """Accuracies at one coverage, and what quantisation and routing cost (shares, not points).

    The oracle routes as much as the router does, and first what only the global gets right:
    base accuracy + min(query rate, share of o = 1). Routing's loss is oracle minus hybrid, so it
    holds nothing that quantisation took from the base itself.

    Args:
        split: whose images they are.
        exact: whether ``int8`` is the exported network, not training's simulation.
    """
    global_right = np.asarray(global_classes) == y
    one, two = (_side(side, global_right, y, coverage) for side in (float_, int8))
    return Losses(
        images=len(y),
        coverage_target=coverage,
        global_accuracy=float(global_right.mean()),
        float_=one,
        int8=two,
        quantisation_loss=QuantisationLoss(
            base=one.base_accuracy - two.base_accuracy,
            hybrid=one.hybrid_accuracy - two.hybrid_accuracy,
        ),
        routing_loss=RoutingLoss(
            float_=one.oracle_accuracy - one.hybrid_accuracy,
            int8=two.oracle_accuracy - two.hybrid_accuracy,
        ),
        split=split,
        exact=exact,
    )


def _side(side: Side, global_right: np.ndarray, y: np.ndarray, coverage: float) -> SideLoss:
    right = np.asarray(side.classes) == y
    accuracy, realised = hybrid_accuracy(side.scores, right, global_right, coverage)
    worth = float((~right & global_right).mean())
    return SideLoss(
        base_accuracy=float(right.mean()),
        coverage=realised,
        hybrid_accuracy=accuracy,
        oracle_accuracy=float(right.mean()) + min(1 - realised, worth),
    )
