"""report: one self-contained HTML page from the folders that the other steps wrote.

Which folders belong together is decided in report_join.py; here their contents become the page's
data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid import __version__, json_text, manifest, mechanisms
from mcu_hybrid.board.load import Board, list_boards, load_board
from mcu_hybrid.errors import BoardError, ManifestError
from mcu_hybrid.report import answers, html
from mcu_hybrid.report.html import ReportData
from mcu_hybrid.routing.cascade import of_route
from mcu_hybrid.routing.outcomes import Outcomes, load_outcomes
from mcu_hybrid.steps.report_join import Part, find, join, read
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
    views = [_part(part, board_dirs) for part in parts]
    _tell_apart(parts, views)
    data: ReportData = {"parts": views} if len(views) > 1 else views[0]
    if len(views) > 1:
        data["subtitle"] = _several(parts)
    else:
        data.pop("title", None)
    if title:
        data["title"] = title
    if commands:
        views[0].setdefault("provenance", {})["commands"] = list(commands)
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


def _tell_apart(parts: Sequence[Part], views: Sequence[ReportData]) -> None:
    """Two measurements of one build have one title: the folders' names tell which is which."""
    titles = [view["title"] for view in views]
    for part, view in zip(parts, views, strict=True):
        if titles.count(view["title"]) > 1:
            names = ", ".join(found.folder.name for found in part.steps.values())
            view["title"] += f" · {names}"


def _sources(parts: Sequence[Part]) -> dict[str, Path]:
    """Step -> folder; where there are several of a step the folder's name tells them apart."""
    folders = [(step, f.folder) for part in parts for step, f in part.steps.items()]
    steps = [step for step, _ in folders]
    return {
        step if steps.count(step) == 1 else f"{step} {folder}": folder for step, folder in folders
    }


def _part(part: Part, board_dirs: Sequence[Path]) -> ReportData:
    """The page's data of one build."""
    data: ReportData = {"notes": []}
    board = _board(part.board, board_dirs)
    if part.board:
        data["board"] = _board_facts(part.board, board)
    data["title"], data["subtitle"] = _heading(part, board)
    if "export" in part.steps:
        _add_export(data, part.steps["export"].folder)
    if "build" in part.steps:
        _add_build(data, part)
    if "bench" in part.steps:
        data["bench"] = part.steps["bench"].result
    if "build" in part.steps or "bench" in part.steps:
        data["capacity"] = _capacity(board, board_dirs)
    if "run" in part.steps:
        data["routing"] = _routing(part)
    if "tune" in part.steps:
        data["tuned"] = part.steps["tune"].result
    data["provenance"] = _provenance(part, board)
    data["notes"] += part.notes
    return data


def _board(name: str, board_dirs: Sequence[Path]) -> Board | None:
    """The board, or None where its file is not there (any more)."""
    try:
        return load_board(name, board_dirs) if name else None
    except BoardError:
        return None


def _board_facts(name: str, board: Board | None) -> html.BoardFacts:
    if board is None:
        return {"name": name, "title": name, "is_known": False}
    return {
        "name": name,
        "title": board.title,
        "is_known": True,
        "is_virtual": board.is_virtual,
        "is_host": board.is_host,
    }


def _heading(part: Part, board: Board | None) -> tuple[str, str]:
    """The part's title and what stands below it: model, board, build id, folders."""
    name = part.steps["build"].facts["model"] if "build" in part.steps else ""
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


def _add_export(data: ReportData, folder: Path) -> None:
    path = folder / "agreement.json"
    found = _json(path) if path.is_file() else {}
    if not found.get("layers"):
        return
    data["quantisation"] = {
        "int8_accuracy": found["accuracy_int8"],
        "samples": found["images"],
        "layers": [row for row in found["layers"] if row["sqnr_db"] is not None],
        "first_hurt": found["first_that_hurts"],
        "threshold_db": found["hurts_below_db"],
    }
    if found.get("losses"):
        data["quantisation"]["losses"] = found["losses"]
    if found["accuracy_float"] is not None:
        data["quantisation"]["float_accuracy"] = found["accuracy_float"]


def _add_build(data: ReportData, part: Part) -> None:
    build = part.steps["build"]
    facts = build.facts
    data["built"] = facts
    data["plan"] = _json(build.folder / "plan.json")
    data["schedules"] = facts.get("front", [])
    data["requantise_forms"] = facts.get("requantise_forms", {})  # aot only
    data["notes"] += list(facts["notes"])


def _capacity(board: Board | None, board_dirs: Sequence[Path]) -> list[html.BoardMemory]:
    """The part's own board first, then the real ones."""
    own = [_memory(board)] if board is not None and not board.is_host else []
    name = board.name if board is not None else ""
    real = [b for b in list_boards(board_dirs) if not b.is_virtual and b.name != name]
    return own + [_memory(b) for b in real]


def _memory(board: Board) -> html.BoardMemory:
    return {
        "name": board.name,
        "flash_bytes": board.flash_bytes,
        "ram_bytes": board.ram_bytes,
    }


def _routing(part: Part) -> html.Routing:
    """The run's result, and what its answers tell image by image."""
    run = part.steps["run"]
    routing: html.Routing = run.result.copy()  # type: ignore[assignment]
    if _OUTCOMES not in run.manifest.files:
        return routing
    outcomes = load_outcomes(run.folder / _OUTCOMES)
    export = part.steps.get("export")
    labels = run.result.get("labels") or (export.facts.get("labels") if export else None) or ()
    said = answers.Answers(
        outcomes,
        _kept(outcomes, run.result.get("deployed") or {}, run.folder),
        tuple(str(label) for label in labels),
    )
    routing["operating"] = _operating(said, run.result)
    routing["confusion"] = answers.confusion(said)
    if PICTURES in run.manifest.files:
        index, images = load_pictures(run.folder / PICTURES)
        routing["pictures"] = answers.pictures(said, index, images)
    return routing


def _kept(outcomes: Outcomes, deployed: dict[str, Any], folder: Path) -> np.ndarray:
    """Which images the deployed route keeps; all without a router."""
    number = deployed.get("router", mechanisms.NONE_ID)
    cascade = of_route(number, deployed.get("threshold", 0))
    for rule in cascade.rules:
        if rule.mechanism not in outcomes.scores:
            raise ManifestError(
                f"ran with router {rule.mechanism}, whose scores {_OUTCOMES} does not have",
                "run again: mcu-hybrid run",
                path=folder,
            )
    return np.asarray(outcomes.stages(cascade) == 0)


def _operating(said: answers.Answers, run: dict[str, Any]) -> dict[str, Any]:
    """Where on the curve the firmware stands, on the test split."""
    deployed = run.get("deployed") or {}
    number = deployed.get("router", mechanisms.NONE_ID)
    coverage = float(said.kept.mean())
    edge_ms, query_ms = run.get("edge_ms"), run.get("query_ms")
    known = edge_ms is not None and query_ms is not None
    return {
        "router": mechanisms.router_name(number),
        "threshold": None if number == mechanisms.NONE_ID else deployed.get("threshold"),
        "coverage": coverage,
        "accuracy": float((said.hybrid == said.outcomes.truth).mean()),
        "latency_ms": edge_ms + (1 - coverage) * query_ms if known else None,  # type: ignore[operator]
    }


def _provenance(part: Part, board: Board | None) -> html.Provenance:
    found: html.Provenance = {
        "tool_version": __version__,
        "steps": [
            {"step": step, "folder": f.folder.name, "sha256": f.digest}
            for step, f in part.steps.items()
        ],
        "commands": [],
    }
    if part.board:
        core = f" ({board.core.name})" if board else ""
        found["board"] = f"{part.board}{core}"
    if part.build_id:
        found["build_id"] = part.build_id
    facts = {"model sha256": part.model} if part.model else {}
    if "build" in part.steps:
        facts = {"engine": part.steps["build"].facts["engine"]} | facts
    found["facts"] = facts
    return found


def _json(path: Path) -> Any:
    try:
        return json_text.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"cannot be read ({error})", "run the step again", path=path) from error
