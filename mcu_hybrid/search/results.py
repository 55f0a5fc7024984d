"""What a search found, as plain data: all trained pairs, the front of score and cost, the best."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace

from mcu_hybrid.artifacts.search import (
    BaseNetwork,
    BudgetFacts,
    Counts,
    GlobalNetwork,
    Pair,
    SearchResult,
)
from mcu_hybrid.artifacts.train import Remarks
from mcu_hybrid.nets.genome import Genome, from_json
from mcu_hybrid.search.evaluate import cached
from mcu_hybrid.search.run import Row, Search
from mcu_hybrid.search.score import best_pair, pareto
from mcu_hybrid.search.task import SCORE, Task

_MOST_PAIRS = 50  # best ones that search.json keeps: all pairs are a product of both sides


def result_of(search: Search, global_name: str, data: Remarks) -> SearchResult:
    """The content of search.json; ``best`` is that of best.json (None: nothing was trained).

    Args:
        global_name: the fixed global's specification.
        data: what is to be said of the data set.
    """
    rows = search.rows()
    pairs = [_pair(row, global_name) for row in rows]
    if search.spaces.global_ is not None:
        pairs = _all_pairs(search.task, rows, global_name) or pairs
    front = pareto(pairs, lambda pair: (pair.scores.margin, pair.cost))
    task = search.task
    return SearchResult(
        board=task.board.name,
        limits=task.limits,
        budget=BudgetFacts(**vars(task.budget)),
        score=f"expected hybrid accuracy, queries by the base's {SCORE}",
        counts=_counts(search),
        space=search.spaces.base.to_json(),
        space_genomes=search.spaces.base.count,
        global_space=search.spaces.global_.to_json() if search.spaces.global_ else None,
        best=pairs[0] if pairs else None,
        pareto=tuple(front),
        pairs=tuple(pairs[:_MOST_PAIRS]),
        data=data,
    )


def _counts(search: Search) -> Counts:
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
    return Counts(**{one.name: seen[one.name] for one in fields(Counts)})


def _pair(row: Row, global_name: str) -> Pair:
    other, scores = row.global_, row.scores
    return Pair(
        trial=row.number,
        base=BaseNetwork(
            genome=row.base.to_json(), describe=row.base.describe(), figures=row.fit.figures
        ),
        global_=GlobalNetwork(
            genome=other.to_json() if other else None,
            describe=other.describe() if other else None,
            spec=None if other else global_name,
            macs=scores.global_macs,
            parameters=scores.global_parameters,
        ),
        scores=scores.scores,
        cost=_cost(row),
    )


def _cost(row: Row) -> float:
    """What the front weighs a score against: the base's latency, else instructions, else MACs."""
    figures = row.fit.figures
    return float(figures.latency_us or figures.instructions or figures.macs)


def _all_pairs(task: Task, rows: list[Row], global_name: str) -> list[Pair]:
    """Every base with every global that the cache here holds: more pairs than were trained."""
    bases = {row.scores.scores.base_key: row for row in reversed(rows)}
    globals_ = {row.scores.global_key: row for row in reversed(rows)}
    known = {key: cached(task.cache, key) for key in (*bases, *globals_)}
    near = [(k, row.fit.edge, p.logits) for k, row in bases.items() if (p := known[k])]
    far = [(k, p.macs, p.logits) for k in globals_ if (p := known[k])]
    made = []
    for paired in best_pair(near, far, task.pool.y_val, task.budget):
        base, other = bases[paired.base], globals_[paired.global_]
        scores = replace(base.scores.scores, **vars(paired.scores))
        whole = replace(other.scores, scores=scores)
        made.append(_pair(Row(base.number, base.base, other.global_, base.fit, whole), global_name))
    return made


def genome_of(best: Pair) -> Genome:
    """The base of a best.json's content."""
    return from_json(best.base.genome)
