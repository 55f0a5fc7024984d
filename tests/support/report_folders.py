"""Folders of the steps as a report finds them: real manifests and files, little in them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid import manifest
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.build import AotFacts, BuildFacts, Estimate
from mcu_hybrid.artifacts.codec import to_json
from mcu_hybrid.artifacts.export import Agreement, Compared, ExportFacts, NoiseRow
from mcu_hybrid.artifacts.run import RunResult
from mcu_hybrid.artifacts.table import Deployed
from mcu_hybrid.artifacts.times import Latency
from mcu_hybrid.artifacts.train import TrainFacts
from mcu_hybrid.artifacts.tune import Estimated, TuneFacts, TuneResult
from mcu_hybrid.routing.outcomes import Outcomes
from tests.support import report_sample
from tests.support.artefacts import example

LABELS = ["ant", "bee", "cow"]
DEPLOYED = {"router": 2, "coverage": 0.8, "threshold": 12}


def build_id(name: str) -> str:
    """What a build of this name has as its id."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def model_bytes(name: str) -> bytes:
    """The content of a model's file."""
    return b"TFL3" + name.encode()


def model_sha256(name: str) -> str:
    """Its digest."""
    return hashlib.sha256(model_bytes(name)).hexdigest()


def train(folder: Path, seed: int = 0) -> Path:
    """A training."""
    with manifest.writing(folder, "train") as draft:
        (draft.folder / "hybrid.pt").write_text(f"weights {seed}")
        draft.facts |= example(TrainFacts).to_json()
    return folder


def export(folder: Path, model: str = "m", source: Path | None = None) -> Path:
    """An export of ``model``, which was trained in ``source``."""
    compared = example(
        Compared,
        accuracy_int8=0.9,
        accuracy_float=0.91,
        images=100,
        first_that_hurts=None,
        hurts_below_db=20.0,
    )
    layers = (NoiseRow(name=f"{model}/conv", op="CONV_2D", sqnr_db=31.0),)
    agreement = example(Agreement, compared=compared, layers=layers, losses=None)
    with manifest.writing(folder, "export") as draft:
        if source is not None:
            draft.sources["model"] = source
        (draft.folder / "model.tflite").write_bytes(model_bytes(model))
        store.write(agreement, draft.folder)
        draft.facts |= example(ExportFacts, labels=tuple(LABELS)).to_json()
    return folder


def build(
    folder: Path,
    name: str,
    board: str,
    model: str = "m",
    source: Path | None = None,
    **changes: Any,
) -> Path:
    """A build called ``name``, which gives it its id."""
    with manifest.writing(folder, "build") as draft:
        if source is not None:
            draft.sources["model"] = source
        (draft.folder / "plan.json").write_text(json.dumps(report_sample.plan()))
        estimate = Estimate(
            instructions=2_000_000, time=Latency(latency_us=4700.0, latency_basis="b")
        )
        facts = example(
            BuildFacts,
            untuned_sha256=None,
            model=f"{model}.tflite",
            model_sha256=model_sha256(model),
            board=board,
            core="cortex-m7",
            engine="aot",
            build_id=build_id(name),
            static_ram_bytes=15_856,
            stack_bytes=16_384,
            arena_bytes=12_720,
            code_bytes=21_316,
            weights_bytes=14_832,
            macs=580_000,
            aot=example(AotFacts, front=(), requantise_forms={}, estimate=estimate),
            routers=(),
            notes=(),
        )
        draft.facts |= replace(facts, **changes).to_json()
    return folder


def bench(folder: Path, name: str, board: str, model: str = "m", **changes: Any) -> Path:
    """A bench of the build ``name``."""
    result = report_sample.bench() | {
        "board": board,
        "build_id": build_id(name),
        "model_sha256": model_sha256(model),
    }
    with manifest.writing(folder, "bench") as draft:
        (draft.folder / "bench.json").write_text(json.dumps(result | changes))
    return folder


def outcomes() -> Outcomes:
    """Twelve images of three classes: the device knows most, the cloud nearly all."""
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    device = np.array([0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 0, 0])
    cloud = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 1])
    entropy = np.array([1, 2, 30, 9, 1, 1, 1, 40, 5, 6, 50, 60])
    return Outcomes.of_two(device, cloud, truth, {"entropy": entropy}, "board")


def run(folder: Path, name: str, board: str, **changes: Any) -> Path:
    """A run of the build ``name``."""
    result = report_sample.routing() | {
        "board": board,
        "build_id": build_id(name),
        "dataset": f"data of {name}",
        "samples": 12,
        "deployed": DEPLOYED,
        "exact": True,
        "differing_outputs": 0,
        "latency_basis": "",
    }
    for key in ("operating", "confusion", "pictures"):
        result.pop(key, None)
    rest = to_json(example(RunResult, labels=(), curves={}, cloud_missing=0, cloud_pixels=None))
    for key in ("latency_kind", "left_out", "notes"):
        rest.pop(key, None)
    result = rest | result
    with manifest.writing(folder, "run") as draft:
        (draft.folder / "run.json").write_text(json.dumps(result | changes))
        outcomes().save(draft.folder / "results.npz")
    return folder


def tune(
    folder: Path,
    name: str = "",
    board: str | None = None,
    source: Path | None = None,
    model: str = "m",
) -> Path:
    """A threshold for the build ``name``, or for a bare model."""
    result = example(
        TuneResult,
        router="entropy",
        threshold=4321,
        coverage=0.7,
        accuracy_of="all inputs",
        calibration_samples=300,
        targets=(),
        expected={"query_rate": Estimated(value=0.2, low=0.15, high=0.25)},
        test=None,
        costs={},
        notes=(),
        applied=None,
        board=board,
        build_id=build_id(name) if name else None,
        deploy=Deployed(router=2, threshold=4321, coverage=0.7),
    )
    with manifest.writing(folder, "tune") as draft:
        if source is not None:
            draft.sources[manifest.read(source).step] = source
        store.write(result, draft.folder)
        draft.facts |= example(TuneFacts, model_sha256=model_sha256(model)).to_json()
    return folder
