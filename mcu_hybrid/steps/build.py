"""build: an int8 .tflite to firmware for a board. Reads an export folder or a .tflite file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_hybrid import manifest
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.build import BuildFacts, Estimate, LayerRow
from mcu_hybrid.artifacts.codec import to_json
from mcu_hybrid.artifacts.tune import TuneFacts
from mcu_hybrid.board.load import Board, list_boards, load_board
from mcu_hybrid.compiler import report
from mcu_hybrid.compiler.emit.model import emit
from mcu_hybrid.compiler.passes import run_passes
from mcu_hybrid.compiler.program import program_of
from mcu_hybrid.compiler.read.tflite import fix_input_shapes, read_tflite
from mcu_hybrid.compiler.router_cost import network_costs, router_costs
from mcu_hybrid.engines.aot import EngineOptions, Model, TflmTree, compile_model
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.firmware import build as compiler
from mcu_hybrid.firmware.fit import check_elf, check_limit, fit_gate
from mcu_hybrid.firmware.render import render_project
from mcu_hybrid.image.firmware import FirmwareImage, Footprint, read_image
from mcu_hybrid.machines import price
from mcu_hybrid.process import Tools
from mcu_hybrid.steps.answers import make_answers
from mcu_hybrid.steps.engine import DEFAULT_ENGINE, require_consistent
from mcu_hybrid.tflm import generate
from mcu_hybrid.tflm.build import build_tflm
from mcu_hybrid.tflm.networks import split
from mcu_hybrid.tflm.tree import open_tflm

MODEL = "model.tflite"
InputShapes = Sequence[tuple[str, tuple[int, ...]]]
PLAN = "plan.json"
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
    model = read_model(path, engine.input_shapes)
    origin = model.file.sha256
    if tuned is not None:
        model = _with_route(model, tuned, path)
    work = _Work(model, board, engine, tools or Tools(), list_boards(board_dirs), on_event)
    _require_edges_fit(work)
    with manifest.writing(out, "build") as draft:
        draft.sources["model"] = source
        if tuned is not None:
            # Not a source: a later tune may replace that folder, and its firmware stays as it is.
            draft.facts["untuned_sha256"] = origin
        make = _build_tflm if engine.name == "tflm" else _build_aot
        image, plan_json, facts = make(work, draft.folder)
        (draft.folder / MODEL).write_bytes(model.data)
        (draft.folder / PLAN).write_text(json.dumps(plan_json, indent=1) + "\n")
        executed = sum(row["macs"] for row in facts["layers"])
        draft.facts.update(_facts(path, work, image) | {"macs_executed": executed} | facts)
    return open_build(out, board_dirs)


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


@dataclass(frozen=True)
class _Work:
    """What a build is made of."""

    model: Model
    board: Board
    engine: EngineOptions
    tools: Tools
    others: Sequence[Board]
    on_event: OnEvent | None


def _require_edges_fit(work: _Work) -> None:
    """Refuse, before any pass or search, inputs and outputs that alone do not fit the board.

    Whatever the schedule, they lie in the arena as a whole, all inputs or all outputs at a time.
    Small ones are searched first: the message then names the layer.
    """
    graph = work.model.graph
    inputs = [graph.tensor(t) for t in graph.inputs]
    outputs = [graph.tensor(t) for t in graph.outputs]
    side = max((inputs, outputs), key=lambda tensors: sum(t.bytes for t in tensors))
    what = "input" if side is inputs else "output"
    rows = sorted(((t.bytes, "x".join(map(str, t.shape))) for t in side), reverse=True)
    largest = tuple(f"{what} {shape} {size:,} B" for size, shape in rows[:3])
    total = sum(size for size, _ in rows)
    if total > _SEARCHED_BYTES:
        fit_gate(work.board, Footprint(total, 0, 0, (), largest), work.others)


_Made = tuple[FirmwareImage, dict[str, Any], dict[str, Any]]


def _build_aot(work: _Work, folder: Path) -> _Made:
    """The image, the plan for the report, and the facts of our own engine."""
    if work.on_event:
        work.on_event("choose kernels", 0, 1)
    made = compile_model(work.model, work.board, work.engine, work.on_event)
    program = made.program
    need = report.footprint(program)
    fit_gate(work.board, need, work.others)
    answers = make_answers(work.model, program.graph, work.on_event)
    files = emit(
        program,
        digest=bytes.fromhex(work.model.file.sha256),
        metadata=work.model.file.metadata,
        answers=answers.values,
    )
    project = render_project(folder, work.board, files, kernels=program.kernel_stems)
    image = compiler.build(project, work.board, work.tools, on_event=work.on_event)
    check_elf(image, need, work.board)
    check_limit(image, work.engine.ram_limit)
    layers = report.layer_rows(program)
    facts = {
        "arena_bytes": program.plan.arena_bytes,
        "arena_lower_bound_bytes": program.plan.lower_bound_bytes,
        "arena_is_optimal": program.plan.is_optimal,
        "kernels": work.engine.kernels,
        "fold_dead": work.engine.fold_dead,
        "optimize": work.engine.optimize,
        "ram_limit": work.engine.ram_limit,
        "code_budget": work.engine.code_budget,
        **made.facts(),
        "requantise_forms": program.requantise_forms,
        **_predicted(work, program.predicted, layers),
        "routers": router_costs(program),
        "layers": layers,
        "notes": list(program.graph.notes),
        **answers.facts(),
    }
    return image, report.plan_json(program), facts


def _predicted(
    work: _Work, counts: list[int | None], layers: list[dict[str, Any]]
) -> dict[str, Any]:
    """What the cost model says of each layer and of all; None where it does not know a layer."""
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return {"predicted_instructions": counts, "estimate": None}
    code = price.code_of("aot", work.engine.kernels)
    parts = price.parts_of([LayerRow(**row) for row in layers], counts, sum(known))
    said = price.estimate(work.board, parts, code).said()
    return {
        "predicted_instructions": counts,
        "estimate": to_json(Estimate(instructions=sum(known), time=said)),
    }


def _build_tflm(work: _Work, folder: Path) -> _Made:
    """Likewise with the user's TFLM; the plan shown is TFLM's own, one box."""
    tflm, model = work.engine.tflm, work.model
    if tflm is None:
        raise InputError(
            "the engine tflm links your own TensorFlow Lite Micro",
            "give --tflm-root DIR and --tflm-lib libtensorflow-microlite.a (see docs/tflm.md)",
        )
    tree = open_tflm(tflm.root, tflm.library, work.board)
    tree.require(split(model.graph).kinds)
    need = generate.footprint(model.data, model.graph)
    fit_gate(work.board, need, work.others)
    answers = make_answers(model, model.graph, work.on_event)
    files = generate.emit_tflm(
        model.data,
        model.graph,
        metadata=model.file.metadata,
        answers=answers.values,
        library=tree.describe(),
    )
    project = render_project(folder, work.board, files, kernels=need.kernels, engine="tflm")
    image = build_tflm(project, work.board, tree, work.tools, on_event=work.on_event)
    check_elf(image, need, work.board)
    check_limit(image, work.engine.ram_limit)
    layers = generate.layer_rows(model.graph)
    ours = program_of(model.graph)
    facts = {
        "arena_bytes": need.arena_bytes,
        "ram_limit": work.engine.ram_limit,
        "tflm_library_sha256": tree.sha256,
        "arena_lower_bound_bytes": ours.plan.lower_bound_bytes,
        "layers": layers,
        "routers": network_costs(model.graph, split(model.graph).layers),
        "notes": list(model.graph.notes),
        **answers.facts(),
    }
    return image, report.plan_json(ours), facts


def _facts(path: Path, work: _Work, image: FirmwareImage) -> dict[str, Any]:
    board = work.board
    return {
        "model": path.name,
        "model_sha256": work.model.file.sha256,
        "board": board.name,
        "core": board.core.name,
        "engine": work.engine.name,
        "build_id": image.build_id,
        "static_ram_bytes": image.ram_used,
        "stack_bytes": image.stack_bytes,
        "code_bytes": image.code_bytes,
        "weights_bytes": image.weights_bytes,
        "flash_bytes": image.flash_used,
        "ram_capacity_bytes": board.ram_bytes,
        "flash_capacity_bytes": board.flash_bytes,
        "macs": report.model_macs(work.model.graph),
        "is_hybrid": work.model.file.metadata is not None,
    }


def tflm_tree_of(root: Path | None, library: Path | None) -> TflmTree | None:
    """Both or neither of the options; raises InputError for one alone."""
    if root is None and library is None:
        return None
    if root is None or library is None:
        raise InputError("--tflm-root and --tflm-lib belong together", "give both")
    return TflmTree(root, library)
