"""What a page is made of: artefacts of the steps, and what the report itself finds in them.

Every section is optional, and so is every field of one: a page shows what is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.artifacts.build import BuildFacts, Plan, SchedulePoint
from mcu_hybrid.artifacts.codec import inlined
from mcu_hybrid.artifacts.export import NoiseRow
from mcu_hybrid.artifacts.run import Counters, Link, RunResult
from mcu_hybrid.artifacts.table import Curve, Deployed, Losses, Oracles, Row
from mcu_hybrid.artifacts.times import Rests
from mcu_hybrid.artifacts.tune import TuneResult


@dataclass(frozen=True, kw_only=True)
class Operating:
    """Where on the curve the firmware stands, on the test split."""

    router: str
    threshold: int | None
    coverage: float
    accuracy: float
    latency_ms: float | None


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """A confusion matrix; without ``counts`` the pairs that are mixed up most are told."""

    title: str
    right: int
    count: int
    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...] | None
    shades: tuple[tuple[int, ...], ...] | None  # each cell's share of its row in %
    pair_rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image of the test split and what was said of it; ``by`` is the device or the cloud."""

    uri: str
    alt: str
    truth: str
    answer: str
    by: str
    right: bool


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Images of a kind: how many there are, and some of them."""

    title: str
    count: int
    shown: tuple[Picture, ...]


@dataclass(frozen=True, kw_only=True)
class Routing:
    """The headline table and its curves, what they rest on, and the answers image by image."""

    rows: tuple[Row, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    oracles: Oracles | None = None
    link: Link | None = None
    edge_ms: float | None = None
    edge_low_ms: float | None = None
    edge_high_ms: float | None = None
    query_ms: float | None = None
    query_bytes: int | None = None
    rests: Rests | None = inlined()
    dataset: str = ""
    samples: int = 0
    calibration_samples: int = 0
    deployed: Deployed | None = None
    operating: Operating | None = None
    confusion: tuple[Confusion, ...] = ()
    pictures: tuple[Pictures, ...] = ()
    counters: Counters | None = None
    cloud_missing: int = 0  # inputs that the cloud never answered
    board: str = ""
    exact: bool | None = None
    differing_outputs: int | None = None

    @property
    def basis(self) -> Rests:
        """What the device's time rests on."""
        return self.rests or Rests()


def routing_of(run: RunResult) -> Routing:
    """The section of a run, without its answers image by image."""
    return Routing(
        rows=run.rows,
        curves=run.curves,
        oracles=run.oracles,
        link=run.link,
        edge_ms=run.edge_ms,
        edge_low_ms=run.edge_low_ms,
        edge_high_ms=run.edge_high_ms,
        query_ms=run.query_ms,
        query_bytes=run.query_bytes,
        rests=run.rests,
        dataset=run.dataset,
        samples=run.samples,
        calibration_samples=run.calibration_samples,
        deployed=run.deployed,
        counters=run.counters,
        cloud_missing=run.cloud_missing,
        board=run.board,
        exact=run.exact,
        differing_outputs=run.differing_outputs,
    )


class Methods(TypedDict, total=False):
    """Ways to route, compared over several seeds: experiments/hybrid, routing.methods."""

    series: Sequence[Mapping[str, Any]]  # title, first (shown at once), curve: methods.curve
    bound: Mapping[str, Any] | None  # title, curve: methods.oracle_curve
    single: Sequence[Mapping[str, Any]]  # title and a row of methods.table: one answer for all
    dataset: str
    samples: int
    calibration_samples: int
    seeds: int
    link: Mapping[str, Any]  # LinkModel.to_json
    energy: str  # what the energy figure is made of


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """Float against int8, of the exported model."""

    float_accuracy: float | None = None
    int8_accuracy: float | None = None
    samples: int = 0
    layers: tuple[NoiseRow, ...] = ()
    first_hurt: str | None = None
    threshold_db: float | None = None
    losses: Losses | None = None


@dataclass(frozen=True, kw_only=True)
class BoardFacts:
    """The board of a part; ``is_known``: its file was found, so the rest of this is true."""

    name: str
    title: str = ""
    is_known: bool = False
    is_virtual: bool = False
    is_host: bool = False


@dataclass(frozen=True, kw_only=True)
class BoardMemory:
    """What a board has, in bytes."""

    name: str
    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True, kw_only=True)
class StepOf:
    """A step's folder, and the digest of its manifest."""

    step: str
    folder: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where it all comes from."""

    tool_version: str = ""
    board: str = ""
    build_id: str = ""
    steps: tuple[StepOf, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportPart:
    """All that the page shows of one build."""

    title: str = ""
    subtitle: str = ""
    board: BoardFacts | None = None
    routing: Routing | None = None
    tuned: TuneResult | None = None
    bench: BenchResult | None = None
    built: BuildFacts | None = None
    plan: Plan | None = None
    schedules: tuple[SchedulePoint, ...] = ()
    requantise_forms: Mapping[str, int] = field(default_factory=dict)
    quantisation: Quantisation | None = None
    capacity: tuple[BoardMemory, ...] = ()
    provenance: Provenance | None = None
    notes: tuple[str, ...] = ()
    methods: Methods | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """The whole page: one build needs no heading of its own."""

    title: str = ""
    subtitle: str = ""
    parts: tuple[ReportPart, ...]
