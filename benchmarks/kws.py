"""Keyword spotting through the board: accuracy on 1,000 speech-command inputs, and exactness.

    .venv/bin/python -m benchmarks kws --board mps2-an500 [--json]

Inputs (49 x 10 MFCC features, already int8) and labels come from ../shared/data/kws01.zip.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid.bench.measure import count_differences
from mcu_hybrid.board.load import load_board
from mcu_hybrid.reference.judge import Judge
from mcu_hybrid.steps.build import build_step
from mcu_hybrid.steps.flash import on_board

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


def read_zip(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Inputs int8 [N, 490] and labels [N]."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        table = next(name for name in names if name.endswith("y_labels.csv"))
        rows = list(csv.reader(io.TextIOWrapper(archive.open(table))))
        folder = table.rpartition("/")[0]
        data = [archive.read(f"{folder}/{row[0]}" if folder else row[0]) for row in rows]
    labels = np.array([int(row[2]) for row in rows])
    return np.stack([np.frombuffer(item, np.int8) for item in data]), labels


def measure(board_name: str, limit: int) -> dict[str, Any]:
    """Build, run every input on the board, compare with TFLM."""
    inputs, labels = read_zip(SHARED / "data" / "kws01.zip")
    inputs, labels = inputs[: limit or None], labels[: limit or None]
    with tempfile.TemporaryDirectory() as folder:
        model = SHARED / "models" / "kws_ref_model.tflite"
        build = build_step(model, load_board(board_name), Path(folder) / "build")
        judge = Judge(build.model.data)
        right = differing = 0
        with on_board(build) as device:
            for row, label in zip(inputs, labels, strict=True):
                ran = device.infer([row])
                right += int(np.argmax(ran.int8(0))) == int(label)
                differing += count_differences(ran.outputs, judge.run([row.reshape(1, 49, 10, 1)]))
    return {
        "board": board_name,
        "inputs": len(labels),
        "accuracy": right / len(labels),
        "differing_outputs": differing,
        "exact": differing == 0,
    }


def main() -> None:
    """Print accuracy and exactness."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="mps2-an500")
    parser.add_argument("--limit", type=int, default=0, help="only the first N inputs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.board, options.limit)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    verdict = "equal TFLM bit for bit" if result["exact"] else "DIFFER from TFLM"
    print(f"{result['board']}: {result['accuracy']:.1%} of {result['inputs']}; outputs {verdict}")
