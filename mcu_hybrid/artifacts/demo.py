"""demo: what ``demo --json`` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mcu_hybrid.artifacts.codec import Artefact


@dataclass(frozen=True, kw_only=True)
class DemoRow:
    """A row of the run's table, as much of it as demo tells."""

    method: str
    coverage_target: float
    coverage: float
    coverage_ci: tuple[float, float]
    accuracy: float | None
    latency_ms: float | None
    bytes_sent: int


@dataclass(frozen=True, kw_only=True)
class DemoOutput(Artefact):
    """The whole path in figures: ``exact`` of bench and run together."""

    step: ClassVar[str] = "demo"

    exact: bool
    board: str
    instructions: int | None
    arena_bytes: int
    rows: tuple[DemoRow, ...]
    report: str
