"""export: agreement.json, and the facts in its manifest, which hold the same and more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mcu_hybrid.artifacts.codec import Artefact, inlined, left_out
from mcu_hybrid.artifacts.table import Deployed, Losses, RouterSize
from mcu_hybrid.artifacts.train import Described, Remarks, TrainedData


@dataclass(frozen=True, kw_only=True)
class NoiseRow:
    """A layer's signal to quantisation noise; None where its float counterpart is not known."""

    name: str
    op: str
    sqnr_db: float | None


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Float against int8 on the calibration images; None where a network says no class of them."""

    accuracy_int8: float | None
    accuracy_float: float | None
    same_class: float | None = None
    images: int
    split: str = "calibration"
    first_that_hurts: str | None
    hurts_below_db: float


@dataclass(frozen=True, kw_only=True)
class Routes:
    """Router -> coverage, as text -> threshold; and the one that the firmware has at reset."""

    thresholds: Mapping[str, Mapping[str, int]]
    deployed: Deployed


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Training's simulated int8 logits against the exact ones; errors in levels of the logits."""

    images: int
    whole_network: bool
    same_class: float
    same_logits: float
    mean_levels: float
    max_levels: int


@dataclass(frozen=True, kw_only=True)
class _Exported:
    """What every export says; ``compared`` with images, ``routes`` where it has a router.

    ``layers`` is None for a model that was not converted here.
    """

    routes: Routes | None = inlined()
    compared: Compared | None = inlined()
    layers: tuple[NoiseRow, ...] | None
    labels: tuple[str, ...] | None = left_out()
    tflite_bytes: int
    input: Mapping[str, object] | None = left_out()  # as in the model's metadata
    accuracy_global: float | None = left_out()
    losses: Losses | None = left_out()
    simulation: Simulation | None = left_out()
    notes: tuple[str, ...] | None = left_out()
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Agreement(_Exported, Artefact):
    """agreement.json: thresholds, float against int8, and every doubt about the result."""

    step: ClassVar[str] = "export"
    file: ClassVar[str] = "agreement.json"


@dataclass(frozen=True, kw_only=True)
class ExportData(Remarks):
    """The images that a model of the user was exported with: --data and --size."""

    spec: str
    size: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class ExportFacts(_Exported, Artefact):
    """The facts of an export; ``data`` is None where it had no images."""

    step: ClassVar[str] = "export"

    data: TrainedData | Described | ExportData | None
    routers: tuple[RouterSize, ...]
