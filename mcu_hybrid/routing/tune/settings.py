"""The three settings: edge and cloud, both networks on one device, a device that may abstain.

They differ in what a query costs and in what accuracy means; the decision is the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import InputError
from mcu_hybrid.intervals import Z95, wilson
from mcu_hybrid.routing.cascade import Cascade
from mcu_hybrid.routing.costs import Cost
from mcu_hybrid.routing.outcomes import Outcomes
from mcu_hybrid.routing.sweep import steps_of

EDGE_CLOUD, SAME_DEVICE, ABSTAIN = "edge-cloud", "same-device", "abstain"
SETTINGS = (EDGE_CLOUD, SAME_DEVICE, ABSTAIN)
# What each setting's accuracy is a share of, for tables.
ACCURACY_OF = {
    EDGE_CLOUD: "of all inputs",
    SAME_DEVICE: "of all inputs",
    ABSTAIN: "of kept inputs",
}


@dataclass(frozen=True)
class Estimate:
    """A mean per input and its 95 % interval; ``value`` is None for a share of nothing."""

    value: float | None
    low: float
    high: float


def measure(
    outcomes: Outcomes,
    cascade: Cascade,
    costs: Mapping[str, Cost],
    setting: str = EDGE_CLOUD,
) -> dict[str, Estimate]:
    """Coverage, query rate, accuracy and each cost of a cascade's rules on these images.

    Kept is what does not go up to the last stage. Accuracy is that of all stages together (A of
    hybrid 1, docs/papers.md); under ``abstain`` the selective accuracy, that of the kept images.
    Costs are means per input: ms, mJ, bytes, MACs, as their ``Cost`` says. Shares have Wilson
    intervals; a cost has those of the shares that go on at each hop, and where queries differ in
    cost also the spread of the queried ones (delta method, put together in quadrature).

    Raises:
        InputError: unknown setting or router; a cost with one entry per image has another length.
    """
    if setting not in SETTINGS:
        raise InputError(f"no setting '{setting}'", f"one of: {', '.join(SETTINGS)}", key="setting")
    stages = outcomes.stages(cascade)
    right, keep = outcomes.right_at(stages), stages < outcomes.hops
    kept, count = int(keep.sum()), outcomes.count
    if setting == ABSTAIN:
        accuracy = _share(int((keep & right).sum()), kept)
    else:
        accuracy = _share(int(right.sum()), count)
    shares = {
        "coverage": _share(kept, count),
        "query_rate": _share(count - kept, count),
        "accuracy": accuracy,
    }
    return shares | {name: _mean(cost, stages, outcomes.hops) for name, cost in costs.items()}


def _share(part: int, whole: int) -> Estimate:
    return Estimate(part / whole if whole else None, *wilson(part, whole))


def _mean(cost: Cost, stages: np.ndarray, hops: int) -> Estimate:
    """The mean cost where each image goes up to its stage."""
    count = len(stages)
    if not cost.is_constant and len(np.ravel(cost.query)) != count:
        raise InputError(
            f"costs of {len(np.ravel(cost.query))} images for {count} outcomes",
            "measure the payload on the same split",
        )
    value, below, above = cost.edge, 0.0, 0.0
    for hop, each in enumerate(cost.hops(hops)):
        added, down, up = _hop_mean(each, stages > hop)
        value, below, above = value + added, math.hypot(below, down), math.hypot(above, up)
    return Estimate(value, max(cost.edge, value - below), value + above)


def _hop_mean(each: float | np.ndarray, queried: np.ndarray) -> tuple[float, float, float]:
    """What a hop adds to the mean where the True images go on, and how far that is uncertain."""
    count, asked = len(queried), int(queried.sum())
    if np.ndim(each) == 0:
        size, spread = float(each), 0.0
    else:
        costs = np.asarray(each, np.float64)[queried]
        size = float(costs.mean()) if asked else float(np.mean(each))
        spread = float(costs.std(ddof=1)) / asked**0.5 if asked > 1 else 0.0
    rate = asked / count
    low, high = wilson(asked, count)
    half = Z95 * rate * spread
    below = (((rate - low) * size) ** 2 + half**2) ** 0.5
    above = (((high - rate) * size) ** 2 + half**2) ** 0.5
    return asked * size / count, below, above


def same_device(small: float, large: float, unit: str) -> Cost:
    """Both networks on one device and no link: base with router on every input, global on queries.

    R(c) of hybrid 1 without R_comm.

    Args:
        small, large: MACs, instructions, ms or mJ of each, as ``unit`` says.
    """
    return Cost(unit, small, large)


def curve(
    outcomes: Outcomes,
    router: str,
    costs: Mapping[str, Cost],
    setting: str = EDGE_CLOUD,
    points: int = 0,
) -> dict[str, list[float]]:
    """Coverage, accuracy and each mean cost of every threshold, coverage ascending, for figures.

    ``points`` thins long curves (0: all). Under ``abstain`` the accuracy is the selective one, and
    the curve starts where something is kept.
    """
    steps = steps_of(outcomes, router)
    some = np.arange(1 if setting == ABSTAIN else 0, len(steps.thresholds))
    if 0 < points < len(some):
        some = some[np.unique(np.linspace(0, len(some) - 1, points).round().astype(int))]
    kept = steps.kept[some]
    accuracy = (
        steps.kept_right[some] / kept if setting == ABSTAIN else steps.right[some] / steps.count
    )
    found = {
        "threshold": steps.thresholds[some].tolist(),
        "coverage": (kept / steps.count).tolist(),
        "accuracy": accuracy.tolist(),
    }
    means = {
        name: cost.edge + steps.queried_sum(cost.query)[some] / steps.count
        for name, cost in costs.items()
    }
    return found | {name: values.tolist() for name, values in means.items()}
