"""The engine's table: instructions, memory and flash of the shared models, beside the peers'.

    .venv/bin/python benchmarks/device.py                    the table, as markdown
    .venv/bin/python benchmarks/device.py --write            docs/device.md and docs/device.json too
    .venv/bin/python benchmarks/device.py --update-baseline  record intended changes

Counts are executed instructions of the second inference under the emulator: the same on every
machine, to the digit. Peers' figures are recorded in peers.json with their source.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from mcu_hybrid import __version__
from mcu_hybrid.board import load_board
from mcu_hybrid.pipeline.bench import BenchOptions, measure
from mcu_hybrid.pipeline.build import build_step

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MODELS = ROOT.parent / "shared" / "models"
PEERS = HERE / "peers.json"
BASELINE = HERE / "baseline.json"
NAMES = (
    "mcunet_vww1",
    "vww_96_int8",
    "pretrainedResnet_quant",
    "kws_ref_model",
    "micro_speech_quantized",
    "hello_world_int8",
)
BOARDS = ("mps2-an500", "mps2-an386")


def run(name: str, board: str, runs: int = 3) -> dict[str, Any]:
    """Bench one shared model on one virtual board; the layers' counts included."""
    with tempfile.TemporaryDirectory() as folder:
        built = build_step(MODELS / f"{name}.tflite", load_board(board), Path(folder) / "build")
        result = measure(built, BenchOptions(runs=runs)).to_json()
        result["requantise_forms"] = built.facts["requantise_forms"]
    return result


def markdown(results: dict[str, dict[str, Any]], peers: dict[str, Any]) -> str:
    """Two tables: speed with the peers, then memory and flash."""
    lines = [
        "| model | core | instructions | per MAC | TFLM+CMSIS-NN | fewer by | TinyEngine | exact |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for key, row in results.items():
        name = key.split("@")[0]
        peer = peers.get(name, {}).get("cortex-m7" if row["core"] != "cortex-m55" else row["core"])
        cmsis = (peer or {}).get("tflm_cmsis_nn")
        tiny = (peer or {}).get("tinyengine_fp")
        lines.append(
            f"| {name} | {row['core']} | {row['instructions']:,} | "
            f"{row['instructions'] / max(1, row['macs']):.2f} | {_int(cmsis)} | "
            f"{_ratio(cmsis, row['instructions'])} | {_int(tiny)} | "
            f"{'yes' if row['exact'] else 'NO'} |"
        )
    lines += [
        "",
        "| model | core | RAM in use | arena | TFLM arena | code | weights |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for key, row in results.items():
        name = key.split("@")[0]
        lines.append(
            f"| {name} | {row['core']} | {row['sram_bytes']:,} | {row['arena_bytes']:,} | "
            f"{_int(peers.get(name, {}).get('tflm_ram_bytes'))} | "
            f"{row['flash']['code_bytes']:,} | {row['flash']['weights_bytes']:,} |"
        )
    return "\n".join(lines)


def _int(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _ratio(peer: int | None, ours: int) -> str:
    return "-" if peer is None else f"{peer / ours:.1f}x"


def baseline(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the regression gate compares with: counts of models and layers."""
    return {
        key: {
            "instructions": row["instructions"],
            "arena_bytes": row["arena_bytes"],
            "layers": [[layer["name"], layer["instructions"]] for layer in row["layers"]],
        }
        for key, row in results.items()
    }


def main() -> None:
    """Measure and print; write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", action="append", help="default: mps2-an500 and mps2-an386")
    parser.add_argument("--model", action="append", help="default: all shared models")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="docs/device.md and docs/device.json")
    parser.add_argument("--update-baseline", action="store_true")
    options = parser.parse_args()
    results = {
        f"{name}@{board}": run(name, board)
        for name in options.model or NAMES
        for board in options.board or BOARDS
    }
    peers = json.loads(PEERS.read_text())
    text = markdown(results, peers)
    if options.write:
        head = (
            "# Device benchmark\n\nWritten by `benchmarks/device.py --write`, version "
            f"{__version__}. Instructions are executed ones, second inference, QEMU `-icount`.\n"
            f"Peers: {peers['source']}\n\n"
        )
        (ROOT / "docs" / "device.md").write_text(head + text + "\n")
        (ROOT / "docs" / "device.json").write_text(json.dumps(results, indent=1) + "\n")
    if options.update_baseline:
        known = json.loads(BASELINE.read_text()) if BASELINE.is_file() else {}
        BASELINE.write_text(json.dumps(known | baseline(results), indent=1) + "\n")
    print(json.dumps(results, indent=1) if options.json else text)


if __name__ == "__main__":
    main()
