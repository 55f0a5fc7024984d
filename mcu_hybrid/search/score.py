"""What a pair (base, global) is worth at an expected cost, without training a router for it.

The budget implies a coverage (hybrid 6, docs/papers.md): with N = M_b + (1 - c) M_g,
c = 1 - (N - M_b) / M_g (latency likewise). The 1 - c share of validation images that the base is
least sure of goes to the global. A trained router can do better than that order (it may know where
the global is right), and never better than the oracle that sends the images which only the global
gets right: two bounds, and the lower one is the score. Pure numpy over cached logits: any pair is
scored in microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mcu_hybrid.artifacts.search import Afforded, Proxy
from mcu_hybrid.errors import InputError

T = TypeVar("T")
ORDERS = ("margin", "entropy")


@dataclass(frozen=True)
class Budget:
    """What an input may cost on average: ``amount`` is in MACs, microseconds, or a coverage.

    ``query_us``: latency of one query (link and cloud), for a budget of latency.
    """

    kind: str
    amount: float
    query_us: float = 0.0

    def check(self) -> Budget:
        """Return self; raises InputError for a budget that makes no sense."""
        if self.kind == "coverage" and not 0.0 <= self.amount <= 1.0:
            raise InputError("must lie between 0 and 1", "for example 0.8", key="--coverage")
        if self.kind == "latency" and self.query_us <= 0:
            raise InputError("a query takes no time", "give --link", key="--expected-latency")
        return self

    def edge(self, macs: int, latency_us: float | None) -> float:
        """The base's share of the expected cost, in the budget's unit; 0 for a coverage."""
        if self.kind == "macs":
            return float(macs)
        if self.kind == "latency" and latency_us is None:
            raise InputError(
                "no latency is known for this board: its core has no cycles per instruction",
                "choose a Cortex-M7 or M4 board, or give --expected-macs",
                key="--board",
            )
        return float(latency_us or 0.0) if self.kind == "latency" else 0.0

    def query(self, global_macs: int) -> float:
        """What a query adds."""
        return float(global_macs) if self.kind == "macs" else self.query_us

    def coverage(self, edge: float, global_macs: int) -> float | None:
        """The coverage that spends the budget (0..1); None where the base alone is beyond it.

        c = 1 - (N - M_b) / M_g of hybrid 6.

        Args:
            edge: M_b, the base's share in the budget's unit.
        """
        if self.kind == "coverage":
            return self.amount
        if edge > self.amount:
            return None
        return min(1.0, max(0.0, 1.0 - (self.amount - edge) / self.query(global_macs)))

    def expected(self, edge: float, global_macs: int, coverage: float) -> float | None:
        """The mean cost at this coverage, R(c) of hybrid 1; None for a budget of coverage."""
        if self.kind == "coverage":
            return None
        return edge + (1.0 - coverage) * self.query(global_macs)


def unsure(logits: np.ndarray, order: str) -> np.ndarray:
    """How unsure the base is [N]: minus the margin p_1 - p_2, or the entropy in nats.

    Args:
        logits: [N, K].
        order: one of ``ORDERS``.
    """
    z = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    if order == "margin":
        best = np.sort(p, axis=1)
        return np.asarray(best[:, -2] - best[:, -1])
    return np.asarray(-(p * np.log(np.maximum(p, 1e-30))).sum(axis=1))


def proxy(base: np.ndarray, global_: np.ndarray, y: np.ndarray, coverage: float) -> Proxy:
    """Hybrid accuracies at this coverage: by margin, by entropy, by the oracle; and the parts.

    A(c) of hybrid 1 with a router that is not trained; the oracle's is A_b + min(1 - c, P(o = 1)).

    Args:
        base, global_: logits [N, K] of the validation images.
        y: true classes [N].
    """
    base_right, global_right = base.argmax(1) == y, global_.argmax(1) == y
    routed = int(np.floor((1.0 - coverage) * len(y) + 1e-9))
    found = {}
    for order in ORDERS:
        first = np.argsort(-unsure(base, order), kind="stable")[:routed]
        right = base_right.copy()
        right[first] = global_right[first]
        found[order] = float(right.mean())
    worth = int((~base_right & global_right).sum())
    return Proxy(
        margin=found["margin"],
        entropy=found["entropy"],
        oracle=float((base_right.sum() + min(routed, worth)) / len(y)),
        base_accuracy=float(base_right.mean()),
        global_accuracy=float(global_right.mean()),
        query_worth=worth / len(y),
    )


def pareto(items: Iterable[T], of: Callable[[T], Sequence[float]]) -> list[T]:
    """Items that no other one beats: ``of`` gives (score, cost); best score first."""
    best: list[T] = []
    for item in sorted(items, key=lambda i: (-of(i)[0], *of(i)[1:])):
        if not best or of(item)[1] < of(best[-1])[1]:
            best.append(item)
    return best


@dataclass(frozen=True)
class Paired:
    """A base and a global by their names, and what they reach together."""

    base: str
    global_: str
    scores: Afforded


def best_pair(
    bases: Sequence[tuple[str, float, np.ndarray]],
    globals_: Sequence[tuple[str, int, np.ndarray]],
    y: np.ndarray,
    budget: Budget,
) -> list[Paired]:
    """Every pair within the budget, scored from predictions alone; best margin score first.

    Args:
        bases: (name, edge cost in the budget's unit, validation logits).
        globals_: (name, MACs, validation logits).
    """
    rows = []
    for base, edge, base_logits in bases:
        for global_, macs, global_logits in globals_:
            coverage = budget.coverage(edge, macs)
            if coverage is None:
                continue
            scores = proxy(base_logits, global_logits, y, coverage)
            cost = budget.expected(edge, macs, coverage)
            whole = Afforded(**vars(scores), coverage=coverage, expected_cost=cost)
            rows.append(Paired(base, global_, whole))
    return sorted(rows, key=lambda row: -row.scores.margin)
