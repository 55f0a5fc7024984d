"""The images that a run streams: what neither training nor thresholds have seen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mcu_hybrid import manifest
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.export import ExportData, ExportFacts
from mcu_hybrid.artifacts.train import Remarks, TrainedData
from mcu_hybrid.errors import InputError, ManifestError
from mcu_hybrid.nets.checkpoint import SPLITS, load_splits
from mcu_hybrid.steps.build import Build


@dataclass(frozen=True)
class TestSplit:
    """What is streamed: images uint8 [N, H, W, C], labels [N], and the data set's name.

    ``remarks`` says of a data set that was read for this what was left out (training.data).
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    remarks: Remarks | None = None

    @property
    def digest(self) -> str:
        """Of the images and labels, in their order."""
        found = hashlib.sha256(repr((self.x.shape, self.x.dtype.str)).encode())
        for array in (self.x, np.asarray(self.y, np.int64)):
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()


def export_of(build: Build) -> Path:
    """The export folder that the build was made from; raises ManifestError where it is gone."""
    source = manifest.read(build.folder).sources["model"]
    folder = (build.folder / source.path).resolve()
    if not (folder / manifest.NAME).is_file():
        raise ManifestError(
            f"was built from {folder}, which is no export folder (any more)",
            "give --export DIR, and --data",
            path=build.folder,
        )
    return folder


def calibration_split(export: Path) -> TestSplit | None:
    """The images that thresholds are chosen on; None for an export without data."""
    if SPLITS not in manifest.load(export, "export").files:
        return None
    splits = load_splits(export / SPLITS)
    return TestSplit("calibration split", splits.x_calibration, splits.y_calibration)


def test_split(
    export: Path, data_spec: str | None = None, size: tuple[int, int] | None = None
) -> tuple[TestSplit, int]:
    """The images that neither training, router nor thresholds have seen; and how many calibrated.

    Args:
        data_spec: another data set: its own test split where it has one, else all of it.
        size: height and width to resize its images to; None: as in training.
    """
    facts = store.facts(ExportFacts, export)
    named = facts.data if isinstance(facts.data, TrainedData | ExportData) else None
    if data_spec is None:
        splits = load_splits(export / SPLITS)
        name = named.spec if named else "test split"
        return TestSplit(name, splits.x_test, splits.y_test), len(splits.y_calibration)
    from mcu_hybrid.training.data import load_data, remarks

    data = load_data(data_spec, size=size or (named.size if named else None))
    labels = facts.labels or ()
    if labels and labels != data.labels:
        raise InputError(
            f"has the classes {', '.join(data.labels)}; the model was trained on "
            f"{', '.join(labels)}",
            "name the class folders as they were in training",
            path=data_spec,
        )
    mask = data.fixed_test_mask
    chosen = np.ones(len(data.y), bool) if mask is None else mask
    told = remarks(data)
    if not chosen.all():
        note = f"of {len(chosen):,} images, its {chosen.sum():,} test images are run"
        told = replace(told, notes=(*told.notes, note))
    return TestSplit(data.name, data.x[chosen], data.y[chosen], told), 0
