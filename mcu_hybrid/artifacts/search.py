"""search: search.json, and its winner in best.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mcu_hybrid.artifacts.bench import FlashUse
from mcu_hybrid.artifacts.codec import Artefact, left_out
from mcu_hybrid.artifacts.train import Remarks


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Base and router on a board; ``latency_us`` is None where the core has no price.

    It is an estimate: the truth lies between ``latency_low_us`` and ``latency_high_us``.
    ``streams`` counts the runs of layers that are computed in strips to save RAM, ``unmeasured``
    the layers whose kernel has no measured cost: they count as their slower, measured kernels.
    """

    macs: int
    instructions: int | None
    latency_us: float | None
    latency_low_us: float | None
    latency_high_us: float | None
    arena_bytes: int
    sram_bytes: int
    weights_bytes: int
    code_bytes: int
    flash_bytes: int
    streams: int
    unmeasured: int


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A pair's accuracies at a coverage: by margin, by entropy, by the oracle; and the parts."""

    margin: float
    entropy: float
    oracle: float
    base_accuracy: float
    global_accuracy: float
    query_worth: float


@dataclass(frozen=True, kw_only=True)
class Afforded(Proxy):
    """The same at the coverage that a pair can afford, and what an input then costs."""

    coverage: float
    expected_cost: float | None


@dataclass(frozen=True, kw_only=True)
class Scores(Afforded):
    """A trained pair, and the key of its base's predictions in the cache."""

    base_parameters: int
    base_key: str


@dataclass(frozen=True, kw_only=True)
class BaseNetwork:
    """A base: its genome (nets/genome.py reads it), in words, and what it takes on the board."""

    genome: Mapping[str, object]
    describe: str
    figures: Figures


@dataclass(frozen=True, kw_only=True)
class GlobalNetwork:
    """A global: a searched one has a genome, a fixed one the specification that names it."""

    genome: Mapping[str, object] | None = left_out()
    describe: str | None = left_out()
    spec: str | None = left_out()
    macs: int
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A pair that was trained or put together; the front weighs its score against ``cost``."""

    trial: int
    base: BaseNetwork
    global_: GlobalNetwork
    scores: Scores
    cost: float


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bytes of RAM (arena, statics, stack) and flash (code, weights), microseconds; None: free."""

    sram_bytes: int | None = None
    flash_bytes: int | None = None
    latency_us: float | None = None


@dataclass(frozen=True, kw_only=True)
class BudgetFacts:
    """What an input may cost on average: MACs, microseconds, or a coverage."""

    kind: str
    amount: float
    query_us: float


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """The winner on a virtual board against what its genome said."""

    board: str
    exact: bool | None
    instructions: int | None
    predicted: int | None
    error: float | None
    arena_bytes: int
    predicted_arena: int
    flash: FlashUse
    predicted_flash_bytes: int


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Proposals by what became of them."""

    trained: int
    pruned: int
    infeasible: int
    proposed_again: int
    lost: int
    under_way: int


@dataclass(frozen=True, kw_only=True)
class SearchResult(Artefact):
    """What a search found: all trained pairs, the front of score and cost, the best.

    ``best`` is that of best.json; None: nothing was trained.
    """

    step: ClassVar[str] = "search"
    file: ClassVar[str] = "search.json"

    board: str
    limits: Limits
    budget: BudgetFacts
    score: str
    counts: Counts
    space: Mapping[str, object]
    space_genomes: int
    global_space: Mapping[str, object] | None
    best: Pair | None
    pareto: tuple[Pair, ...]
    pairs: tuple[Pair, ...]
    data: Remarks
    measured: Calibrated | None = left_out()
