"""The engine's table: instructions, memory and flash of the shared models, beside the peers'.

    .venv/bin/python -m benchmarks device                    the tables, as markdown
    .venv/bin/python -m benchmarks device --write            docs/device.{md,json,svg} too
    .venv/bin/python -m benchmarks device --reprice          these again: no bench, new estimates
    .venv/bin/python -m benchmarks device --update-baseline  record intended changes

Counts are executed instructions of the second inference under the emulator: the same on every
machine, to the digit. Peers' figures are recorded in peers.json with their source, the goals in
targets.json.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import device_figure, device_table, recorded
from benchmarks.recorded import BASELINE, COUNTED, MODELS, ROOT
from mcu_hybrid import __version__
from mcu_hybrid.board.load import load_board
from mcu_hybrid.machines import price
from mcu_hybrid.steps.bench import BenchOptions, bench_board
from mcu_hybrid.steps.build import EngineOptions, build_step

DOCS = ROOT / "docs"
NAMES = (
    "mcunet_vww1",
    "vww_96_int8",
    "vww_96_int8/all",  # with its dead channels, which the peers compute too
    "pretrainedResnet_quant",
    "kws_ref_model",
    "micro_speech_quantized",
    "hello_world_int8",
    "mcunet_vww1/ram",
    "vww_96_int8/ram",
    "pretrainedResnet_quant/ram",
)
BOARDS = ("mps2-an500", "mps2-an386", "mps3-an547")


@dataclass(frozen=True)
class _Work:
    """What of a recorded layer its price depends on."""

    op: str
    macs: int


def run(name: str, board: str, runs: int = 3) -> dict[str, Any]:
    """Bench one shared model on one virtual board; the layers' counts included."""
    model = device_table.model_of(name)
    engine = EngineOptions(
        fold_dead=not name.endswith(device_table.ALL),
        optimize="ram" if name.endswith(device_table.RAM) else "speed",
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "build"
        built = build_step(MODELS / f"{model}.tflite", load_board(board), out, engine)
        result = bench_board(built, BenchOptions(runs=runs)).to_json()
        result["model_macs"] = built.facts.macs
        assert built.facts.aot is not None
        result["requantise_forms"] = dict(built.facts.aot.requantise_forms)
    return result


def baseline(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the regression gate compares with: counts of models and layers as they are built."""
    return {
        key: {
            "instructions": row["instructions"],
            "arena_bytes": row["arena_bytes"],
            "layers": [[layer["name"], layer["instructions"]] for layer in row["layers"]],
        }
        for key, row in results.items()
        if "/" not in key
    }


def reprice(row: dict[str, Any]) -> dict[str, Any]:
    """A recorded row with the times that its instructions are estimated at today."""
    board, layers = load_board(row["board"]), row["layers"]
    counts = [layer["instructions"] for layer in layers]
    work = [_Work(layer["op"], layer["macs"]) for layer in layers]
    total = price.estimate(board, price.parts_of(work, counts, row["instructions"]))
    parts = price.parts_of(work, counts, sum(counts))
    for layer, part in zip(layers, parts, strict=False):
        layer.update(vars(price.estimate(board, [part]).span))
    return row | vars(total.said())


def _write(results: dict[str, dict[str, Any]], peers: dict[str, Any], targets: Any) -> None:
    head = (
        f"Written by `python -m benchmarks device --write`, version {__version__}. "
        "Instructions are executed ones, second inference, QEMU `-icount`."
    )
    (DOCS / "device.md").write_text(device_table.document(results, peers, targets, head))
    recorded.write(COUNTED, _command(), results, targets)
    device_figure.write(results, peers, DOCS / "device.svg")


def _command() -> str:
    return shlex.join(["python", "-m", *sys.argv[0].split(), *sys.argv[1:]])


def main() -> None:
    """Measure and print; write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", action="append", help=f"default: {', '.join(BOARDS)}")
    parser.add_argument("--model", action="append", help=f"default: {', '.join(NAMES)}")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="write docs/device.{md,json,svg}")
    parser.add_argument("--reprice", action="store_true", help="no bench: docs/device.json again")
    parser.add_argument("--update-baseline", action="store_true")
    options = parser.parse_args()
    peers, targets = recorded.peers(), recorded.targets()
    if options.reprice:
        known = recorded.values(COUNTED)
        _write({key: reprice(row) for key, row in known.items()}, peers, targets)
        return
    results = {
        f"{name}@{board}": run(name, board)
        for name in options.model or NAMES
        for board in options.board or BOARDS
    }
    if options.write:
        # Priced in one way, so that --reprice of the same counts changes nothing.
        _write({key: reprice(row) for key, row in results.items()}, peers, targets)
    if options.update_baseline:
        known = recorded.values(BASELINE) if BASELINE.is_file() else {}
        recorded.write(BASELINE, _command(), known | baseline(results))
    text = device_table.markdown(results, peers, targets)
    text += "\n\n" + device_table.cycles_markdown(results, peers)
    print(json.dumps(results, indent=1) if options.json else text)
