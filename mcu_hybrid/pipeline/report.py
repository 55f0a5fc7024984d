"""report: one self-contained HTML page from the folders that the other steps wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_hybrid import __version__, manifest
from mcu_hybrid.board import Board, list_boards, load_board
from mcu_hybrid.errors import ManifestError
from mcu_hybrid.report import html
from mcu_hybrid.report.html import ReportData

PAGE = "report.html"
_STEPS = ("export", "build", "bench", "run", "tune")


@dataclass(frozen=True)
class Folders:
    """What the report is made from; any may be missing, but not all."""

    export: Path | None = None
    build: Path | None = None
    bench: Path | None = None
    run: Path | None = None
    tune: Path | None = None

    def given(self) -> dict[str, Path]:
        """Step -> folder, of those that are there, in the order of the steps."""
        all_of = {step: getattr(self, step) for step in _STEPS}
        return {step: path for step, path in all_of.items() if path is not None}


def find(root: Path) -> Folders:
    """The steps' folders under ``root`` (as demo lays them out), or ``root`` as one of them."""
    found = {step: root / step for step in _STEPS if (root / step / manifest.NAME).is_file()}
    if not found and (root / manifest.NAME).is_file():
        step = manifest.read(root).step
        found = {step: root} if step in _STEPS else {}
    if not found:
        raise ManifestError(
            "holds no folder of a step",
            f"give the folder above {', '.join(_STEPS)}",
            path=root,
        )
    return Folders(**found)


def report_step(
    folders: Folders,
    out: Path,
    *,
    title: str = "",
    commands: Sequence[str] = (),
    board_dirs: Sequence[Path] = (),
) -> Path:
    """Write the page into the folder ``out``; returns its path. ManifestError for stale folders."""
    data: ReportData = {"notes": []}
    if title:
        data["title"] = title
    facts = {step: manifest.load(path, step).facts for step, path in folders.given().items()}
    if folders.export:
        _add_export(data, folders.export)
    if folders.build:
        data["plan"] = _json(folders.build / "plan.json")
        data["schedules"] = facts["build"].get("front", [])
        data["requantise_forms"] = facts["build"].get("requantise_forms", {})  # aot only
        board = load_board(facts["build"]["board"], board_dirs)
        data["subtitle"] = f"{facts['build']['model']} on {board.title}"
        data["capacity"] = [_memory(board)] if not board.is_host else []
        data["capacity"] += [
            _memory(b) for b in list_boards(board_dirs) if not b.is_virtual and b.name != board.name
        ]
        data["notes"] += list(facts["build"]["notes"])
    if folders.bench:
        data["bench"] = _json(folders.bench / "bench.json")
    if folders.run:
        data["routing"] = _json(folders.run / "run.json")
    if folders.tune:
        data["tuned"] = _json(folders.tune / "tune.json")
    data["provenance"] = _provenance(folders, facts, commands)
    with manifest.writing(out, "report") as draft:
        draft.sources.update(folders.given())
        html.write(data, draft.folder / PAGE)
    return out / PAGE


def _memory(board: Board) -> html.BoardMemory:
    return {
        "name": board.name,
        "flash_bytes": board.flash_bytes,
        "ram_bytes": board.ram_bytes,
    }


def _add_export(data: ReportData, folder: Path) -> None:
    found = _json(folder / "agreement.json")
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


def _provenance(
    folders: Folders, facts: dict[str, Any], commands: Sequence[str]
) -> html.Provenance:
    found: html.Provenance = {
        "tool_version": __version__,
        "steps": [
            {
                "step": step,
                "folder": path.name,
                "sha256": manifest.sha256_file(path / manifest.NAME),
            }
            for step, path in folders.given().items()
        ],
        "commands": list(commands),
    }
    if "build" in facts:
        build = facts["build"]
        found["board"] = f"{build['board']} ({build['core']})"
        found["build_id"] = build["build_id"]
        found["facts"] = {"engine": build["engine"], "model sha256": build["model_sha256"]}
    return found


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
