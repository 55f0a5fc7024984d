"""What README and docs say of time is what today's prices make of the committed counts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from benchmarks import device, device_table, readme, recorded
from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.artifacts.codec import plain_to
from mcu_hybrid.artifacts.run import RunResult
from mcu_hybrid.artifacts.table import Row
from mcu_hybrid.artifacts.times import Rests
from mcu_hybrid.board.load import load_board
from mcu_hybrid.machines import price
from tests.support.artefacts import example
from tests.support.report_sample import routing


@pytest.fixture
def counted() -> dict[str, dict[str, Any]]:
    return recorded.values(recorded.COUNTED)


def test_the_device_page_has_todays_estimates(
    root: Path, counted: dict[str, dict[str, Any]]
) -> None:
    for key, row in counted.items():
        assert device.reprice(json.loads(json.dumps(row))) == row, key
    page = (root / "docs" / "device.md").read_text("utf-8")
    assert device_table.cycles_markdown(counted, recorded.peers()) in page
    assert device_table.cycles_text(counted) in page


def test_the_lead_in_cycles_is_smaller_than_in_instructions(
    counted: dict[str, dict[str, Any]],
) -> None:
    lines = device_table.cycles_markdown(counted, recorded.peers()).splitlines()[2:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert {row[1] for row in rows} == {"cortex-m7", "cortex-m4"}
    for row in rows:
        instructions, cycles = (float(cell.rstrip("x")) for cell in row[4:6])
        assert 1.0 < cycles < instructions
    kws = next(row for row in rows if row[:2] == ["kws_ref_model", "cortex-m7"])
    assert kws[2:7] == ["2.81 (2.59-3.37)", "5.82", "3.1x", "2.1x", kws[6]]
    assert kws[6].startswith("5.9 ms (5.4-7.0), ST STM32H743ZI")


def test_the_readme_has_todays_estimates(root: Path, counted: dict[str, dict[str, Any]]) -> None:
    page = (root / "README.md").read_text("utf-8")
    told = re.search(r"<!-- device table: begin -->\n(.*?)<!-- device", page, re.DOTALL)
    assert told is not None and price.MODELLED in told[1]
    rows = [[cell.strip() for cell in line.split("|")] for line in told[1].splitlines()]
    times = {row[1]: (row[3], row[5]) for row in rows if len(row) > 8 and row[3][:1].isdigit()}
    assert len(times) == 6
    for name, (instructions, text) in times.items():
        row = counted[f"{name}@mps2-an500"]
        assert f"{row['instructions']:,}" == instructions
        us = (row[f"latency_{end}us"] for end in ("", "low_", "high_"))
        assert text == price.milliseconds(*us, unit=False)


def test_the_demos_table_names_its_estimate() -> None:
    time = price.estimate(load_board("mps2-an500"), 62_536).said()
    table = [plain_to(Row, row) for row in routing()["rows"]]
    run = example(RunResult, rows=table, rests=Rests(latency_kind="estimate"))
    told = readme.demo_table(run, example(BenchResult, time=time))
    assert "| mean latency, estimate |" in told
    assert f"edge about 0.15 ms (0.14-0.18), {price.MODELLED}" in told
    rows = [replace(row, latency_ms=None) for row in table]
    none = price.estimate(load_board("mps2-an385"), 62_536).said()
    bare = replace(run, rows=rows, rests=Rests(latency_kind=None))
    told = readme.demo_table(bare, example(BenchResult, time=none))
    assert "| mean latency |" in told and "| - |" in told and "estimate" not in told


def test_no_page_has_the_old_prices(root: Path) -> None:
    for path in (root / "README.md", *(root / "docs").glob("*.md")):
        assert not re.search(
            r"x (0\.79|1\.3)\b|\b0\.79 (cycles|on Cortex)", path.read_text("utf-8")
        )
