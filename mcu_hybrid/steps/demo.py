"""demo: all steps one after the other, into one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcu_hybrid import extras, manifest
from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.artifacts.demo import DemoOutput
from mcu_hybrid.artifacts.run import RunResult
from mcu_hybrid.board.load import Board, load_board
from mcu_hybrid.events import OnEvent
from mcu_hybrid.firmware import toolchain
from mcu_hybrid.process import Tools
from mcu_hybrid.routing.link_costs import link_model
from mcu_hybrid.steps.bench import BenchOptions, bench_step
from mcu_hybrid.steps.build import build_step
from mcu_hybrid.steps.cloud import RunOptions, cloud_for
from mcu_hybrid.steps.export import export_step
from mcu_hybrid.steps.flash import flash_step, require_tools
from mcu_hybrid.steps.report import report_step
from mcu_hybrid.steps.run import run_step
from mcu_hybrid.steps.run_table import table_rows
from mcu_hybrid.steps.split import calibration_split, test_split
from mcu_hybrid.steps.train import train_step
from mcu_hybrid.training.config import HybridConfig

STEPS = ("train", "export", "build", "bench", "run", "report")


@dataclass(frozen=True)
class DemoOptions:
    """The embedded default: handwritten digits on the virtual Cortex-M7."""

    board: str = "mps2-an500"
    data: str = "digits"
    link: str = "wifi"
    seed: int = 0
    board_dirs: Sequence[Path] = ()
    training: HybridConfig = field(default_factory=HybridConfig)  # with the seed above
    bench_inputs: int = 200
    limit: int = 0  # of the test split; 0 = all


@dataclass(frozen=True)
class Demo:
    """What ``demo --json`` prints, and the results that it is made of."""

    told: DemoOutput
    bench: BenchResult
    run: RunResult


def demo_step(out: Path, options: DemoOptions, *, on_event: OnEvent | None = None) -> Demo:
    """Train, export, build, flash, bench, run, report.

    The virtual board is left running, like a board on the desk.

    Raises:
        InputError, MissingTool: what a later step would stumble over is said before the first.
    """
    board = load_board(options.board, options.board_dirs)
    dirs = options.board_dirs
    run_options = RunOptions(link_model(options.link), limit=options.limit)
    _check_ahead(out, board)
    config = replace(options.training, seed=options.seed)
    train_step(options.data, config, out / "train", restart=True, on_event=on_event)
    export_step(out / "train", out / "export", on_event=on_event)
    build = build_step(out / "export", board, out / "build", board_dirs=dirs, on_event=on_event)
    flash_step(build, on_event=on_event)
    bench = bench_step(
        out / "build",
        None,
        BenchOptions(runs=options.bench_inputs, board_dirs=dirs),
        out=out / "bench",
        on_event=on_event,
    )
    split, calibrated = test_split(out / "export")
    with cloud_for(run_options, out / "export") as cloud:
        run = run_step(
            build,
            split,
            cloud,
            run_options,
            calibration_samples=calibrated,
            calibration=calibration_split(out / "export"),
            out=out / "run",
            restart=True,
            on_event=on_event,
        )
    page = report_step(
        [out / step for step in STEPS if step != "report"],
        out / "report",
        title="Hybrid inference on handwritten digits" if options.data == "digits" else "",
        commands=commands(out, options),
        board_dirs=dirs,
    )
    told = DemoOutput(
        exact=bool(bench.exact and run.exact),
        board=board.name,
        instructions=bench.instructions,
        arena_bytes=bench.arena_bytes,
        rows=table_rows(run.rows),
        report=str(page),
    )
    return Demo(told, bench, run)


def _check_ahead(out: Path, board: Board) -> None:
    """Folders, compiler, flasher and model server, before minutes of training."""
    for step in STEPS:
        manifest.check_target(out / step, step)
    extras.require("demo", "train", "export", "bench", "cloud")
    tools = Tools()
    tools.require(toolchain.program(board, "gcc"))
    require_tools(board)


def commands(out: Path, options: DemoOptions) -> list[str]:
    """The same path step by step, for the report."""
    return [
        f"mcu-hybrid train --data {options.data} --seed {options.seed} --out {out.name}/train",
        f"mcu-hybrid export {out.name}/train --out {out.name}/export",
        f"mcu-hybrid build {out.name}/export --board {options.board} --out {out.name}/build",
        f"mcu-hybrid flash {out.name}/build",
        f"mcu-hybrid bench {out.name}/build --runs {options.bench_inputs} --out {out.name}/bench",
        f"mcu-hybrid run {out.name}/build --link {options.link} --out {out.name}/run",
        f"mcu-hybrid report {out.name} --out {out.name}/report",
    ]
