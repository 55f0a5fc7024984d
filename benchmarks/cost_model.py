"""The cost model's check: predicted and counted instructions of every layer of the shared models.

    .venv/bin/python -m benchmarks cost_model                        all models, all boards
    .venv/bin/python -m benchmarks cost_model --board mps3-an547     one board
    .venv/bin/python -m benchmarks cost_model --model kws_ref_model  one model
    .venv/bin/python -m benchmarks cost_model --json

A layer is right within 5 % of its count, or within 100 instructions where that is more (layers
under 2,000 instructions are mostly calls, which the compiler decides). Exit status 1: some are not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.board.load import load_board
from mcu_hybrid.steps.bench import BenchOptions, bench_board
from mcu_hybrid.steps.build import Build, build_step

MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"
BOARDS = ("mps2-an500", "mps2-an386", "mps2-an385", "mps3-an547")
RELATIVE, SMALL = 0.05, 100  # the larger of a share of the count and instructions
WORST = 12  # rows of the summary


@dataclass(frozen=True)
class Row:
    """A layer: ``predicted`` is None where nothing predicts its kernel."""

    model: str
    board: str
    name: str
    op: str
    predicted: int | None
    measured: int

    @property
    def error(self) -> float | None:
        """Predicted over measured, less 1; None without a prediction."""
        return None if self.predicted is None else self.predicted / self.measured - 1

    @property
    def is_right(self) -> bool:
        """True within the tolerance."""
        if self.predicted is None:
            return False
        return abs(self.predicted - self.measured) <= max(RELATIVE * self.measured, SMALL)


def rows_of(build: Build, result: BenchResult) -> list[Row]:
    """The layers of a build, as its own facts predict them and as a bench counted them."""
    return [
        Row(build.facts.model, result.board, layer.name, layer.op, predicted, layer.instructions)
        for layer, predicted in zip(
            result.layers, build.facts.aot.predicted_instructions, strict=True
        )
        if layer.instructions is not None
    ]


def run(model: Path, board: str) -> list[Row]:
    """Build and bench one model."""
    with tempfile.TemporaryDirectory() as folder:
        build = build_step(model, load_board(board), Path(folder) / "build")
        return rows_of(build, bench_board(build, BenchOptions(runs=1)))


def table(rows: Sequence[Row]) -> str:
    """A line per layer."""
    head = f"{'':2}{'layer':<44} {'operator':<22} {'predicted':>11} {'counted':>11} {'error':>8}"
    lines: list[str] = []
    for (model, board), own in groupby(rows, key=lambda row: (row.model, row.board)):
        lines += [f"{model} on {board}", head, *(_line(row, row.name) for row in own)]
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """How many are right, and those that are furthest off."""
    lines = []
    for board in dict.fromkeys(row.board for row in rows):
        mine = [row for row in rows if row.board == board]
        right = sum(row.is_right for row in mine)
        lines.append(f"{board}: {right} of {len(mine)} layers within {RELATIVE:.0%} or {SMALL}")
    worst = sorted(rows, key=lambda row: (row.is_right, -abs(row.error or 1.0)))[:WORST]
    lines += ["the furthest off:", *(_line(r, f"{r.model} {r.board} {r.name}") for r in worst)]
    return "\n".join(lines)


def _line(row: Row, label: str) -> str:
    predicted = "-" if row.predicted is None else f"{row.predicted:,}"
    error = "-" if row.error is None else f"{row.error:+.1%}"
    mark = " " if row.is_right else "!"
    name = label if len(label) <= 44 else f"...{label[-41:]}"
    return f"{mark} {name:<44} {row.op:<22} {predicted:>11} {row.measured:>11,} {error:>8}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", action="append", help=f"default: {', '.join(BOARDS)}")
    parser.add_argument("--model", action="append", help="default: all shared models")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = options.model or sorted(path.stem for path in MODELS.glob("*.tflite"))
    rows = [
        row
        for board in options.board or BOARDS
        for name in names
        for row in run(MODELS / f"{name}.tflite", board)
    ]
    if options.json:
        print(json.dumps([asdict(row) | {"error": row.error} for row in rows], indent=1))
    else:
        print(f"{table(rows)}\n\n{summary(rows)}")
    sys.exit(0 if all(row.is_right for row in rows) else 1)
