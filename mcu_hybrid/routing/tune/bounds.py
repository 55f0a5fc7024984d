"""Distribution-free risk bounds for thresholds: learn-then-test and conformal risk control.

What all of them assume: calibration images and later inputs are drawn independently from one
distribution (for conformal risk control: exchangeable), nothing was fitted on the calibration
split, and the networks and scores stay as they are. Nothing is assumed about the distribution, the
scores or the networks. A drift in the inputs voids every bound.

Risk R is the share of wrong answers, R_n that on n images, alpha = 1 - accuracy the largest
allowed. Steps run from query all to keep all (``sweep.Steps``). Sources: docs/papers.md, bounds and
intervals. The formulas are the papers'; that each is used on steps of one score is ours.
Shapes: [T] steps, [N] images; risks, accuracies, alpha and delta are shares 0..1, h is in nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.intervals import binomial_cdf, lower_bound
from mcu_hybrid.routing.sweep import Steps

KEEP_ALL = 2**31 - 1  # the highest threshold of the device
# Pre-set coverages 5 %, 10 % ... 100 % that a selective test looks at: each costs 1/20 of delta
# (Bonferroni), so more give a finer coverage with a looser bound. Not tuned.
SELECTIVE_COVERAGES = 20


def binomial_p_values(wrong: np.ndarray, count: int, alpha: float) -> np.ndarray:
    """P-values of "the risk is above alpha" from ``wrong`` of ``count`` answers: exact.

    For losses 0 and 1 the count is binomial, so P(Binomial(count, alpha) <= wrong) is valid
    (Clopper and Pearson's tail) and smaller than the Hoeffding-Bentkus value, whose Bentkus part
    is e times as large.
    """
    if alpha >= 1.0:  # no risk is above 1
        return np.zeros(np.shape(wrong))
    return binomial_cdf(count, alpha)[np.asarray(wrong)]


def hoeffding_bentkus(mean_loss: np.ndarray, count: int, alpha: float) -> np.ndarray:
    """P-values of "the expected loss is above alpha" for any losses in [0, 1].

    Hoeffding-Bentkus: p = min(exp(-n h(min(R_n, alpha), alpha)), e P(Bin(n, alpha) <= ceil(n R_n)))
    with h(a, b) = a log(a / b) + (1 - a) log((1 - a) / (1 - b)), the relative entropy of two coins.
    """
    mean = np.atleast_1d(np.asarray(mean_loss, np.float64))
    if alpha >= 1.0:  # no loss in [0, 1] has a mean above 1
        return np.zeros(mean.shape)
    if alpha <= 0.0:
        return np.ones(mean.shape)
    a = np.clip(mean, 0.0, alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(a > 0, a * np.log(a / alpha), 0.0)
        entropy = low + (1 - a) * np.log((1 - a) / (1 - alpha))
    hoeffding = np.exp(-count * entropy)
    # The small step keeps 0.3 * 10 from becoming 4 by rounding.
    most = np.clip(np.ceil(count * mean - 1e-9), 0, count).astype(np.int64)
    bentkus = math.e * binomial_cdf(count, alpha)[most]
    return np.minimum(1.0, np.minimum(hoeffding, bentkus))


def fixed_sequence(p_values: np.ndarray, delta: float) -> int:
    """How many hypotheses are rejected: those ahead of the first p-value above delta.

    Fixed-sequence testing of learn-then-test: reject 1 .. j, j the last with p_1 .. p_j <= delta.
    With an order that does not depend on the data, the probability to reject any true hypothesis is
    at most delta: only the first true one matters, and its p-value is <= delta that rarely.
    """
    failed = np.flatnonzero(np.asarray(p_values) > delta)
    return int(failed[0]) if len(failed) else len(p_values)


def certify_accuracy(steps: Steps, accuracy: float, delta: float) -> int | None:
    """Learn-then-test: the last step that is certified, from query all upwards; None for none.

    Guarantee: with probability >= 1 - delta over the draw of the calibration split, the accuracy
    on new inputs at every step up to the returned one is >= ``accuracy``. The sequence is that of
    all integer thresholds in ascending order, which no data choose; between two calibration scores
    its p-values are equal, so only the steps have to be looked at.
    """
    wrong = steps.count - steps.right
    certified = fixed_sequence(binomial_p_values(wrong, steps.count, 1.0 - accuracy), delta)
    return certified - 1 if certified else None


def certifiable_accuracy(steps: Steps, step: int, delta: float) -> float:
    """The highest accuracy that ``certify_accuracy`` certifies at this step."""
    return lower_bound(int(steps.right[: step + 1].min()), steps.count, delta)


def certify_budget(p_values: np.ndarray, delta: float) -> int | None:
    """Learn-then-test of a budget: the first step that is certified, from keep all downwards.

    Guarantee: with probability >= 1 - delta over the draw of the calibration split, the mean cost
    on new inputs is within the budget at every step from the returned one on. None where not even
    keep all is certified.

    Args:
        p_values: [T] of "the mean cost is above the budget", by one of the two functions above.
    """
    certified = fixed_sequence(np.asarray(p_values)[::-1], delta)
    return len(p_values) - certified if certified else None


def control_accuracy(steps: Steps, accuracy: float) -> int | None:
    """Conformal risk control: the last step whose expected accuracy is >= ``accuracy``, or None.

    The last step with n / (n + 1) R_n + B / (n + 1) <= alpha, where B = 1 is the largest loss.
    Guarantee: the next input is answered correctly with probability >= ``accuracy``, averaged over
    the draw of the calibration split as well (a single split may do worse). Needs a loss that grows
    with the threshold for every image; whether an answer is wrong does not, so its running maximum
    is controlled: wrong at this or any lower threshold, that is, the cloud is wrong, or the image
    is kept and the device is. That is never less than the risk itself.
    """
    risk = (steps.wrong_bound + 1) / (steps.count + 1)
    fine = np.flatnonzero(risk <= 1.0 - accuracy + 1e-12)
    return int(fine[-1]) if len(fine) else None


def controllable_accuracy(steps: Steps, step: int) -> float:
    """The highest accuracy that ``control_accuracy`` has this step or a later one for."""
    return max(0.0, 1.0 - (int(steps.wrong_bound[step]) + 1) / (steps.count + 1))


@dataclass(frozen=True)
class Selective:
    """A threshold and what is certified of the kept inputs there."""

    threshold: int
    kept: int
    accuracy: float


def selective_bounds(scores: np.ndarray, right: np.ndarray, delta: float) -> tuple[Selective, ...]:
    """Certified accuracies of the kept inputs (abstention), one per pre-set coverage, ascending.

    Guarantee: with probability >= 1 - delta over the draw of the calibration split, at every
    returned threshold the share of right answers among new inputs that are kept is >= its
    ``accuracy``. Coverages j / 20 are set in advance; the threshold lies one below the k-th lowest
    score, k = ceil(j n / 20), and the images below that score are, given the score, independent
    draws of the inputs that are kept: exact binomial bounds at delta / 20 each (Bonferroni). The
    last one keeps everything.

    Args:
        scores: integers [N] of the calibration split.
        right: True [N] where the device is right.
    """
    order = np.argsort(scores, kind="stable")
    ranked, upto = np.asarray(scores)[order], np.concatenate([[0], np.cumsum(right[order])])
    count, share = len(ranked), delta / SELECTIVE_COVERAGES
    found = []
    for j in range(1, SELECTIVE_COVERAGES):
        at = int(ranked[math.ceil(j * count / SELECTIVE_COVERAGES) - 1])
        kept = int(np.searchsorted(ranked, at, side="left"))
        found.append(Selective(at - 1, kept, lower_bound(int(upto[kept]), kept, share)))
    found.append(Selective(KEEP_ALL, count, lower_bound(int(upto[count]), count, share)))
    return tuple(found)
