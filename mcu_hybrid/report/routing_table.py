"""The texts of the headline table: each way to answer, with its cost."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TypedDict

from mcu_hybrid.artifacts.table import Row
from mcu_hybrid.report.data import Routing
from mcu_hybrid.report.palette import SINGLE, style_of

Texts = dict[str, object]  # of a row, by the names that the template knows


class Table(TypedDict):
    """The rows, the unit of their bytes, and whether their times are estimates."""

    rows: list[Texts]
    unit: str
    is_estimate: bool


def routing_table(routing: Routing, *, is_virtual: bool) -> Table:
    """The headline rows as texts; the better router at each coverage is marked.

    Latency has as many digits as its largest value deserves, bytes one unit for the column.
    """
    rows = routing.rows
    best: dict[float, float] = {}
    for row in rows:
        if row.method not in SINGLE:
            target = row.coverage_target
            best[target] = max(best.get(target, 0.0), row.accuracy or 0.0)
    slowest = max((row.latency_ms or 0.0 for row in rows), default=0.0)
    digits = 3 if slowest < 10 else 2 if slowest < 100 else 1 if slowest < 1000 else 0
    most = max((row.bytes_sent for row in rows), default=0)
    unit, size = next(
        ((u, s) for u, s in (("MiB", 1 << 20), ("KiB", 1 << 10)) if most >= 10 * s), ("B", 1)
    )
    texts = [
        _row_texts(row, best)
        | {
            "latency": _latency(row.latency_ms, digits),
            "latency_range": _latency_range(row, digits),
            "bytes": f"{row.bytes_sent / size:,.{0 if size == 1 else 1}f}",
        }
        for row in rows
    ]
    for here, after in pairwise(texts):
        here["last"] = here["method"] != after["method"] and not (
            here["single"] and after["single"]
        )
    estimate = is_virtual or (routing.rests is not None and routing.rests.latency_is_estimate)
    return {"rows": texts, "unit": unit, "is_estimate": estimate}


def _latency(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _latency_range(row: Row, digits: int) -> str:
    ends = [row.latency_low_ms, row.latency_high_ms]
    known = [_latency(end, digits) for end in ends if end is not None]
    return "–".join(known) if len(known) == 2 and known[0] != known[1] else ""


def _row_texts(row: Row, best: Mapping[float, float]) -> Texts:
    single = row.method in SINGLE
    return {
        "method": row.method,
        "color": style_of(row.method)[0],
        "single": single,
        "last": False,  # of its method's rows: a line below
        "best": not single and row.accuracy == best[row.coverage_target],
        "target": "" if single else f"{100 * row.coverage_target:.0f}",
        "coverage": f"{100 * row.coverage:.1f}",
        "coverage_ci": "" if single else _interval(row.coverage_ci),
        "accuracy": "–" if row.accuracy is None else f"{100 * row.accuracy:.2f}",
        "accuracy_ci": _interval(None if row.accuracy is None else row.accuracy_ci),
        "threshold": "" if row.threshold is None else f"{row.threshold:g}",
    }


def _interval(pair: tuple[float, float] | None) -> str:
    return f"{100 * pair[0]:.1f}–{100 * pair[1]:.1f}" if pair else ""
