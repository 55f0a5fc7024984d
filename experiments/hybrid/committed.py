"""A comparison as a committed record, and back: points and conditions are rows of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcu_hybrid.artifacts.record import Record, Row, commit, machine, read

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "experiments" / "results" / "hybrid_reduced.json"
_POINT, _CONDITION = "point: ", "condition: "
_HEAD = ("seeds", "machine")
_TABLES = ("rows", "conditions")


def to_record(result: Mapping[str, Any], command: str) -> Record:
    """The record of a result; a condition that binds is a must, another an aim."""
    rows = [Row(key, value) for key, value in result.items() if key not in (*_HEAD, *_TABLES)]
    for row in result["rows"]:
        low, high = row["accuracy_ci"]
        name = f"{_POINT}{row['method']}, {row['coverage_target']:g} kept"
        rows.append(Row(name, row, error=(high - low) / 2))
    for row in result["conditions"]:
        bound = {"must" if row["binding"] else "aim": row["least"]}
        rows.append(Row(_CONDITION + row["what"], row["value"], met=row["met"], **bound))
    seen = machine() | dict(result["machine"])
    return Record(command, commit(ROOT), seen, tuple(result["seeds"]), tuple(rows))


def from_record(path: Path = RESULT) -> dict[str, Any]:
    """The result that a record was made from; raises InputError where it is none."""
    found = read(path)
    result: dict[str, Any] = {"rows": [], "conditions": []}
    for row in found.rows:
        if row.id.startswith(_POINT):
            result["rows"].append(row.value)
        elif row.id.startswith(_CONDITION):
            binding = row.must is not None
            result["conditions"].append(
                {
                    "what": row.id.removeprefix(_CONDITION),
                    "value": row.value,
                    "least": row.must if binding else row.aim,
                    "met": row.met,
                    "binding": binding,
                }
            )
        else:
            result[row.id] = row.value
    return result | {"seeds": list(found.seeds), "machine": dict(found.machine)}
