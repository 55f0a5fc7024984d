"""build: an int8 .tflite to firmware for a board. Reads an export folder or a .tflite file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_hybrid import manifest
from mcu_hybrid.board import Board, list_boards, load_board
from mcu_hybrid.codegen import report
from mcu_hybrid.codegen import tflm as codegen_tflm
from mcu_hybrid.codegen.emit import emit
from mcu_hybrid.codegen.lowering import (
    REFERENCE,
    Lowered,
    kernel_stems,
    lower_graph,
    requantise_forms,
)
from mcu_hybrid.codegen.passes import run_passes
from mcu_hybrid.codegen.plan import MemoryPlan, plan
from mcu_hybrid.codegen.read_tflite import ModelFile, read_tflite
from mcu_hybrid.codegen.tflm_networks import split
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.firmware import build as compiler
from mcu_hybrid.firmware.fit import check_elf, fit_gate
from mcu_hybrid.firmware.render import render_project
from mcu_hybrid.firmware.tflm import build_tflm
from mcu_hybrid.firmware.tflm_tree import open_tflm
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.image import FirmwareImage, read_image
from mcu_hybrid.process import Tools

OnEvent = Callable[[str, int, int], None]
MODEL = "model.tflite"
PLAN = "plan.json"
Layers = list[dict[str, Any]]


@dataclass(frozen=True)
class Model:
    """A .tflite read, its passes run, its memory planned."""

    data: bytes
    file: ModelFile
    graph: Graph
    lowered: Lowered
    plan: MemoryPlan


@dataclass(frozen=True)
class Build:
    """A build folder: firmware for a board, and the model that it runs."""

    folder: Path
    board: Board
    model: Model
    image: FirmwareImage
    facts: dict[str, Any]


@dataclass(frozen=True)
class TflmTree:
    """The user's TensorFlow Lite Micro: checkout and static library."""

    root: Path
    library: Path


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


def read_model(path: Path, kernel_dirs: Sequence[str] = REFERENCE) -> Model:
    """Read and plan a .tflite; raises ModelError or UnsupportedOp naming the layer."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", path=path) from error
    try:
        file = read_tflite(data, path.name)
        graph = run_passes(file.graph, file.metadata)
        lowered = lower_graph(graph, kernel_dirs)
        return Model(data, file, graph, lowered, plan(graph, lowered))
    except ModelError as error:
        error.path = error.path or path
        raise


def build_step(
    source: Path,
    board: Board,
    out: Path,
    *,
    engine: str = "aot",
    tflm: TflmTree | None = None,
    tools: Tools | None = None,
    board_dirs: Sequence[Path] = (),
    on_event: OnEvent | None = None,
) -> Build:
    """Write firmware for ``board`` into the folder ``out``.

    Raises:
        ModelError: the model is not what the engine runs.
        CapacityError: it does not fit, found before compiling (or by the linker).
        MissingTool: no compiler.
    """
    path = model_path(source)
    model = read_model(path, board.core.kernel_dirs)
    others = list_boards(board_dirs)
    with manifest.writing(out, "build") as draft:
        draft.sources["model"] = source
        if engine == "tflm":
            made = _build_tflm(model, board, draft.folder, tflm, tools or Tools(), others, on_event)
        else:
            made = _build_aot(model, board, draft.folder, tools or Tools(), others, on_event)
        image, layers = made
        shutil.copyfile(path, draft.folder / MODEL)
        plan_text = json.dumps(report.plan_json(model.graph, model.plan, model.lowered), indent=1)
        (draft.folder / PLAN).write_text(plan_text + "\n")
        draft.facts.update(_facts(path, model, board, image, engine) | {"layers": layers})
        if engine == "tflm":
            draft.facts["arena_bytes"] = codegen_tflm.footprint(model.data, model.graph).arena_bytes
    return open_build(out, board_dirs)


def open_build(folder: Path, board_dirs: Sequence[Path] = ()) -> Build:
    """Open a build folder; raises ManifestError where it is stale."""
    facts = dict(manifest.load(folder, "build").facts)
    board = load_board(facts["board"], board_dirs)
    model = read_model(folder / MODEL, board.core.kernel_dirs)
    image = read_image(folder / "firmware.elf", folder / "firmware.map", facts["build_id"])
    return Build(folder, board, model, image, facts)


def _build_aot(
    model: Model,
    board: Board,
    folder: Path,
    tools: Tools,
    others: Sequence[Board],
    on_event: OnEvent | None,
) -> tuple[FirmwareImage, Layers]:
    need = report.footprint(model.graph, model.plan, model.lowered)
    fit_gate(board, need, others)
    digest = bytes.fromhex(model.file.sha256)
    files = emit(
        model.graph,
        model.plan,
        digest=digest,
        metadata=model.file.metadata,
        lowered=model.lowered,
    )
    stems = kernel_stems(model.lowered)
    project = render_project(folder, board, files, kernels=stems)
    image = compiler.build(project, board, tools, on_event=on_event)
    check_elf(image, need, board)
    return image, report.layer_rows(model.graph, model.lowered)


def _build_tflm(
    model: Model,
    board: Board,
    folder: Path,
    tflm: TflmTree | None,
    tools: Tools,
    others: Sequence[Board],
    on_event: OnEvent | None,
) -> tuple[FirmwareImage, Layers]:
    if tflm is None:
        raise InputError(
            "the engine tflm links your own TensorFlow Lite Micro",
            "give --tflm-root DIR and --tflm-lib libtensorflow-microlite.a (see docs/tflm.md)",
        )
    tree = open_tflm(tflm.root, tflm.library, board)
    tree.require(split(model.graph).kinds)
    need = codegen_tflm.footprint(model.data, model.graph)
    fit_gate(board, need, others)
    files = codegen_tflm.emit_tflm(
        model.data, model.graph, metadata=model.file.metadata, library=tree.describe()
    )
    project = render_project(folder, board, files, kernels=need.kernels, engine="tflm")
    image = build_tflm(project, board, tree, tools, on_event=on_event)
    check_elf(image, need, board)
    return image, codegen_tflm.layer_rows(model.graph)


def _facts(
    path: Path, model: Model, board: Board, image: FirmwareImage, engine: str
) -> dict[str, Any]:
    return {
        "model": path.name,
        "model_sha256": model.file.sha256,
        "board": board.name,
        "core": board.core.name,
        "engine": engine,
        "build_id": image.build_id,
        "arena_bytes": model.plan.arena_bytes,
        "arena_lower_bound_bytes": model.plan.lower_bound_bytes,
        "static_ram_bytes": image.ram_used,
        "stack_bytes": image.stack_bytes,
        "code_bytes": image.code_bytes,
        "weights_bytes": image.weights_bytes,
        "flash_bytes": image.flash_used,
        "ram_capacity_bytes": board.ram_bytes,
        "flash_capacity_bytes": board.flash_bytes,
        "macs": sum(row["macs"] for row in report.layer_rows(model.graph)),
        "requantise_forms": requantise_forms(model.lowered),
        "notes": list(model.graph.notes),
        "is_hybrid": model.file.metadata is not None,
    }


def tflm_tree_of(root: Path | None, library: Path | None) -> TflmTree | None:
    """Both or neither of the options; raises InputError for one alone."""
    if root is None and library is None:
        return None
    if root is None or library is None:
        raise InputError("--tflm-root and --tflm-lib belong together", "give both")
    return TflmTree(root, library)
