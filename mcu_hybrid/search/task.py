"""One proposal: does it fit, and what is the pair worth after short trainings. Picklable: Ray's
workers call the same two functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcu_hybrid.artifacts.codec import always_inlined
from mcu_hybrid.artifacts.search import Figures, Limits, Scores
from mcu_hybrid.board.load import Board
from mcu_hybrid.nets.genome import Genome
from mcu_hybrid.search import figures as figures_module
from mcu_hybrid.search.evaluate import Candidate, Pool, Predicted, Short, train_short
from mcu_hybrid.search.graph import graph_of
from mcu_hybrid.search.score import Budget, proxy

Report = Callable[[int, float], None]  # (epochs done, score so far); may raise GivenUp
SCORE = "margin"  # the lower bound that decides


class GivenUp(Exception):
    """A candidate's training was pruned; never leaves the search."""


@dataclass(frozen=True)
class Task:
    """What all proposals share; ``fixed`` are the predictions of a global that is not searched."""

    pool: Pool
    board: Board
    limits: Limits
    budget: Budget
    short: Short
    cache: Path
    fixed: Predicted | None


@dataclass(frozen=True)
class Fit:
    """What a base takes on the board, by how much it is too much, and its share of the cost."""

    figures: Figures
    excess: dict[str, float]
    edge: float

    @property
    def fits(self) -> bool:
        """True where every limit is kept."""
        return max(self.excess.values()) <= 0.0


@dataclass(frozen=True, kw_only=True)
class PairScores:
    """The scores of a pair with its global's size and key, as a study keeps them."""

    scores: Scores = always_inlined()
    global_macs: int
    global_parameters: int
    global_key: str


def base_of(genome: Genome) -> Candidate:
    """The candidate of a base genome."""
    return Candidate(genome.spec, genome.size, large=False)


def global_of(genome: Genome) -> Candidate:
    """The candidate of a global genome."""
    return Candidate(genome.spec, genome.size, large=True)


def fit_of(task: Task, base: Genome) -> Fit:
    """Compile a base for the board, without weights of its own: about a second."""
    graph = graph_of(base, task.pool.shape[2], task.pool.classes)
    made = figures_module.figures_of(graph, task.board, task.limits)
    excess = figures_module.excess(made, task.board, task.limits)
    edge = task.budget.edge(made.macs, made.latency_us)
    excess["cost"] = edge / task.budget.amount - 1.0 if edge else 0.0
    return Fit(made, excess, edge)


def score_of(
    task: Task, base: Genome, global_: Genome | None, fit: Fit, report: Report | None = None
) -> PairScores:
    """Train what the cache does not hold, and score the pair at the coverage that it can afford.

    Args:
        global_: None for the task's fixed one.

    Raises:
        GivenUp: ``report`` said so.
    """
    far = task.fixed
    if global_ is not None:
        far = train_short(global_of(global_), task.pool, task.short, task.cache)
    assert far is not None
    coverage = task.budget.coverage(fit.edge, far.macs)
    assert coverage is not None  # only what fits is scored
    y, cloud, share = task.pool.y_val, far.logits, coverage

    def tell(done: int, logits: np.ndarray) -> None:
        if report is not None:
            report(done, proxy(logits, cloud, y, share).margin)

    near = train_short(base_of(base), task.pool, task.short, task.cache, tell)
    return PairScores(
        scores=Scores(
            **vars(proxy(near.logits, cloud, y, coverage)),
            coverage=coverage,
            expected_cost=task.budget.expected(fit.edge, far.macs, coverage),
            base_parameters=near.parameters,
            base_key=near.key,
        ),
        global_macs=far.macs,
        global_parameters=far.parameters,
        global_key=far.key,
    )
