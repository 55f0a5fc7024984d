"""The texts of the headline table: each way to answer, with its cost."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from mcu_hybrid.report.palette import SINGLE, style_of


def routing_table(routing: Mapping[str, Any], *, is_virtual: bool) -> dict[str, Any]:
    """The headline rows as texts; the better router at each coverage is marked.

    Latency has as many digits as its largest value deserves, bytes one unit for the column.
    """
    rows = routing.get("rows") or []
    best: dict[float, float] = {}
    for row in rows:
        if row["method"] not in SINGLE:
            target = row["coverage_target"]
            best[target] = max(best.get(target, 0.0), row["accuracy"])
    slowest = max((row.get("latency_ms") or 0.0 for row in rows), default=0.0)
    digits = 3 if slowest < 10 else 2 if slowest < 100 else 1 if slowest < 1000 else 0
    most = max((row["bytes_sent"] for row in rows), default=0)
    unit, size = next(
        ((u, s) for u, s in (("MiB", 1 << 20), ("KiB", 1 << 10)) if most >= 10 * s), ("B", 1)
    )
    texts = [
        _row_texts(row, best)
        | {
            "latency": _latency(row.get("latency_ms"), digits),
            "latency_range": _latency_range(row, digits),
            "bytes": f"{row['bytes_sent'] / size:,.{0 if size == 1 else 1}f}",
        }
        for row in rows
    ]
    for here, after in pairwise(texts):
        here["last"] = here["method"] != after["method"] and not (
            here["single"] and after["single"]
        )
    estimate = is_virtual or bool(routing.get("latency_is_estimate"))
    return {"rows": texts, "unit": unit, "is_estimate": estimate}


def _latency(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _latency_range(row: Mapping[str, Any], digits: int) -> str:
    ends = [row.get(key) for key in ("latency_low_ms", "latency_high_ms")]
    known = [_latency(end, digits) for end in ends if end is not None]
    return "–".join(known) if len(known) == 2 and known[0] != known[1] else ""


def _row_texts(row: Mapping[str, Any], best: Mapping[float, float]) -> dict[str, Any]:
    single = row["method"] in SINGLE
    return {
        "method": row["method"],
        "color": style_of(row["method"])[0],
        "single": single,
        "last": False,  # of its method's rows: a line below
        "best": not single and row["accuracy"] == best[row["coverage_target"]],
        "target": "" if single else f"{100 * row['coverage_target']:.0f}",
        "coverage": f"{100 * row['coverage']:.1f}",
        "coverage_ci": "" if single else _interval(row.get("coverage_ci")),
        "accuracy": "–" if row["accuracy"] is None else f"{100 * row['accuracy']:.2f}",
        "accuracy_ci": _interval(None if row["accuracy"] is None else row.get("accuracy_ci")),
        "threshold": "" if row.get("threshold") is None else f"{row['threshold']:g}",
    }


def _interval(pair: list[float] | None) -> str:
    return f"{100 * pair[0]:.1f}–{100 * pair[1]:.1f}" if pair else ""
