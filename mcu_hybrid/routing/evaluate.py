"""Routing tables: accuracy, realised coverage, latency and bytes of each way to answer.

Pure numpy over the outcomes of a split: no device, no cloud, no files. Scores follow one
convention: HIGHER = more in need of the cloud; an input is kept on the device iff
score <= threshold. Thresholds come from calibration scores; the test split only gets measured.
A hybrid's answer and accuracy are hybrid 1, the oracles hybrid 5 (docs/papers.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcu_hybrid.artifacts.table import Curve, Measured, Oracles, Row
from mcu_hybrid.errors import InputError
from mcu_hybrid.intervals import Z95, wilson
from mcu_hybrid.routing.cascade import board_to_cloud
from mcu_hybrid.routing.outcomes import Outcomes
from mcu_hybrid.routing.sweep import steps_of

COVERAGES = (0.9, 0.8, 0.7, 0.5)  # of tables: those of the paper that a device would run at


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

    def latency_ms(self, query_rate: float) -> tuple[float | None, float | None, float | None]:
        """The mean latency of an input, and its range, where so many are queried."""
        query = query_rate * self.query_ms if self.query_ms is not None else None
        if query_rate == 0:
            query = 0.0
        middle, low, high = (
            None if edge is None or query is None else edge + query
            for edge in (self.edge_ms, self.edge_low_ms, self.edge_high_ms)
        )
        return middle, low, high


def evaluate(outcomes: Outcomes, keep: np.ndarray, costs: Costs) -> Measured:
    """Measured figures of one keep/query decision per sample, from pooled counts.

    A and c of hybrid 1 with their parts Acc(b | kept) and Acc(g | queried); shares, ms and bytes.
    """
    keep = np.asarray(keep, bool)
    device_right, cloud_right = outcomes.device_right, outcomes.cloud_right
    right = np.where(keep, device_right, cloud_right)
    kept, queried = int(keep.sum()), int((~keep).sum())
    lost = int((~keep & ~device_right & ~cloud_right).sum())
    middle, low, high = costs.latency_ms(queried / outcomes.count)
    return Measured(
        coverage=kept / outcomes.count,
        coverage_ci=wilson(kept, outcomes.count),
        accuracy=int(right.sum()) / outcomes.count,
        accuracy_ci=wilson(int(right.sum()), outcomes.count),
        accuracy_kept=_share(int((keep & device_right).sum()), kept),
        accuracy_queried=_share(int((~keep & cloud_right).sum()), queried),
        both_wrong_queried=_share(lost, queried),
        latency_ms=middle,
        latency_low_ms=low,
        latency_high_ms=high,
        bytes_sent=queried * costs.query_bytes,
        bytes_per_sample=queried * costs.query_bytes / outcomes.count,
        queried=queried,
        cloud_missing=int((~keep & ~outcomes.answered).sum()),
        samples=outcomes.count,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def table(
    outcomes: Outcomes,
    thresholds: Mapping[str, Mapping[float, int]],
    costs: Costs,
    coverages: Sequence[float] = COVERAGES,
) -> list[Row]:
    """The headline table: both single answers, then each router at each coverage.

    ``bytes_sent`` are those of all of the split. "cloud only" pays no
    edge time: nothing has to run on the device. Latencies are None where the board has no time.
    ``cloud_missing`` are queries of a row that the cloud did not answer: the device's answer stands
    there, but in "cloud only", whose accuracy is that of the others (None where there are none).

    Args:
        thresholds: name of a score of ``outcomes`` -> coverage -> threshold: those that the device
            was given, or chosen on a calibration split by the same rule.
    """
    no_edge = None if costs.edge_ms is None else 0.0
    cloud_costs = Costs(no_edge, costs.query_ms, costs.query_bytes)
    rows = [
        _row("on-device only", 1.0, None, outcomes, np.ones(outcomes.count, bool), costs),
        _cloud_row(outcomes, cloud_costs),
    ]
    for name, known in thresholds.items():
        for coverage in coverages:
            if coverage not in known:
                raise InputError(
                    f"{name}: no threshold for coverage {coverage:g}", "export the model again"
                )
            keep = outcomes.stages(board_to_cloud(name, known[coverage])) == 0
            rows.append(_row(name, coverage, known[coverage], outcomes, keep, costs))
    return rows


def _row(
    method: str,
    target: float,
    threshold: int | None,
    outcomes: Outcomes,
    keep: np.ndarray,
    costs: Costs,
) -> Row:
    found = evaluate(outcomes, keep, costs)
    return Row(method=method, coverage_target=target, threshold=threshold, **vars(found))


def _cloud_row(outcomes: Outcomes, costs: Costs) -> Row:
    """What the cloud answers alone: its accuracy is known where it has answered."""
    row = _row("cloud only", 0.0, None, outcomes, np.zeros(outcomes.count, bool), costs)
    known = outcomes.answered
    count, right = int(known.sum()), int((known & outcomes.cloud_right).sum())
    both_wrong = int((known & ~outcomes.cloud_right & ~outcomes.device_right).sum())
    return replace(
        row,
        accuracy=_share(right, count),
        accuracy_ci=wilson(right, count),
        accuracy_queried=_share(right, count),
        both_wrong_queried=_share(both_wrong, count),
    )


def curve(outcomes: Outcomes, mechanism: str, costs: Costs) -> Curve:
    """The whole accuracy-coverage curve: one point per distinct score, from query all to keep all.

    Sweeping on the test split shows the scores' quality; it is not how a threshold is chosen.
    """
    steps = steps_of(outcomes, mechanism)
    return _points(steps.kept / outcomes.count, steps.right / outcomes.count, costs)


def _points(coverage: np.ndarray, accuracy: np.ndarray, costs: Costs) -> Curve:
    return Curve(
        coverage=tuple(coverage.tolist()),
        accuracy=tuple(accuracy.tolist()),
        latency_ms=tuple(costs.latency_ms(1.0 - c)[0] for c in coverage.tolist()),
    )


def area_under(points: Curve) -> float:
    """Mean accuracy over coverage 0..1 (trapezoids): one number to compare routers by."""
    return float(np.trapz(points.accuracy, points.coverage))


def oracles(outcomes: Outcomes, costs: Costs) -> Oracles:
    """Bounds that know the truth (hybrid 5, docs/papers.md): no router does better than ``best``.

    ``agreement`` keeps iff both say the same; ``margin`` queries only where that helps (1 - o of
    the proxy label); ``margin_upper`` keeps iff the device is right. ``best`` and ``random`` are
    curves over coverage: queries spent on helpful samples first, and blindly.
    """
    device_right, cloud_right = outcomes.device_right, outcomes.cloud_right
    gain, loss = ~device_right & cloud_right, device_right & ~cloud_right
    neutral = outcomes.count - int(gain.sum()) - int(loss.sum())
    # From keep all: first the samples that gain, then those where it makes no difference.
    queried = np.cumsum([0, int(gain.sum()), neutral, int(loss.sum())])
    right = int(device_right.sum()) + np.array([0, gain.sum(), gain.sum(), gain.sum() - loss.sum()])
    coverage, accuracy = 1.0 - queried / outcomes.count, right / outcomes.count
    ends = np.array([0.0, 1.0])
    return Oracles(
        agreement=evaluate(outcomes, outcomes.device == outcomes.standing[:, -1], costs),
        margin=evaluate(outcomes, ~gain, costs),
        margin_upper=evaluate(outcomes, device_right, costs),
        best=_points(coverage[::-1], accuracy[::-1], costs),
        random=_points(ends, np.array([cloud_right.mean(), device_right.mean()]), costs),
    )


def paired_gap(
    outcomes: Outcomes, keep_a: np.ndarray, keep_b: np.ndarray
) -> tuple[float, tuple[float, float]]:
    """Accuracy of decision a minus that of b on the same samples, and its 95 % interval.

    Paired, because most samples are answered alike: two separate intervals would hide a difference
    that is there (normal approximation of McNemar's counts, 1947).
    """
    device_right, cloud_right = outcomes.device_right, outcomes.cloud_right
    right_a = np.where(keep_a, device_right, cloud_right)
    right_b = np.where(keep_b, device_right, cloud_right)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    n = outcomes.count
    gap = (only_a - only_b) / n
    half = Z95 * math.sqrt(max(0.0, only_a + only_b - (only_a - only_b) ** 2 / n)) / n
    return gap, (gap - half, gap + half)
