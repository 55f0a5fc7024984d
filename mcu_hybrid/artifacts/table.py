"""What a way to answer measures: the rows of a run's table, curves, bounds. Shares, not percent."""

from __future__ import annotations

from dataclasses import dataclass

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One keep/query decision per input, measured on all of a split.

    Shares of nothing are None, and so are times that are not known. ``cloud_missing`` are queries
    that the cloud did not answer.
    """

    coverage: float
    coverage_ci: Interval
    accuracy: float | None
    accuracy_ci: Interval
    accuracy_kept: float | None
    accuracy_queried: float | None
    both_wrong_queried: float | None
    latency_ms: float | None
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    bytes_sent: int
    bytes_per_sample: float
    queried: int
    cloud_missing: int = 0
    samples: int


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Which way to answer a row is of."""

    method: str
    coverage_target: float
    threshold: int | None


@dataclass(frozen=True, kw_only=True)
class Row(Measured, _Asked):
    """A row of the headline table: a method at a coverage, and what it measures."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points of equal number, coverage ascending."""

    coverage: tuple[float, ...]
    accuracy: tuple[float, ...]
    latency_ms: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Oracles:
    """Bounds that know the truth (routing/evaluate.py)."""

    agreement: Measured
    margin: Measured
    margin_upper: Measured
    best: Curve
    random: Curve


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What the firmware decides with: a router's number, and its threshold for a coverage."""

    router: int
    coverage: float
    threshold: int


@dataclass(frozen=True, kw_only=True)
class RouterSize:
    """What a router takes whatever the board."""

    router: str
    macs: int
    constant_bytes: int


@dataclass(frozen=True, kw_only=True)
class SideLoss:
    """A hybrid in float or in int8, at one coverage; the oracle queries as much as the router."""

    base_accuracy: float
    coverage: float
    hybrid_accuracy: float
    oracle_accuracy: float


@dataclass(frozen=True, kw_only=True)
class QuantisationLoss:
    """Float minus int8, of the base alone and of the hybrid."""

    base: float
    hybrid: float


@dataclass(frozen=True, kw_only=True)
class RoutingLoss:
    """The oracle's accuracy minus the router's."""

    float_: float
    int8: float


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Where accuracy goes: to quantisation, and to a router that is not the oracle.

    ``exact``: of the exported int8 network, not of training's simulation.
    """

    images: int
    coverage_target: float
    global_accuracy: float
    float_: SideLoss
    int8: SideLoss
    quantisation_loss: QuantisationLoss
    routing_loss: RoutingLoss
    split: str
    exact: bool
