"""report: one self-contained HTML page from the folders that the other steps wrote.

Which folders belong together is decided in report_join.py; here their contents become the page's
data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mcu_hybrid import __version__, manifest, mechanisms
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.artifacts.build import BuildFacts, Plan
from mcu_hybrid.artifacts.export import Agreement
from mcu_hybrid.artifacts.run import RunResult
from mcu_hybrid.artifacts.table import Deployed
from mcu_hybrid.board.load import Board, list_boards, load_board
from mcu_hybrid.errors import BoardError, ManifestError
from mcu_hybrid.report import answers, html
from mcu_hybrid.report.data import (
    BoardFacts,
    BoardMemory,
    Operating,
    Provenance,
    Quantisation,
    Report,
    ReportPart,
    Routing,
    StepOf,
    routing_of,
)
from mcu_hybrid.routing.cascade import of_route
from mcu_hybrid.routing.outcomes import Outcomes, load_outcomes
from mcu_hybrid.steps.report_join import Exported, Part, Tuned, find, join, read
from mcu_hybrid.steps.run_pictures import PICTURES, load_pictures

PAGE = "report.html"
_OUTCOMES = "results.npz"


def report_step(
    roots: Path | Sequence[Path],
    out: Path,
    *,
    title: str = "",
    commands: Sequence[str] = (),
    board_dirs: Sequence[Path] = (),
) -> Path:
    """Write the page into the folder ``out``; returns its path.

    Args:
        roots: folders of steps, or folders that hold them.

    Raises:
        ManifestError: there are none, or one of them is stale.
    """
    folders = find([roots] if isinstance(roots, Path) else list(roots))
    parts = join(read(folder) for folder in folders)
    views = _told_apart(parts, [_part(part, board_dirs) for part in parts])
    if commands:
        provenance = replace(views[0].provenance or Provenance(), commands=tuple(commands))
        views[0] = replace(views[0], provenance=provenance)
    if len(views) > 1:
        data = Report(title=title, subtitle=_several(parts), parts=tuple(views))
    else:
        alone = replace(views[0], title=title)  # one build needs no heading of its own
        data = Report(title=title, subtitle=alone.subtitle, parts=(alone,))
    with manifest.writing(out, "report") as draft:
        draft.sources.update(_sources(parts))
        html.write(data, draft.folder / PAGE)
    return out / PAGE


def _several(parts: Sequence[Part]) -> str:
    builds = {part.build_id for part in parts if part.build_id}
    models = {part.model for part in parts if part.model}
    return (
        f"{len(builds)} build{'s' * (len(builds) != 1)} of {len(models)} "
        f"model{'s' * (len(models) != 1)}: nothing of one stands under the heading of another"
    )


def _told_apart(parts: Sequence[Part], views: Sequence[ReportPart]) -> list[ReportPart]:
    """Two measurements of one build have one title: the folders' names tell which is which."""
    titles = [view.title for view in views]
    told = []
    for part, view in zip(parts, views, strict=True):
        names = ", ".join(found.folder.name for found in part.steps.values())
        is_alone = titles.count(view.title) == 1
        told.append(view if is_alone else replace(view, title=f"{view.title} · {names}"))
    return told


def _sources(parts: Sequence[Part]) -> dict[str, Path]:
    """Step -> folder; where there are several of a step the folder's name tells them apart."""
    folders = [(step, f.folder) for part in parts for step, f in part.steps.items()]
    steps = [step for step, _ in folders]
    return {
        step if steps.count(step) == 1 else f"{step} {folder}": folder for step, folder in folders
    }


def _part(part: Part, board_dirs: Sequence[Path]) -> ReportPart:
    """The page's data of one build."""
    board = _board(part.board, board_dirs)
    built, bench = part.content(BuildFacts), part.content(BenchResult)
    tuned = part.content(Tuned)
    title, subtitle = _heading(part, board)
    return ReportPart(
        title=title,
        subtitle=subtitle,
        board=_board_facts(part.board, board) if part.board else None,
        quantisation=_quantisation(part),
        built=built,
        plan=store.result(Plan, part.steps["build"].folder) if built else None,
        schedules=built.aot.front if built and built.aot else (),
        requantise_forms=built.aot.requantise_forms if built and built.aot else {},
        bench=bench,
        capacity=_capacity(board, board_dirs) if built or bench else (),
        routing=_routing(part),
        tuned=tuned.result if tuned else None,
        provenance=_provenance(part, board),
        notes=(*(built.notes if built else ()), *part.notes),
    )


def _board(name: str, board_dirs: Sequence[Path]) -> Board | None:
    """The board, or None where its file is not there (any more)."""
    try:
        return load_board(name, board_dirs) if name else None
    except BoardError:
        return None


def _board_facts(name: str, board: Board | None) -> BoardFacts:
    if board is None:
        return BoardFacts(name=name, title=name)
    return BoardFacts(
        name=name,
        title=board.title,
        is_known=True,
        is_virtual=board.is_virtual,
        is_host=board.is_host,
    )


def _heading(part: Part, board: Board | None) -> tuple[str, str]:
    """The part's title and what stands below it: model, board, build id, folders."""
    built = part.content(BuildFacts)
    name = built.model if built else ""
    model = name or (f"model {part.model[:12]}" if part.model else "model unknown")
    folders = ", ".join(f.folder.name for f in part.steps.values())
    if not part.build_id:
        step, first = next(iter(part.steps.items()))
        return f"{first.folder.name} ({step}), no firmware", f"{model}; from {folders}"
    title = board.title if board else part.board
    digest = f" (sha256 {part.model[:12]})" if name and part.model else ""
    return (
        f"{title} · build {part.build_id[:8]}",
        f"{model}{digest} on {title} ({part.board}), build {part.build_id[:8]}; from {folders}",
    )


def _quantisation(part: Part) -> Quantisation | None:
    export = part.steps.get("export")
    if export is None or not (export.folder / Agreement.file).is_file():
        return None
    found = store.result(Agreement, export.folder)
    if not found.layers or found.compared is None:
        return None
    return Quantisation(
        float_accuracy=found.compared.accuracy_float,
        int8_accuracy=found.compared.accuracy_int8,
        samples=found.compared.images,
        layers=tuple(row for row in found.layers if row.sqnr_db is not None),
        first_hurt=found.compared.first_that_hurts,
        threshold_db=found.compared.hurts_below_db,
        losses=found.losses,
    )


def _capacity(board: Board | None, board_dirs: Sequence[Path]) -> tuple[BoardMemory, ...]:
    """The part's own board first, then the real ones."""
    own = [_memory(board)] if board is not None and not board.is_host else []
    name = board.name if board is not None else ""
    real = [b for b in list_boards(board_dirs) if not b.is_virtual and b.name != name]
    return (*own, *map(_memory, real))


def _memory(board: Board) -> BoardMemory:
    return BoardMemory(name=board.name, flash_bytes=board.flash_bytes, ram_bytes=board.ram_bytes)


def _routing(part: Part) -> Routing | None:
    """The run's result, and what its answers tell image by image."""
    result = part.content(RunResult)
    if result is None:
        return None
    run, routing = part.steps["run"], routing_of(result)
    if _OUTCOMES not in run.manifest.files:
        return routing
    outcomes = load_outcomes(run.folder / _OUTCOMES)
    export = part.content(Exported)
    labels = result.labels or (export.facts.labels if export else None) or ()
    said = answers.Answers(
        outcomes,
        _kept(outcomes, result.deployed, run.folder),
        labels,
    )
    routing = replace(
        routing, operating=_operating(said, result), confusion=answers.confusion(said)
    )
    if PICTURES not in run.manifest.files:
        return routing
    index, images = load_pictures(run.folder / PICTURES)
    return replace(routing, pictures=answers.pictures(said, index, images))


def _kept(outcomes: Outcomes, deployed: Deployed, folder: Path) -> np.ndarray:
    """Which images the deployed route keeps; all without a router."""
    cascade = of_route(deployed.router, deployed.threshold)
    for rule in cascade.rules:
        if rule.mechanism not in outcomes.scores:
            raise ManifestError(
                f"ran with router {rule.mechanism}, whose scores {_OUTCOMES} does not have",
                "run again: mcu-hybrid run",
                path=folder,
            )
    return np.asarray(outcomes.stages(cascade) == 0)


def _operating(said: answers.Answers, run: RunResult) -> Operating:
    """Where on the curve the firmware stands, on the test split."""
    deployed, coverage = run.deployed, float(said.kept.mean())
    edge_ms, query_ms = run.edge_ms, run.query_ms
    known = edge_ms is not None and query_ms is not None
    return Operating(
        router=mechanisms.router_name(deployed.router),
        threshold=None if deployed.router == mechanisms.NONE_ID else deployed.threshold,
        coverage=coverage,
        accuracy=float((said.hybrid == said.outcomes.truth).mean()),
        latency_ms=edge_ms + (1 - coverage) * query_ms if known else None,  # type: ignore[operator]
    )


def _provenance(part: Part, board: Board | None) -> Provenance:
    built = part.content(BuildFacts)
    core = f" ({board.core.name})" if board else ""
    facts = {"engine": built.engine} if built else {}
    return Provenance(
        tool_version=__version__,
        board=f"{part.board}{core}" if part.board else "",
        build_id=part.build_id,
        steps=tuple(
            StepOf(step=step, folder=f.folder.name, sha256=f.digest)
            for step, f in part.steps.items()
        ),
        facts=facts | ({"model sha256": part.model} if part.model else {}),
    )
