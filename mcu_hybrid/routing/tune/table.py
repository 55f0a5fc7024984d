"""A tune result as a table of texts: the targets, and everything else that the threshold brings."""

from __future__ import annotations

from mcu_hybrid.artifacts.tune import TuneResult
from mcu_hybrid.routing.tune.units import METRICS, Metric

COLUMNS = ("target", "expected", "95 % interval", "guarantee", "on test")


def table_rows(result: TuneResult) -> list[tuple[str, ...]]:
    """One row of ``COLUMNS`` per metric that is known; "" where nothing is to be said.

    Args:
        result: what tune writes, steps.tune.tune_step.
    """
    bounds = {row.metric: row for row in result.targets}
    rows: list[tuple[str, ...]] = []
    for name, metric in METRICS.items():
        if name not in result.expected:
            continue
        row, expected = bounds.get(name), result.expected[name]
        test = (result.test or {}).get(name)
        title = row.text if row else metric.title
        if name in result.costs and result.costs[name].range is not None:
            title += ", estimate"
        rows.append(
            (
                title,
                _text(metric, expected.value),
                f"{_text(metric, expected.low)} .. {_text(metric, expected.high)}",
                row.guarantee if row else "",
                _text(metric, test.value) if test else "",
            )
        )
    return rows


def _text(metric: Metric, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if metric.is_share else metric.text(value)
