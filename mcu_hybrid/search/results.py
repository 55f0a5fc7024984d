"""What a search found, as plain data: all trained pairs, the front of score and cost, the best."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mcu_hybrid.nets.genome import Genome, from_json
from mcu_hybrid.search.evaluate import cached
from mcu_hybrid.search.run import Row, Search
from mcu_hybrid.search.score import best_pair, pareto
from mcu_hybrid.search.task import SCORE, Task

_MOST_PAIRS = 50
_OF_GLOBAL = ("global_macs", "global_parameters", "global_key")


def facts_of(search: Search, global_name: str) -> dict[str, Any]:
    """The content of search.json; ``best`` is that of best.json (None: nothing was trained).

    Args:
        global_name: the fixed global's specification.
    """
    rows = search.rows()
    pairs = [_row_json(row, global_name) for row in rows]
    if search.spaces.global_ is not None:
        pairs = _all_pairs(search.task, rows, global_name) or pairs
    front = pareto(pairs, lambda pair: (pair["scores"][SCORE], pair["cost"]))
    task = search.task
    return {
        "board": task.board.name,
        "limits": vars(task.limits),
        "budget": vars(task.budget),
        "score": f"expected hybrid accuracy, queries by the base's {SCORE}",
        "counts": _counts(search),
        "space": search.spaces.base.to_json(),
        "space_genomes": search.spaces.base.count,
        "global_space": search.spaces.global_.to_json() if search.spaces.global_ else None,
        "best": pairs[0] if pairs else None,
        "pareto": front,
        "pairs": pairs[:_MOST_PAIRS],
    }


def _counts(search: Search) -> dict[str, int]:
    """Proposals by what became of them."""
    seen: Counter[str] = Counter()
    for trial in search.book.trials():
        if "claim" in trial.user_attrs and trial.state.name in ("COMPLETE", "PRUNED"):
            seen["trained" if trial.state.name == "COMPLETE" else "pruned"] += 1
        elif "same_as" in trial.user_attrs:
            seen["proposed_again"] += 1
        elif trial.state.name == "PRUNED":
            seen["infeasible"] += 1
        elif trial.state.name == "FAIL":
            seen["lost"] += 1
        else:
            seen["under_way"] += 1
    names = ("trained", "pruned", "infeasible", "proposed_again", "lost", "under_way")
    return {name: seen[name] for name in names}


def _row_json(row: Row, global_name: str) -> dict[str, Any]:
    scores = {k: v for k, v in row.scores.items() if k not in _OF_GLOBAL}
    return {
        "trial": row.number,
        "base": _network(row.base) | {"figures": row.fit.figures},
        "global": (_network(row.global_) if row.global_ else {"spec": global_name})
        | {"macs": row.scores["global_macs"], "parameters": row.scores["global_parameters"]},
        "scores": scores,
        "cost": _cost(row),
    }


def _network(genome: Genome) -> dict[str, Any]:
    return {"genome": genome.to_json(), "describe": genome.describe()}


def _cost(row: Row) -> float:
    """What the front weighs a score against: the base's latency, else instructions, else MACs."""
    figures = row.fit.figures
    return float(figures["latency_us"] or figures["instructions"] or figures["macs"])


def _all_pairs(task: Task, rows: list[Row], global_name: str) -> list[dict[str, Any]]:
    """Every base with every global that the cache here holds: more pairs than were trained."""
    bases = {row.scores["base_key"]: row for row in reversed(rows)}
    globals_ = {row.scores["global_key"]: row for row in reversed(rows)}
    known = {key: cached(task.cache, key) for key in (*bases, *globals_)}
    near = [(k, row.fit.edge, p.logits) for k, row in bases.items() if (p := known[k])]
    far = [(k, p.macs, p.logits) for k in globals_ if (p := known[k])]
    made = []
    for scored in best_pair(near, far, task.pool.y_val, task.budget):
        base, global_ = bases[scored.pop("base")], globals_[scored.pop("global")]
        parts = {name: global_.scores[name] for name in _OF_GLOBAL}
        row = Row(base.number, base.base, global_.global_, base.fit, base.scores | parts | scored)
        made.append(_row_json(row, global_name))
    return made


def genome_of(best: dict[str, Any]) -> Genome:
    """The base of a best.json's content."""
    return from_json(best["base"]["genome"])
