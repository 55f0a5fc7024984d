"""The verbs for programs: paths as text, boards by name, each one call of a step.

``import mcu_hybrid as mh`` offers what stands here, loaded when it is first used. Options are the
steps' own dataclasses. What takes long calls ``on_event(label, done, total)``; nothing prints;
what is the user's to mend raises ``McuHybridError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from mcu_hybrid import extras
from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.artifacts.export import ExportFacts
from mcu_hybrid.artifacts.predict import Prediction, Predictions
from mcu_hybrid.artifacts.run import RunResult
from mcu_hybrid.artifacts.train import TrainFacts
from mcu_hybrid.artifacts.tune import TuneResult
from mcu_hybrid.board.load import Board, list_boards, load_board
from mcu_hybrid.cloud.client import CloudClient
from mcu_hybrid.compiler.engine import EngineOptions, Model
from mcu_hybrid.device.client import Device
from mcu_hybrid.errors import InputError, McuHybridError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.routing.link_costs import DEFAULT, link_model
from mcu_hybrid.routing.policy import Direct, NoCloud, Resting
from mcu_hybrid.routing.query import Answer, Query
from mcu_hybrid.routing.session import DeviceClock
from mcu_hybrid.routing.session import HybridSession as Session
from mcu_hybrid.routing.tune.units import METRICS, Target
from mcu_hybrid.steps.attach import HERE, Way
from mcu_hybrid.steps.bench import BenchOptions, bench_step
from mcu_hybrid.steps.build import Build, build_step, model_path, read_model
from mcu_hybrid.steps.build import open_build as open_folder
from mcu_hybrid.steps.cloud import RunOptions, cloud_for
from mcu_hybrid.steps.engine import DEFAULT_ENGINE
from mcu_hybrid.steps.export import ExportOptions, export_step
from mcu_hybrid.steps.flash import Flashed, flash_step
from mcu_hybrid.steps.predict import PredictOptions, predict_step
from mcu_hybrid.steps.run import require_hybrid, run_step
from mcu_hybrid.steps.serve import global_model
from mcu_hybrid.steps.serve import serving as serve_meanwhile
from mcu_hybrid.steps.split import calibration_split, export_of, test_split
from mcu_hybrid.steps.train import train_step
from mcu_hybrid.steps.tune import TuneOptions, tune_step
from mcu_hybrid.training.config import HybridConfig

__all__ = [
    "Answer",
    "BenchOptions",
    "BenchResult",
    "Board",
    "Build",
    "CloudClient",
    "Device",
    "DeviceClock",
    "Direct",
    "EngineOptions",
    "ExportOptions",
    "Flashed",
    "HybridConfig",
    "McuHybridError",
    "Model",
    "NoCloud",
    "PredictOptions",
    "Prediction",
    "Predictions",
    "Query",
    "Resting",
    "RunOptions",
    "Session",
    "TuneOptions",
    "Way",
    "build",
    "export_model",
    "flash",
    "link_model",
    "list_boards",
    "load_board",
    "load_model",
    "measure",
    "open_build",
    "predict",
    "run",
    "serving",
    "train",
    "tune",
]
PathText = str | PathLike[str]


def load_model(source: PathText) -> Model:
    """Read the int8 .tflite of a file, an export or a build folder, as the compiler reads it.

    Raises:
        ModelError: it is no int8 model that the engine runs; names the layer.
    """
    return read_model(model_path(Path(source)))


def open_build(folder: PathText, board_dirs: Sequence[Path] = ()) -> Build:
    """Open what ``build`` wrote; raises ManifestError where it is stale."""
    return open_folder(Path(folder), board_dirs)


def train(
    data: str,
    out: PathText,
    config: HybridConfig | None = None,
    *,
    size: tuple[int, int] | None = None,
    restart: bool = False,
    on_event: OnEvent | None = None,
) -> TrainFacts:
    """Train base, global network and router on ``data`` into the folder ``out``.

    Args:
        data: ``digits``, a folder or zip with one folder of images per class, an .npz, or
            module:function.
        size: height and width that images are resized to.
        restart: start anew though an ended training into this folder could go on.
    """
    return train_step(
        data, config or HybridConfig(), Path(out), size=size, restart=restart, on_event=on_event
    )


def export_model(
    source: PathText,
    out: PathText,
    options: ExportOptions | None = None,
    *,
    on_event: OnEvent | None = None,
) -> ExportFacts:
    """Base and router to one int8 .tflite, the global network to ONNX, with thresholds.

    Args:
        source: what ``train`` wrote, an .onnx, or an int8 .tflite.
    """
    return export_step(Path(source), Path(out), options or ExportOptions(), on_event=on_event)


def build(
    model: PathText,
    board: Board | str,
    out: PathText,
    engine: EngineOptions = DEFAULT_ENGINE,
    *,
    tuned: PathText | None = None,
    board_dirs: Sequence[Path] = (),
    on_event: OnEvent | None = None,
) -> Build:
    """Compile a .tflite or an export folder to firmware for a board, in the folder ``out``.

    Args:
        tuned: what ``tune`` wrote; its threshold is then the firmware's at reset.

    Raises:
        CapacityError: it does not fit the board; says what does not.
    """
    return build_step(
        Path(model),
        load_board(board, board_dirs) if isinstance(board, str) else board,
        Path(out),
        engine,
        tuned=Path(tuned) if tuned is not None else None,
        board_dirs=board_dirs,
        on_event=on_event,
    )


def flash(
    build: Build, way: Way = HERE, *, dry_run: bool = False, on_event: OnEvent | None = None
) -> Flashed:
    """Put the firmware on its board and compare what runs there; starts a virtual one.

    Args:
        way: the board's port, probe and tool, or the machine in its place; found where not given.
    """
    return flash_step(build, way, dry_run=dry_run, on_event=on_event)


def measure(
    source: Build | PathText,
    board: str | None = None,
    options: BenchOptions | None = None,
    *,
    out: PathText | None = None,
    on_event: OnEvent | None = None,
) -> BenchResult:
    """The verb bench: instructions, time, memory, and whether every output equals TFLM's.

    Args:
        source: a build, its folder, an export folder, or any int8 .tflite.
        board: needed where ``source`` is not built yet.
    """
    folder = source.folder if isinstance(source, Build) else Path(source)
    place = Path(out) if out is not None else None
    return bench_step(folder, board, options or BenchOptions(), out=place, on_event=on_event)


def run(
    build: Build,
    options: RunOptions | None = None,
    *,
    data: str | None = None,
    size: tuple[int, int] | None = None,
    out: PathText | None = None,
    restart: bool = False,
    on_event: OnEvent | None = None,
) -> RunResult:
    """Stream a test split through the board and the cloud; the table of what each method costs.

    Without ``options.cloud`` the export's own global network is served meanwhile.

    Args:
        data: another data set than the training's; ``size`` resizes its images.
        restart: start anew though an ended run into ``out`` could go on.
    """
    options = options or RunOptions(DEFAULT)
    needed = [*(["bench"] if options.check else []), *([] if options.cloud else ["cloud"])]
    extras.require("run", *needed)
    require_hybrid(build)
    export = export_of(build)
    split, calibrated = test_split(export, data, size)
    with cloud_for(options, export) as client:
        return run_step(
            build,
            split,
            client,
            options,
            calibration_samples=calibrated,
            calibration=calibration_split(export),
            out=Path(out) if out is not None else None,
            restart=restart,
            on_event=on_event,
        )


def tune(
    source: PathText,
    targets: Mapping[str, str],
    options: TuneOptions | None = None,
    *,
    out: PathText | None = None,
    on_event: OnEvent | None = None,
) -> TuneResult:
    """The threshold that meets the targets, on the calibration split.

    Args:
        source: what ``run`` wrote, or a build or export folder.
        targets: by metric, as ``{"accuracy": "91%", "latency": "400ms"}``: at least this accuracy,
            at most the others (latency, energy, bytes, query_rate, macs, instructions).

    Raises:
        TargetError: no threshold meets them; names the nearest that can be met.
    """
    asked = [_target(name, text) for name, text in targets.items()]
    place = Path(out) if out is not None else None
    wanted = replace(options or TuneOptions(()), targets=asked)
    return tune_step(Path(source), wanted, out=place, on_event=on_event)


def _target(name: str, text: str) -> Target:
    if name not in METRICS:
        raise InputError(f"no metric '{name}'", f"one of: {', '.join(METRICS)}", key="targets")
    return Target(METRICS[name], METRICS[name].parse(text))


def predict(
    source: PathText,
    images: Sequence[PathText | np.ndarray],
    options: PredictOptions | None = None,
    *,
    on_event: OnEvent | None = None,
) -> Predictions:
    """Classify image files and arrays: base, router and cloud decide as on the board.

    Args:
        source: an export or build folder, or an int8 .tflite.
        images: files, uint8 images [H, W, C] or [N, H, W, C], or the model's own int8 input.
    """
    given = [image if isinstance(image, np.ndarray) else Path(image) for image in images]
    return predict_step(Path(source), given, options or PredictOptions(), on_event=on_event)


def serving(model: PathText, name: str = "global") -> AbstractContextManager[str]:
    """Serve an ONNX file, or an export's global network, meanwhile; gives the server's URL."""
    return serve_meanwhile(global_model(Path(model)), name)
