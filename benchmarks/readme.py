"""Writes the tables of README and docs/results.md, and the figure of both.

The demo's table and the figure come from a demo's folder, the device table from benches of the
shared models.

    make demo && .venv/bin/python -m benchmarks readme runs/demo

The device table needs ../shared/models beside the checkout and is left as it is without them.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import device
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.artifacts.run import RunResult
from mcu_hybrid.board.load import load_board
from mcu_hybrid.machines import price
from mcu_hybrid.report.data import routing_of
from mcu_hybrid.report.readme_figure import write_accuracy_coverage_svg
from mcu_hybrid.steps.bench import BenchOptions, bench_step

BOARD = "mps2-an500"
ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "results.md"
FIGURE = ROOT / "docs" / "img" / "accuracy-coverage.svg"
MODELS = ROOT.parent / "shared" / "models"
NAMES = (
    "kws_ref_model",
    "pretrainedResnet_quant",
    "vww_96_int8",
    "mcunet_vww1",
    "micro_speech_quantized",
    "hello_world_int8",
)


def demo_table(run: RunResult, bench: BenchResult) -> str:
    """The demo's table as markdown, with what it rests on."""
    mark = ", estimate" if run.rests.latency_kind == "estimate" else ""
    lines = [
        "| method | target | coverage on test (95 % interval) | accuracy | mean latency"
        f"{mark} | sent |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in run.rows:
        low, high = row.coverage_ci
        lines.append(
            f"| {row.method} | {row.coverage_target:.0%} | {row.coverage:.1%} "
            f"({low:.1%} .. {high:.1%}) | {row.accuracy:.1%} | {_ms(row.latency_ms)} | "
            f"{row.bytes_sent:,} |"
        )
    lines += [
        "",
        f"`make demo`, one seed: {run.samples} test inputs on `{bench.board}`, "
        f"{bench.instructions:,} instructions an inference, arena {bench.arena_bytes:,} B, "
        f"every output equal to TFLM's. Thresholds: {run.calibration_samples} other "
        f"images. Latency: edge {price.text_of(bench.time)}; + {run.query_ms:.1f} ms per query "
        "over the stated Wi-Fi link. With this few inputs a point is noise; "
        "`python -m experiments.digits` averages seeds.",
    ]
    return "\n".join(lines)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"


def benched() -> dict[str, dict[str, Any]]:
    """The shared models on the virtual Cortex-M7, by name; priced as docs/device.json is."""
    return {
        name: device.reprice(
            bench_step(MODELS / f"{name}.tflite", BOARD, BenchOptions(runs=3)).to_json()
        )
        for name in NAMES
    }


def device_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Instructions, estimated time, memory and flash of each model."""
    chip = load_board(BOARD).priced_chip
    lines = [
        "| model | MACs | instructions | per MAC | ms, estimate (range) | RAM in use | code | "
        "weights | equals TFLM |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, result in results.items():
        us = (result[f"latency_{end}us"] for end in ("", "low_", "high_"))
        count = result["instructions"]
        lines.append(
            f"| {name} | {result['macs']:,} | {count:,} | {count / result['macs']:.2f} | "
            f"{price.milliseconds(*us, unit=False)} | {result['sram_bytes']:,} B | "
            f"{result['flash']['code_bytes']:,} B | "
            f"{result['flash']['weights_bytes']:,} B | {'yes' if result['exact'] else 'NO'} |"
        )
    lines += [
        "",
        f"`mcu-hybrid bench MODEL.tflite --board {BOARD}`: executed instructions of the second "
        "inference on a Cortex-M7, exact and repeatable. Milliseconds are those of a "
        f"{chip.title} at {chip.clock_hz / 1e6:g} MHz, {price.MODELLED}. RAM counts arena with "
        "input and output, all statics, and the stack (painted). MACs are those of the model as "
        "given, before any folding.",
    ]
    return "\n".join(lines)


def put(page: Path, mark: str, body: str) -> None:
    """Replace what stands between a pair of markers of a page."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    text = pattern.sub(lambda _: f"{begin}\n{body}\n{end}", page.read_text("utf-8"))
    page.write_text(text, "utf-8")


def main() -> None:
    """Update README.md, docs/results.md and the figure in place."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, help="the folder that demo wrote")
    folder = parser.parse_args().demo
    run = store.result(RunResult, folder / "run")
    bench = store.result(BenchResult, folder / "bench")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    write_accuracy_coverage_svg(
        routing_of(run), FIGURE, "Handwritten digits: accuracy over coverage"
    )
    put(RESULTS, "demo table", demo_table(run, bench))
    if MODELS.is_dir():
        put(README, "device table", device_table(benched()))
