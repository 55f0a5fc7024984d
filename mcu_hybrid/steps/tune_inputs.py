"""tune's answers: what board and cloud said about the calibration split.

They are the board's where a run kept them, else those of the int8 reference, which computes the
same numbers. What an input costs is in tune_costs.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mcu_hybrid import manifest
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.run import RunResult
from mcu_hybrid.board.load import Board, load_board
from mcu_hybrid.errors import InputError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.export.agreement import run_int8
from mcu_hybrid.graph.pixels import PixelForm
from mcu_hybrid.routing.link_costs import DEFAULT, LinkModel
from mcu_hybrid.routing.outcomes import Outcomes, load_outcomes
from mcu_hybrid.routing.tune import settings
from mcu_hybrid.steps.build import MODEL, Build, Model, open_build, read_model
from mcu_hybrid.steps.cloud import RunOptions, cloud_for, cloud_model, cloud_warnings
from mcu_hybrid.steps.run_table import CALIBRATION, OUTCOMES
from mcu_hybrid.steps.split import calibration_split, export_of


@dataclass(frozen=True)
class CostOptions:
    """Where the figures come from; "" and None take what the folders have.

    ``payload``: "" is the request as the run measured it. ``power``: mW computing and asleep.
    ``bench`` and ``global_bench`` are bench folders of the device's and of the global network
    (same device); ``global_macs`` are the latter's where no train folder has them.
    """

    setting: str = settings.EDGE_CLOUD
    link: LinkModel | None = None
    payload: str = ""
    power: tuple[float, float] | None = None
    bench: Path | None = None
    global_bench: Path | None = None
    global_macs: float | None = None
    export: Path | None = None
    cloud: str = ""
    cloud_model: str = "global"
    cloud_pixels: PixelForm | None = None  # as in RunOptions
    token: str | None = None
    board: str | None = None
    board_dirs: Sequence[Path] = ()


@dataclass(frozen=True)
class Query:
    """What a query weighs and takes besides the link: as measured."""

    sent_bytes: int
    received_bytes: int
    cloud_ms: float


@dataclass
class Evidence:
    """What the folders hold; ``run`` is run.json or None, ``build`` None for a bare export.

    ``notes`` say what of it was left out, ``warnings`` why it may not be what it seems.
    """

    source: Path
    step: str
    model: Model
    build: Build | None
    board: Board | None
    export: Path | None
    run: RunResult | None
    outcomes: Outcomes
    test: Outcomes | None
    query: Query
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def gather(source: Path, options: CostOptions, on_event: OnEvent | None = None) -> Evidence:
    """Read a run, build or export folder; runs the int8 reference where no board's answers are.

    Raises:
        ManifestError: another folder, or a stale one.
        InputError: neither a run's answers nor calibration images and a global model to ask; or a
            run without any answer of the cloud.
    """
    found = manifest.load(source, "run", "build", "export")
    build = _build_of(source, found.step, options)
    board = build.board if build else None
    if board is None and options.board:
        board = load_board(options.board, options.board_dirs)
    model = build.model if build else read_model(source / MODEL)
    export = options.export or (source if found.step == "export" else _export_of(build))
    run = store.result(RunResult, source) if found.step == "run" else None
    warnings: list[str] = []
    if run is not None and CALIBRATION in found.files:
        if options.cloud_pixels is not None:
            raise InputError(
                "has the cloud's answers already: what it is sent cannot be changed here",
                "give --cloud-input-scale, --cloud-mean and --cloud-std to mcu-hybrid run",
                path=source,
            )
        outcomes = load_outcomes(source / CALIBRATION)
        query = Query(run.query_bytes, run.answer_bytes, run.cloud_ms or 0.0)
    else:
        outcomes, query, warnings = _on_host(model, export, options, on_event)
    kept = found.step == "run" and OUTCOMES in found.files
    test = load_outcomes(source / OUTCOMES) if kept else None
    notes: list[str] = []
    if options.setting != settings.ABSTAIN:  # else the cloud has no say
        outcomes, test = _answered(source, outcomes, test, notes)
        if run is not None and CALIBRATION in found.files:
            warnings = _warnings_of_run(run, outcomes, source)
    else:
        warnings = []
    known = (outcomes, test, query, notes, warnings)
    return Evidence(source, found.step, model, build, board, export, run, *known)


def _warnings_of_run(run: RunResult, outcomes: Outcomes, source: Path) -> list[str]:
    """As run itself says it, here of the calibration images; a run of old does not say the form."""
    sent = run.cloud_pixels
    pixels = None if sent is None else PixelForm(sent.scale, sent.mean, sent.std)
    told = (outcomes.cloud, outcomes.device, outcomes.truth)
    return cloud_warnings(pixels, *told, is_own=run.cloud_is_own)


def _answered(
    source: Path, calibration: Outcomes, test: Outcomes | None, notes: list[str]
) -> tuple[Outcomes, Outcomes | None]:
    """Without the inputs that the cloud gave no answer on: what it would say is not known."""
    if not calibration.answered.any():
        raise InputError(
            f"the cloud answered none of the {calibration.count} calibration inputs",
            "ask it again: mcu-hybrid run ... --resume; or tune with --setting abstain",
            path=source,
        )
    found = []
    for name, outcomes in (("calibration", calibration), ("test", test)):
        missing = int((~outcomes.answered).sum()) if outcomes else 0
        if outcomes is None or not missing:
            found.append(outcomes)
            continue
        notes.append(
            f"the cloud gave no answer on {missing} of {outcomes.count} {name} inputs: they are "
            "left out, and what is said holds for inputs like the others"
        )
        found.append(outcomes.only(outcomes.answered) if outcomes.answered.any() else None)
    return found[0] or calibration, found[1]


def _build_of(source: Path, step: str, options: CostOptions) -> Build | None:
    """The build folder behind a run, or itself; raises InputError for another board's."""
    if step == "export":
        return None
    folder = source
    if step == "run":
        folder = (source / manifest.read(source).sources["build"].path).resolve()
    build = open_build(folder, options.board_dirs)
    wanted = load_board(options.board, options.board_dirs).name if options.board else None
    if wanted not in (None, build.board.name):
        raise InputError(
            f"is for {build.board.name}, not for {options.board}",
            f"mcu-hybrid build MODEL --board {options.board}, then run",
            path=source,
        )
    return build


def _export_of(build: Build | None) -> Path | None:
    """The export folder behind a build; None where it is gone (only some payloads need it)."""
    try:
        return export_of(build) if build else None
    except InputError:
        return None


def _on_host(
    model: Model, export: Path | None, options: CostOptions, on_event: OnEvent | None
) -> tuple[Outcomes, Query, list[str]]:
    """The int8 reference and the global model on the calibration split of the export."""
    split = calibration_split(export) if export else None
    if split is None or export is None:
        raise InputError(
            "has no calibration split, and no board's answers were kept",
            "give a folder of mcu-hybrid run, or --export DIR",
            path=export,
        )
    seen = run_int8(model.graph, split.x, on_event=on_event)
    run_options = RunOptions(
        DEFAULT,
        cloud=options.cloud,
        model=options.cloud_model,
        token=options.token,
        pixels=options.cloud_pixels,
    )
    labels, times = np.empty(len(split.y), np.int64), []
    with cloud_for(run_options, export) as client:
        cloud = cloud_model(client, model, split.x.shape[1:], options.cloud_pixels)
        for i in range(len(split.y)):
            answer = cloud.infer(cloud.payload(split.x[i : i + 1]))
            labels[i] = answer.label
            times.append(answer.elapsed_us / 1e3)
            if on_event:
                on_event("global model", i + 1, len(split.y))
    query = Query(answer.bytes_sent, answer.bytes_received, float(np.median(times)))
    basis = "int8 reference on this machine"
    device = seen.logits.argmax(1)
    truth = np.asarray(split.y)
    own = not options.cloud
    warnings = cloud_warnings(cloud.pixels, labels, device, truth, is_own=own)
    return Outcomes.of_two(device, labels, truth, seen.scores, basis), query, warnings
