"""Routing tables: accuracy, realised coverage, latency and bytes of each way to answer.

Pure numpy over per-sample labels and scores: no device, no cloud, no files. Scores follow one
convention: HIGHER = more in need of the cloud; an input is kept on the device iff
score <= threshold. Thresholds come from calibration scores; the test split only gets measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid.errors import InputError
from mcu_hybrid.intervals import Z95, wilson
from mcu_hybrid.routing.thresholds import threshold_for

COVERAGES = (0.9, 0.8, 0.7, 0.5)


@dataclass(frozen=True)
class Labels:
    """Per-sample class labels of a split, three arrays of one length.

    Where the cloud gave no answer its label is negative, and the device's stands.
    """

    device: np.ndarray
    cloud: np.ndarray
    truth: np.ndarray

    def __post_init__(self) -> None:
        lengths = {len(self.device), len(self.cloud), len(self.truth)}
        if len(lengths) != 1 or lengths == {0}:
            raise InputError(f"label arrays must have one common length above 0: {lengths}")

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.truth)

    @property
    def answered(self) -> np.ndarray:
        """True [N] where the cloud has answered."""
        return np.asarray(self.cloud) >= 0

    @property
    def queried(self) -> np.ndarray:
        """The labels [N] that a query leads to."""
        return np.where(self.answered, self.cloud, self.device)

    @property
    def device_right(self) -> np.ndarray:
        """True [N] where the device's label is the true one."""
        return np.asarray(self.device == self.truth)

    @property
    def cloud_right(self) -> np.ndarray:
        """True [N] where a query leads to the true label."""
        return np.asarray(self.queried == self.truth)


@dataclass(frozen=True)
class Costs:
    """What an answer costs: ``edge_ms`` on every input, the rest on each queried one.

    ``query_ms`` is LinkModel.query_ms(...): round trip, transfers and the cloud's own time. Without
    a time of the board (None) no latency is known, without ``query_ms`` none that has queries.
    ``edge_low_ms`` and ``edge_high_ms`` are the range of an estimated one.
    """

    edge_ms: float | None
    query_ms: float | None
    query_bytes: int
    edge_low_ms: float | None = None
    edge_high_ms: float | None = None

    def latency_ms(self, query_rate: float) -> dict[str, float | None]:
        """The mean latency of an input, and its range, where so many are queried."""
        query = query_rate * self.query_ms if self.query_ms is not None else None
        if query_rate == 0:
            query = 0.0
        edges = {
            "latency_ms": self.edge_ms,
            "latency_low_ms": self.edge_low_ms,
            "latency_high_ms": self.edge_high_ms,
        }
        return {
            name: None if edge is None or query is None else edge + query
            for name, edge in edges.items()
        }


@dataclass(frozen=True)
class Scores:
    """A router's integer scores on the calibration and on the test split, and thresholds if given.

    ``thresholds`` (coverage -> threshold) are those that a device was given; where one is
    missing it is chosen on the calibration scores, by the rule that chose the device's
    (thresholds.threshold_for).
    """

    calibration: np.ndarray
    test: np.ndarray
    thresholds: Mapping[float, int] | None = None

    def threshold(self, coverage: float) -> int:
        """The threshold for this coverage."""
        if self.thresholds and coverage in self.thresholds:
            return self.thresholds[coverage]
        return threshold_for(self.calibration, coverage)


def evaluate(labels: Labels, keep: np.ndarray, costs: Costs) -> dict[str, Any]:
    """Measured figures of one keep/query decision per sample, from pooled counts."""
    keep = np.asarray(keep, bool)
    device_right, cloud_right = labels.device_right, labels.cloud_right
    right = np.where(keep, device_right, cloud_right)
    kept, queried = int(keep.sum()), int((~keep).sum())
    lost = int((~keep & ~device_right & ~cloud_right).sum())
    return {
        "coverage": kept / labels.count,
        "coverage_ci": list(wilson(kept, labels.count)),
        "accuracy": int(right.sum()) / labels.count,
        "accuracy_ci": list(wilson(int(right.sum()), labels.count)),
        "accuracy_kept": _share(int((keep & device_right).sum()), kept),
        "accuracy_queried": _share(int((~keep & cloud_right).sum()), queried),
        "both_wrong_queried": _share(lost, queried),
        **costs.latency_ms(queried / labels.count),
        "bytes_sent": queried * costs.query_bytes,
        "bytes_per_sample": queried * costs.query_bytes / labels.count,
        "queried": queried,
        "cloud_missing": int((~keep & ~labels.answered).sum()),
        "samples": labels.count,
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def table(
    labels: Labels,
    scored: Mapping[str, Scores],
    costs: Costs,
    coverages: Sequence[float] = COVERAGES,
) -> list[dict[str, Any]]:
    """The headline table: both single answers, then each router at each coverage.

    A row has method, coverage_target, coverage, coverage_ci, accuracy, accuracy_ci, latency_ms,
    bytes_sent (all of the split), threshold, and the parts that explain them. "cloud only" pays no
    edge time: nothing has to run on the device. Latencies are None where the board has no time.
    ``cloud_missing`` are queries of a row that the cloud did not answer: the device's answer stands
    there, but in "cloud only", whose accuracy is that of the others (None where there are none).
    """
    no_edge = None if costs.edge_ms is None else 0.0
    cloud_costs = Costs(no_edge, costs.query_ms, costs.query_bytes)
    rows = [
        _row("on-device only", 1.0, None, labels, np.ones(labels.count, bool), costs),
        _cloud_row(labels, cloud_costs),
    ]
    for name, scores in scored.items():
        if len(scores.test) != labels.count:
            raise InputError(f"{name}: {len(scores.test)} scores for {labels.count} samples")
        for coverage in coverages:
            threshold = scores.threshold(coverage)
            keep = np.asarray(scores.test) <= threshold
            rows.append(_row(name, coverage, threshold, labels, keep, costs))
    return rows


def _row(
    method: str,
    target: float,
    threshold: int | None,
    labels: Labels,
    keep: np.ndarray,
    costs: Costs,
) -> dict[str, Any]:
    head = {"method": method, "coverage_target": target, "threshold": threshold}
    return head | evaluate(labels, keep, costs)


def _cloud_row(labels: Labels, costs: Costs) -> dict[str, Any]:
    """What the cloud answers alone: its accuracy is known where it has answered."""
    row = _row("cloud only", 0.0, None, labels, np.zeros(labels.count, bool), costs)
    known = labels.answered
    count, right = int(known.sum()), int((known & labels.cloud_right).sum())
    both_wrong = int((known & ~labels.cloud_right & ~labels.device_right).sum())
    return row | {
        "accuracy": _share(right, count),
        "accuracy_ci": list(wilson(right, count)),
        "accuracy_queried": _share(right, count),
        "both_wrong_queried": _share(both_wrong, count),
    }


def curve(labels: Labels, scores: np.ndarray, costs: Costs) -> dict[str, list[Any]]:
    """The whole accuracy-coverage curve: one point per distinct score, from query all to keep all.

    Sweeping on the test split shows the scores' quality; it is not how a threshold is chosen.
    """
    scores = np.asarray(scores)
    order = np.argsort(scores, kind="stable")
    device_right, cloud_right = labels.device_right[order], labels.cloud_right[order]
    ends = np.flatnonzero(np.diff(scores[order])) + 1  # ties move together
    kept = np.concatenate([[0], ends, [labels.count]]).astype(int)
    device_sum = np.concatenate([[0], np.cumsum(device_right)])
    cloud_sum = np.concatenate([[0], np.cumsum(cloud_right)])
    right = device_sum[kept] + cloud_sum[-1] - cloud_sum[kept]
    return _points(kept / labels.count, right / labels.count, costs)


def _points(coverage: np.ndarray, accuracy: np.ndarray, costs: Costs) -> dict[str, list[Any]]:
    return {
        "coverage": coverage.tolist(),
        "accuracy": accuracy.tolist(),
        "latency_ms": [costs.latency_ms(1.0 - c)["latency_ms"] for c in coverage.tolist()],
    }


def area_under(points: Mapping[str, Sequence[float]]) -> float:
    """Mean accuracy over coverage 0..1: one number to compare routers by."""
    return float(np.trapz(points["accuracy"], points["coverage"]))


def oracles(labels: Labels, costs: Costs) -> dict[str, Any]:
    """Bounds that know the truth: no router can do better than ``best``.

    ``agreement`` keeps iff both say the same; ``margin`` queries only where that helps (1 - o of
    the proxy label); ``margin_upper`` keeps iff the device is right. ``best`` and ``random`` are
    curves over coverage: queries spent on helpful samples first, and blindly.
    """
    device_right, cloud_right = labels.device_right, labels.cloud_right
    gain, loss = ~device_right & cloud_right, device_right & ~cloud_right
    neutral = labels.count - int(gain.sum()) - int(loss.sum())
    # From keep all: first the samples that gain, then those where it makes no difference.
    queried = np.cumsum([0, int(gain.sum()), neutral, int(loss.sum())])
    right = int(device_right.sum()) + np.array([0, gain.sum(), gain.sum(), gain.sum() - loss.sum()])
    coverage, accuracy = 1.0 - queried / labels.count, right / labels.count
    ends = np.array([0.0, 1.0])
    return {
        "agreement": evaluate(labels, labels.device == labels.queried, costs),
        "margin": evaluate(labels, ~gain, costs),
        "margin_upper": evaluate(labels, device_right, costs),
        "best": _points(coverage[::-1], accuracy[::-1], costs),
        "random": _points(ends, np.array([cloud_right.mean(), device_right.mean()]), costs),
    }


def paired_gap(
    labels: Labels, keep_a: np.ndarray, keep_b: np.ndarray
) -> tuple[float, tuple[float, float]]:
    """Accuracy of decision a minus that of b on the same samples, and its 95 % interval.

    Paired, because most samples are answered alike: two separate intervals would hide a difference
    that is there (normal approximation of McNemar's counts).
    """
    device_right, cloud_right = labels.device_right, labels.cloud_right
    right_a = np.where(keep_a, device_right, cloud_right)
    right_b = np.where(keep_b, device_right, cloud_right)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    n = labels.count
    gap = (only_a - only_b) / n
    half = Z95 * math.sqrt(max(0.0, only_a + only_b - (only_a - only_b) ** 2 / n)) / n
    return gap, (gap - half, gap + half)
