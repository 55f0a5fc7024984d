"""Where a hybrid's accuracy goes: to quantisation, and to a router that is not the oracle.

Pure numpy. Training states it for the simulated int8 network, the export for the exact one.
"""

from __future__ import annotations

import numpy as np

from mcu_hybrid.artifacts.table import Losses, QuantisationLoss, RoutingLoss, SideLoss
from mcu_hybrid.routing.outcomes import Outcomes
from mcu_hybrid.routing.thresholds import queries, threshold_for

_SCORE_STEPS = 1 << 30  # of the largest float score: float32 has 24 bits; and it fits an int32
_SCORE = "router"


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


def side(
    classes: np.ndarray, scores: np.ndarray, global_classes: np.ndarray, y: np.ndarray
) -> Outcomes:
    """One form of a hybrid, in float or in int8, on N images.

    Args:
        classes: [N], of the base.
        scores: [N], higher = more in need of the cloud; integers or floats.
    """
    return Outcomes.of_two(classes, global_classes, y, {_SCORE: integer_scores(scores)})


def breakdown(
    float_: Outcomes, int8: Outcomes, coverage: float, *, split: str, exact: bool
) -> Losses:
    """Accuracies at one coverage, and what quantisation and routing cost (shares, not points).

    The oracle routes as much as the router does, and first what only the global gets right:
    A_b + min(1 - c, P(o = 1)), with o of hybrid 2 (docs/papers.md). Routing's loss is oracle minus
    hybrid, so it holds nothing that quantisation took from the base itself.

    Args:
        split: whose images they are.
        exact: whether ``int8`` is the exported network, not training's simulation.
    """
    one, two = _side(float_, coverage), _side(int8, coverage)
    return Losses(
        images=int8.count,
        coverage_target=coverage,
        global_accuracy=float(int8.cloud_right.mean()),
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


def _side(outcomes: Outcomes, coverage: float) -> SideLoss:
    base, cloud = outcomes.device_right, outcomes.cloud_right
    accuracy, realised = hybrid_accuracy(outcomes.score(_SCORE), base, cloud, coverage)
    worth = float((~base & cloud).mean())
    return SideLoss(
        base_accuracy=float(base.mean()),
        coverage=realised,
        hybrid_accuracy=accuracy,
        oracle_accuracy=float(base.mean()) + min(1 - realised, worth),
    )
