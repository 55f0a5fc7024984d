"""One evaluation for all ways to route: thresholds, realised figures, intervals, paired gaps.

Every method is a score per image and who of device and cloud is right (``Outcomes``).
Thresholds come from the calibration split, all else is measured on the test split, and the seeds of
one method share the test images. Pure numpy; evaluate.py has the arithmetic of a single run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid.artifacts.table import Oracles
from mcu_hybrid.errors import InputError
from mcu_hybrid.routing import evaluate
from mcu_hybrid.routing.cascade import board_to_cloud
from mcu_hybrid.routing.outcomes import Outcomes
from mcu_hybrid.routing.thresholds import threshold_for

COVERAGES = (0.9, 0.8, 0.7, 0.6, 0.5)  # of the comparison; the paper goes on to 0.3
GRID = tuple(round(0.025 * i, 3) for i in range(41))  # of the curves
SCORE = "score"  # of a run's outcomes
_RESAMPLES = 2000  # 50 beyond each end of the interval: the ends scatter by 2 % of its width


@dataclass(frozen=True)
class UnitCosts:
    """What an answer costs: ``edge`` for every image, ``query`` on top for each queried one."""

    edge_ms: float
    query_ms: float
    query_bytes: float
    edge_mj: float = 0.0
    query_mj: float = 0.0

    def at(self, coverage: float) -> dict[str, float]:
        """Means per image at this coverage."""
        queried = 1.0 - coverage
        return {
            "latency_ms": self.edge_ms + queried * self.query_ms,
            "energy_mj": self.edge_mj + queried * self.query_mj,
            "bytes": queried * self.query_bytes,
        }


@dataclass(frozen=True)
class Run:
    """One method with one seed; its outcomes have one score, named SCORE."""

    method: str
    seed: int
    calibration: Outcomes
    test: Outcomes
    costs: UnitCosts


def keeps(run: Run, coverage: float) -> np.ndarray:
    """Which test images stay on the device at the calibration split's threshold, bool [N]."""
    cascade = board_to_cloud(SCORE, threshold_for(run.calibration.score(SCORE), coverage))
    return np.asarray(run.test.stages(cascade) == 0)


def right(run: Run, keep: np.ndarray) -> np.ndarray:
    """Which test images get a right answer, bool [N]."""
    return np.where(keep, run.test.device_right, run.test.cloud_right)


def point(run: Run, coverage: float) -> dict[str, Any]:
    """One run at one target: threshold, realised coverage, accuracy, Wilson intervals, costs.

    ``coverage_in_interval``: the target lies in the 95 % interval of calibration and test sampling
    together (two binomial shares, c (1 - c) (1 / n_test + 1 / n_calibration): the threshold is an
    order statistic of the calibration split).
    """
    keep = keeps(run, coverage)
    count, kept = len(keep), int(keep.sum())
    good = right(run, keep)
    share, test = kept / count, run.test
    spread = coverage * (1 - coverage) * (1 / count + 1 / run.calibration.count)
    allowed = evaluate.Z95 * np.sqrt(spread) + _step(run.calibration.score(SCORE), coverage)
    asked = ~keep
    lost = int((asked & ~test.device_right & ~test.cloud_right).sum())
    return {
        "seed": run.seed,
        "coverage_target": coverage,
        "threshold": threshold_for(run.calibration.score(SCORE), coverage),
        "coverage": share,
        "coverage_ci": list(evaluate.wilson(kept, count)),
        "coverage_allowed": float(allowed),
        "coverage_in_interval": bool(abs(share - coverage) <= allowed),
        "accuracy": float(good.mean()),
        "accuracy_ci": list(evaluate.wilson(int(good.sum()), count)),
        "accuracy_kept": float(test.device_right[keep].mean()) if kept else None,
        "accuracy_queried": float(test.cloud_right[asked].mean()) if asked.any() else None,
        "both_wrong_queried": lost / int(asked.sum()) if asked.any() else None,
        **run.costs.at(share),
    }


def _step(scores: np.ndarray, coverage: float) -> float:
    """How far equal scores alone can hold the kept share from the target."""
    threshold = threshold_for(scores, coverage)
    return abs(float((np.asarray(scores) <= threshold).mean()) - coverage)


def table(runs: Iterable[Run], coverages: Sequence[float] = COVERAGES) -> list[dict[str, Any]]:
    """Rows of (method, target): means over the seeds, 95 % bootstrap interval, seeds' range."""
    return [
        {"method": method, **_mean_row(mine, coverage)}
        for method, mine in by_method(runs).items()
        for coverage in coverages
    ]


def by_method(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each method, in the order of their first appearance."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.method, []).append(run)
    return found


def _mean_row(runs: Sequence[Run], coverage: float) -> dict[str, Any]:
    rows = [point(run, coverage) for run in runs]
    low, high = bootstrap(_mean_right(runs, coverage))
    accuracies = [row["accuracy"] for row in rows]
    keys = ("coverage", "accuracy", "accuracy_kept", "accuracy_queried", "both_wrong_queried")
    means = {key: _mean(row[key] for row in rows) for key in (*keys, *runs[0].costs.at(1.0))}
    return {
        "coverage_target": coverage,
        **means,
        "accuracy_ci": [low, high],
        "accuracy_seeds": [min(accuracies), max(accuracies)],
        "coverage_in_interval": sum(row["coverage_in_interval"] for row in rows),
        "seeds": len(rows),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _mean_right(runs: Sequence[Run], coverage: float) -> np.ndarray:
    """Share of the seeds that get each test image right, [N]."""
    counts = {run.test.count for run in runs}
    if len(counts) != 1:
        raise InputError(f"{runs[0].method}: the seeds have test splits of {sorted(counts)} images")
    return np.mean([right(run, keeps(run, coverage)) for run in runs], axis=0)


def bootstrap(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval (bootstrap) of the mean [N] under resampling of the images.

    The values are few and repeat (shares of the seeds), so whole resamples are drawn as counts.
    """
    distinct, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(
        counts.sum(), counts / counts.sum(), size=_RESAMPLES
    )
    low, high = np.percentile(drawn @ distinct / counts.sum(), [2.5, 97.5])
    return float(low), float(high)


def gaps(
    ours: Sequence[Run], theirs: Sequence[Run], coverages: Sequence[float] = COVERAGES
) -> list[dict[str, Any]]:
    """Accuracy of ``ours`` minus ``theirs`` per target: same images, same seeds, hence paired.

    Raises:
        InputError: the two were not run with the same seeds.
    """
    if [run.seed for run in ours] != [run.seed for run in theirs]:
        raise InputError(f"{ours[0].method} and {theirs[0].method} have different seeds")
    rows = []
    for coverage in coverages:
        difference = _mean_right(ours, coverage) - _mean_right(theirs, coverage)
        seeds = [
            float(right(a, keeps(a, coverage)).mean() - right(b, keeps(b, coverage)).mean())
            for a, b in zip(ours, theirs, strict=True)
        ]
        rows.append(
            {
                "coverage_target": coverage,
                "gap": float(difference.mean()),
                "gap_ci": list(bootstrap(difference)),
                "gap_seeds": seeds,
            }
        )
    return rows


def curve(runs: Sequence[Run], grid: Sequence[float] = GRID) -> dict[str, list[float]]:
    """Mean figures over a grid of targets; ``low`` and ``high`` are the accuracy's interval."""
    keys = ("coverage", "accuracy", *runs[0].costs.at(1.0))
    columns: dict[str, list[float]] = {key: [] for key in (*keys, "low", "high")}
    for target in grid:
        row = _mean_row(runs, target)
        for key in keys:
            columns[key].append(row[key])
        columns["low"].append(row["accuracy_ci"][0])
        columns["high"].append(row["accuracy_ci"][1])
    return columns


def oracle_curve(runs: Sequence[Run], grid: Sequence[float] = GRID) -> dict[str, list[float]]:
    """The best that any router could do with the runs' two networks, by target coverage.

    Queries go first to images that only the cloud gets right, then to those where it makes no
    difference; the mean over the seeds of evaluate.oracles' ``best``.
    """
    reached = [np.interp(grid, *_best(run)) for run in runs]
    columns = {"coverage": list(grid), "accuracy": np.mean(reached, axis=0).tolist()}
    costs = [runs[0].costs.at(c) for c in grid]
    return columns | {key: [cost[key] for cost in costs] for key in costs[0]}


def _best(run: Run) -> tuple[Sequence[float], Sequence[float]]:
    best = oracles(run).best
    return best.coverage, best.accuracy


def oracles(run: Run) -> Oracles:
    """evaluate.oracles of the run's test split; what ``agreement`` says is not known.

    That one needs the classes themselves, where a run may know only who is right.
    """
    costs = evaluate.Costs(run.costs.edge_ms, run.costs.query_ms, round(run.costs.query_bytes))
    return evaluate.oracles(run.test, costs)


def closed(
    ours: Sequence[Run], simple: Mapping[str, Sequence[Run]], coverage: float
) -> dict[str, Any]:
    """How much of the gap from the best simple score to the oracle of its networks is closed."""
    levels = {name: float(_mean_right(runs, coverage).mean()) for name, runs in simple.items()}
    best = max(levels, key=lambda name: levels[name])
    bound = oracle_curve(simple[best], (coverage,))["accuracy"][0]
    reached = float(_mean_right(ours, coverage).mean())
    room = bound - levels[best]
    return {
        "coverage_target": coverage,
        "best_simple": best,
        "best_simple_accuracy": levels[best],
        "oracle_accuracy": bound,
        "accuracy": reached,
        "closed": (reached - levels[best]) / room if room > 0 else None,
    }
