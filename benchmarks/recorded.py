"""Files of the device benchmark: what was counted, the baseline, peers' figures, goals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcu_hybrid.artifacts.record import Record, Row, commit, machine, read

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MODELS = ROOT.parent / "shared" / "models"
COUNTED = ROOT / "docs" / "device.json"
BASELINE = HERE / "baseline.json"
Rows = Mapping[str, Mapping[str, Any]]


def values(path: Path) -> dict[str, dict[str, Any]]:
    """The rows' values by id; raises InputError where the file is no record."""
    return {row.id: dict(row.value) for row in read(path).rows}  # type: ignore[call-overload]


def write(path: Path, command: str, rows: Rows, targets: Mapping[str, Any] | None = None) -> None:
    """Write a record of ``rows``; a model's goal (``targets``) is its aim."""
    made = tuple(_row(key, row, targets or {}) for key, row in rows.items())
    path.write_text(Record(command, commit(ROOT), machine(), (), made).text(), "utf-8")


def _row(key: str, row: Mapping[str, Any], targets: Mapping[str, Any]) -> Row:
    goal = targets.get(row.get("core", ""), {}).get(key.partition("@")[0], {}).get("instructions")
    met = None if goal is None else row["instructions"] <= goal
    return Row(key, row, error=0, aim=goal, met=met)


def peers() -> dict[str, Any]:
    """The peers' figures, with their source."""
    found: dict[str, Any] = json.loads((HERE / "peers.json").read_text("utf-8"))
    return found


def targets() -> dict[str, Any]:
    """The goals, with their reason."""
    found: dict[str, Any] = json.loads((HERE / "targets.json").read_text("utf-8"))
    return found
