"""build: an int8 .tflite to firmware for a board. Reads an export folder or a .tflite file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcu_hybrid import manifest
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.build import BuildFacts
from mcu_hybrid.artifacts.codec import to_json
from mcu_hybrid.artifacts.tune import TuneFacts
from mcu_hybrid.board.load import Board, list_boards, load_board
from mcu_hybrid.compiler import report
from mcu_hybrid.compiler.engine import Compiled, EngineOptions, Model, TflmTree
from mcu_hybrid.compiler.passes import run_passes
from mcu_hybrid.compiler.read.tflite import fix_input_shapes, read_tflite
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.firmware.build import build
from mcu_hybrid.firmware.fit import check_elf, check_limit, fit_gate
from mcu_hybrid.firmware.render import render_project
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.image.firmware import FirmwareImage, Footprint, read_image
from mcu_hybrid.process import Tools
from mcu_hybrid.steps.answers import Answers, make_answers
from mcu_hybrid.steps.engine import DEFAULT_ENGINE, ENGINES, require_consistent

MODEL = "model.tflite"
InputShapes = Sequence[tuple[str, tuple[int, ...]]]
_SEARCHED_BYTES = 1 << 20  # a search for schedules of larger maps takes long, and to no end


@dataclass(frozen=True)
class Build:
    """A build folder: firmware for a board, and the model that it runs."""

    folder: Path
    board: Board
    model: Model
    image: FirmwareImage
    facts: BuildFacts


def model_path(source: Path) -> Path:
    """The .tflite of ``source``: itself, or that of an export or build folder (checked)."""
    if source.is_dir():
        manifest.load(source, "export", "build")
        return source / MODEL
    if not source.is_file():
        raise InputError(
            "no such file or folder", "give a .tflite or the folder of an export", path=source
        )
    return source


def read_model(path: Path, input_shapes: InputShapes = ()) -> Model:
    """Read a .tflite; raises ModelError or UnsupportedOp naming the layer.

    Args:
        input_shapes: (name, shape) of inputs whose size the file leaves open; the model is then the
            file with these sizes in it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot be read: {error.strerror}", "give an int8 .tflite", path=path
        ) from error
    try:
        if input_shapes:
            data = fix_input_shapes(data, path.name, dict(input_shapes))
        file = read_tflite(data, path.name)
        return Model(data, file, run_passes(file.graph, file.metadata))
    except ModelError as error:
        error.path = error.path or path
        raise


def build_step(
    source: Path,
    board: Board,
    out: Path,
    engine: EngineOptions = DEFAULT_ENGINE,
    *,
    tools: Tools | None = None,
    tuned: Path | None = None,
    board_dirs: Sequence[Path] = (),
    on_event: OnEvent | None = None,
) -> Build:
    """Write firmware for ``board`` into the folder ``out``.

    Args:
        tuned: a tune folder, whose router and threshold the firmware has at reset.

    Raises:
        ModelError: the model is not what the engine runs.
        CapacityError: it does not fit, found before compiling (or by the linker).
        MissingTool: no compiler.
    """
    require_consistent(engine)
    path = model_path(source)
    given = read_model(path, engine.input_shapes)
    model = given if tuned is None else _with_route(given, tuned, path)
    others = list_boards(board_dirs)
    _require_edges_fit(model.graph, board, others)
    with manifest.writing(out, "build") as draft:
        draft.sources["model"] = source
        made = ENGINES[engine.name].compile(model, board, engine, on_event)
        fit_gate(board, made.footprint, others)
        answers = make_answers(model, made.graph, on_event)
        project = render_project(
            draft.folder,
            board,
            made.files(answers.values),
            kernels=made.footprint.kernels,
            engine=engine.name,
        )
        image = build(project, board, tools or Tools(), extra=made.extra, on_event=on_event)
        check_elf(image, made.footprint, board)
        check_limit(image, engine.ram_limit)
        facts = _facts(path.name, model, board, engine, made, image, answers)
        if tuned is not None:
            # Not a source: a later tune may replace that folder, and its firmware stays as it is.
            facts = replace(facts, untuned_sha256=given.file.sha256)
        (draft.folder / MODEL).write_bytes(model.data)
        store.write(made.plan, draft.folder)
        draft.facts.update(facts.to_json())
    return Build(out, board, model, replace(image, elf=out / image.elf.name), facts)


def untuned_sha256(model: Model, build: Build | None) -> str:
    """The digest of the model as it was exported, whatever threshold a build gave it."""
    untuned = build.facts.untuned_sha256 if build else None
    return untuned or model.file.sha256


def _with_route(model: Model, tuned: Path, path: Path) -> Model:
    """The model with the router and threshold of a tune folder at reset.

    Raises:
        ManifestError: no tune folder, or a stale one.
        InputError: it was made for another model.
    """
    from mcu_hybrid.export.metadata import with_metadata

    facts = store.facts(TuneFacts, tuned)
    if facts.model_sha256 != model.file.sha256 or model.file.metadata is None:
        raise InputError(
            f"was tuned for another model than {path}",
            "build from the export that it was tuned on, or run: mcu-hybrid tune again",
            path=tuned,
        )
    data = with_metadata(model.data, {**model.file.metadata, "deployed": to_json(facts.deploy)})
    file = read_tflite(data, path.name)
    return Model(data, file, run_passes(file.graph, file.metadata))


def open_build(folder: Path, board_dirs: Sequence[Path] = ()) -> Build:
    """Open a build folder; raises ManifestError where it is stale."""
    facts = store.facts(BuildFacts, folder)
    board = load_board(facts.board, board_dirs)
    model = read_model(folder / MODEL)
    image = read_image(folder / "firmware.elf", folder / "firmware.map", facts.build_id)
    return Build(folder, board, model, image, facts)


def _require_edges_fit(graph: Graph, board: Board, others: Sequence[Board]) -> None:
    """Refuse, before any pass or search, inputs and outputs that alone do not fit the board.

    Whatever the schedule, they lie in the arena as a whole, all inputs or all outputs at a time.
    Small ones are searched first: the message then names the layer.
    """
    inputs = [graph.tensor(t) for t in graph.inputs]
    outputs = [graph.tensor(t) for t in graph.outputs]
    side = max((inputs, outputs), key=lambda tensors: sum(t.bytes for t in tensors))
    what = "input" if side is inputs else "output"
    rows = sorted(((t.bytes, "x".join(map(str, t.shape))) for t in side), reverse=True)
    largest = tuple(f"{what} {shape} {size:,} B" for size, shape in rows[:3])
    total = sum(size for size, _ in rows)
    if total > _SEARCHED_BYTES:
        fit_gate(board, Footprint(total, 0, 0, (), largest), others)


def _unused_cores(board: Board) -> Iterator[str]:
    """What the user should know of the cores that the model does not run on."""
    first, *others = (core.name for core in board.chip.cores)
    if others:
        yield (
            f"chip {board.chip.name} has the cores {', '.join((first, *others))}: built for "
            f"{first}, which boots; nothing runs on the others"
        )


def _facts(
    name: str,
    model: Model,
    board: Board,
    engine: EngineOptions,
    made: Compiled,
    image: FirmwareImage,
    answers: Answers,
) -> BuildFacts:
    return BuildFacts(
        model=name,
        model_sha256=model.file.sha256,
        board=board.name,
        core=board.core.name,
        engine=engine.name,
        build_id=image.build_id,
        static_ram_bytes=image.ram_used,
        stack_bytes=image.stack_bytes,
        code_bytes=image.code_bytes,
        weights_bytes=image.weights_bytes,
        flash_bytes=image.flash_used,
        ram_capacity_bytes=board.ram_bytes,
        flash_capacity_bytes=board.flash_bytes,
        macs=report.model_macs(model.graph),
        is_hybrid=model.file.metadata is not None,
        macs_executed=sum(row.macs for row in made.layers),
        arena_bytes=made.footprint.arena_bytes,
        arena_lower_bound_bytes=made.plan.lower_bound_bytes,
        ram_limit=engine.ram_limit,
        aot=made.facts.aot,
        tflm_library_sha256=made.facts.tflm_library_sha256,
        routers=made.facts.routers,
        layers=made.layers,
        notes=(*_unused_cores(board), *made.graph.notes),
        known_answers_by=answers.by,
        known_answers_reason=answers.reason,
    )


def tflm_tree_of(root: Path | None, library: Path | None) -> TflmTree | None:
    """Both or neither of the options; raises InputError for one alone."""
    if root is None and library is None:
        return None
    if root is None or library is None:
        raise InputError("--tflm-root and --tflm-lib belong together", "give both")
    return TflmTree(root, library)
