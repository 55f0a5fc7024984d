"""tune: tune.json, and the facts in its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mcu_hybrid.artifacts.codec import Artefact, inlined, left_out
from mcu_hybrid.artifacts.run import Link
from mcu_hybrid.artifacts.table import Deployed


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """A mean per input and its 95 % interval; ``value`` is None for a share of nothing."""

    value: float | None
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class TargetRow:
    """A target and what becomes of it; ``test`` is on a run's test split.

    ``least_coverage`` is that of a budget by its formula, whatever the scores.
    """

    metric: str
    title: str
    unit: str
    is_minimum: bool
    bound: float
    text: str
    expected: Estimated
    test: Estimated | None
    least_coverage: float | None
    guarantee: str


@dataclass(frozen=True, kw_only=True)
class EdgeRange:
    """The ends of an estimated cost of the device."""

    edge_low: float
    edge_high: float


@dataclass(frozen=True, kw_only=True)
class CostFacts:
    """What an input costs: ``edge`` always, ``query`` on average where it is queried."""

    unit: str
    edge: float
    query: float
    range: EdgeRange | None = inlined()


@dataclass(frozen=True, kw_only=True)
class PowerFacts:
    """The board's power, computing and asleep."""

    active_mw: float
    idle_mw: float
    basis: str


@dataclass(frozen=True, kw_only=True)
class GlobalFacts:
    """The global network on the same device."""

    macs: float
    ms: float | None
    basis: str


@dataclass(frozen=True, kw_only=True)
class QueryBasis:
    """What a query's time and bytes rest on."""

    link: Link
    cloud_ms: float
    answer_bytes: int


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What all costs rest on; a setting without queries, or without the global, says less."""

    edge_ms: float | None = None
    edge: str = ""
    edge_low_ms: float | None = None
    edge_high_ms: float | None = None
    power: PowerFacts | None = left_out()
    payload: str | None = left_out()
    query: QueryBasis | None = inlined()
    global_: GlobalFacts | None = left_out()


@dataclass(frozen=True, kw_only=True)
class RouteFacts:
    """A router's number and its threshold, as a board has them."""

    router: int
    threshold: int


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What a running board was set to, read back, and what it had before."""

    url: str
    router: str
    threshold: int
    before: RouteFacts


@dataclass(frozen=True, kw_only=True)
class TuneResult(Artefact):
    """The threshold that meets the targets, everything else that it brings, and what it rests on.

    ``curve`` has the mean of each metric at every threshold, coverage ascending.
    """

    step: ClassVar[str] = "tune"
    file: ClassVar[str] = "tune.json"

    setting: str
    router: str
    threshold: int
    coverage: float
    accuracy_of: str
    targets: tuple[TargetRow, ...]
    expected: Mapping[str, Estimated]
    test: Mapping[str, Estimated] | None
    guarantee: str
    confidence: float
    strict: bool
    calibration_samples: int
    test_samples: int
    answers_of: str
    costs: Mapping[str, CostFacts]
    basis: Basis
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    curve: Mapping[str, tuple[float, ...]]
    board: str | None
    build_id: str | None
    deploy: Deployed
    applied: Applied | None


@dataclass(frozen=True, kw_only=True)
class TuneFacts(Artefact):
    """What the manifest of a tune says: what ``build --tuned`` needs."""

    step: ClassVar[str] = "tune"

    deploy: Deployed
    setting: str
    router: str
    model_sha256: str
