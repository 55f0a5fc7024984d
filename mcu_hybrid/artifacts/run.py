"""run: run.json, and the facts in its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from mcu_hybrid.artifacts.codec import Artefact, always_inlined, inlined
from mcu_hybrid.artifacts.table import Curve, Deployed, Oracles, Row
from mcu_hybrid.artifacts.times import Rests
from mcu_hybrid.artifacts.train import Remarks

EXPECTED_ANSWER_BYTES = 200  # for the link's way down where the server never answered


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """What an input was trained on: (pixel / 255 * scale - mean) / std."""

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, kw_only=True)
class Link:
    """The link that a query was priced by (routing/link_costs.py); a rate None is no limit."""

    name: str
    title: str
    rtt_ms: float
    up_bits_per_s: int | float | None
    down_bits_per_s: int | float | None
    overhead_bytes: int
    packet_bytes: int
    assumption: str
    up_uj_per_byte: float | None = None
    down_uj_per_byte: float | None = None
    wake_mj: float | None = None
    energy_basis: str = ""


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What became of the queries of the live pass; ``fallbacks`` by reason."""

    asked: int
    kept: int
    queried: int
    fallbacks: Mapping[str, int]
    coverage: float
    bytes_sent: int


@dataclass(frozen=True, kw_only=True)
class DeviceCounters:
    """The board's own counts, and how they differ from its answers ("" where they do not)."""

    device_kept: int
    device_queried: int
    device_repeats: int
    device_restarts: int
    device_disagrees: str


@dataclass(frozen=True, kw_only=True)
class RunCounters(Counters):
    """Both sides' counts of a run."""

    device: DeviceCounters | None = inlined()


@dataclass(frozen=True, kw_only=True)
class RunData:
    """Remarks on a data set that was read for the run; an export's own split has none."""

    remarks: Remarks | None = inlined()


@dataclass(frozen=True, kw_only=True)
class RunResult(Artefact):
    """A run over a test split: its table, the curves, and what they rest on.

    ``exact`` is None where outputs were not compared, and ``unjudged`` says why. ``cloud_failed``
    has the second pass's failures by reason. ``cloud_pixels`` is None where the cloud was sent raw
    bytes.
    """

    step: ClassVar[str] = "run"
    file: ClassVar[str] = "run.json"

    rows: tuple[Row, ...]
    curves: Mapping[str, Curve]
    oracles: Oracles
    link: Link
    edge_ms: float | None
    edge_low_ms: float | None = None
    edge_high_ms: float | None = None
    cloud_ms: float | None
    query_ms: float | None
    query_bytes: int
    answer_bytes: int = EXPECTED_ANSWER_BYTES
    rests: Rests = always_inlined()
    dataset: str
    data: RunData
    samples: int
    calibration_samples: int
    deployed: Deployed
    router: str
    counters: RunCounters
    cloud_missing: int = 0
    cloud_failed: Mapping[str, int] = field(default_factory=dict)
    calibration_missing: int = 0
    board: str
    build_id: str
    model_sha256: str
    labels: tuple[str, ...] = ()
    exact: bool | None
    differing_outputs: int | None
    unjudged: str = ""
    cloud_pixels: Pixels | None = Pixels()
    cloud_is_own: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunFacts(Artefact):
    """What the manifest of a run says."""

    step: ClassVar[str] = "run"

    exact: bool | None
    rows: tuple[Row, ...]
