"""Every decision that the score of one hop can make on a split, from query all to keep all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.routing.outcomes import Outcomes

LOWEST = -(2**31)  # thresholds are int32 on the device


@dataclass(frozen=True)
class Steps:
    """Every decision that one score can make on N images, from query all to keep all.

    Arrays [T], one entry per distinct score and one ahead of them (nothing kept); images with
    equal scores are kept or queried together. ``kept`` counts images with score <= threshold,
    ``right`` correct answers of device and cloud together, ``kept_right`` those of the device.
    ``wrong_bound`` counts images that are wrong at this or any lower threshold.
    """

    count: int
    thresholds: np.ndarray
    kept: np.ndarray
    right: np.ndarray
    kept_right: np.ndarray
    wrong_bound: np.ndarray
    order: np.ndarray

    def queried_sum(self, values: np.ndarray | float) -> np.ndarray:
        """Sums [T] over the queried images of ``values`` (one number, or one per image [N])."""
        ordered = np.broadcast_to(np.asarray(values, np.float64), (self.count,))[self.order]
        total = np.concatenate([[0.0], np.cumsum(ordered)])
        return np.asarray(total[-1] - total[self.kept])


def steps_of(outcomes: Outcomes, router: str) -> Steps:
    """All steps of a router's score on these images."""
    scores = outcomes.score(router)
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.diff(ranked)) + 1
    kept = np.concatenate([[0], ends, [outcomes.count]]).astype(np.int64)
    below = max(LOWEST, int(ranked[0]) - 1)
    thresholds = np.concatenate([[below], ranked[kept[1:] - 1]])
    device, cloud = outcomes.device_right[order], outcomes.cloud_right[order]

    def upto(flags: np.ndarray) -> np.ndarray:
        return np.asarray(np.concatenate([[0], np.cumsum(flags)])[kept])

    cloud_wrong = outcomes.count - int(cloud.sum())
    return Steps(
        outcomes.count,
        thresholds,
        kept,
        right=upto(device) + int(cloud.sum()) - upto(cloud),
        kept_right=upto(device),
        wrong_bound=cloud_wrong + upto(~device & cloud),
        order=order,
    )
