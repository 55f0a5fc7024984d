"""Builds and benches of the shared models that several tests look at, made once per process."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.board.load import load_board
from mcu_hybrid.steps.bench import BenchOptions, bench_board
from mcu_hybrid.steps.build import Build, build_step


@cache
def measured(model: Path, board: str) -> tuple[Build, BenchResult]:
    """The build (its folder is gone) and the bench of one inference."""
    with tempfile.TemporaryDirectory() as folder:
        build = build_step(model, load_board(board), Path(folder) / "build")
        return build, bench_board(build, BenchOptions(runs=1))
