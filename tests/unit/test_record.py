"""Committed results have one form, say what they rest on, and are read back as written."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcu_hybrid.artifacts import record
from mcu_hybrid.artifacts.record import Record, Row
from mcu_hybrid.errors import InputError

COMMITTED = (
    "docs/device.json",
    "benchmarks/baseline.json",
    "experiments/results/hybrid_reduced.json",
)


def test_every_committed_result_says_what_it_rests_on(root: Path) -> None:
    for name in COMMITTED:
        found = record.read(root / name)
        assert found.command.startswith("python -m ") and found.commit and found.rows, name
        assert {"compiler", "emulator", "processor", "python"} <= set(found.machine), name
        ids = [row.id for row in found.rows]
        assert len(ids) == len(set(ids)), name
        for row in found.rows:
            assert (row.met is None) == (row.must is None and row.aim is None), row.id


def test_written_and_read_back(tmp_path: Path) -> None:
    rows = (Row("a", {"x": [1, 2.5]}, must=3, met=True), Row("b", 1.0, error=0.5))
    made = Record("python -m x", "abc", {"compiler": "gcc"}, (0, 1), rows)
    (tmp_path / "r.json").write_text(made.text())
    assert record.read(tmp_path / "r.json") == made
    assert len(made.text().splitlines()) == 15  # a row a line: a change shows its row


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{"id": 1}]}', '{"rows": 3}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match="no file of results"):
        record.read(tmp_path / "r.json")


def test_the_machine_has_no_name_and_no_path() -> None:
    assert "/" not in str(record.machine()).replace(" (", "")
