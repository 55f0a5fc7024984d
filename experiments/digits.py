"""Every router on the digits, through the int8 path, averaged over seeds.

    python -m experiments.digits [--seeds 0 1 2] [--router-inputs features] [--json FILE]

Each seed draws its own split, trains base, global and router, and exports. Scores are those of the
integer reference, which the device equals bit for bit; thresholds come from the calibration split;
accuracy is measured on the test split, which nothing else looks at.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid.artifacts.codec import to_json
from mcu_hybrid.compiler.passes import run_passes
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.events import OnEvent
from mcu_hybrid.export import agreement, package
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.training import evaluate
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.data import load_data
from mcu_hybrid.training.fit import predict
from mcu_hybrid.training.train import train


def read(data: bytes, name: str) -> Graph:
    """The graph that the device runs."""
    model = read_tflite(data, name)
    return run_passes(model.graph, model.metadata)


def measure(
    trained: Path,
    exported: Path,
    *,
    limit: int = 0,
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Rows per router and coverage on the test split (its first ``limit`` images; 0 = all)."""
    graph = read((exported / package.MODEL).read_bytes(), package.MODEL)
    splits = checkpoint.load_splits(exported / checkpoint.SPLITS)
    hybrid = checkpoint.load_hybrid(trained / checkpoint.CHECKPOINT)
    count = limit or len(splits.y_test)
    x, y = splits.x_test[:count], splits.y_test[:count]
    calibration = agreement.run_int8(graph, splits.x_calibration, on_event=on_event)
    test = agreement.run_int8(graph, x, on_event=on_event)
    base, global_ = test.logits.argmax(1), predict(hybrid.global_, x).argmax(1)
    rows = {
        router: evaluate.at_coverages(known, test.scores[router], base == y, global_ == y)
        for router, known in calibration.scores.items()
    }
    return {
        "test": to_json(evaluate.room(base, global_, y)),
        "images": count,
        "rows": to_json(rows),
    }


def one_seed(config: HybridConfig, source: str) -> dict[str, Any]:
    """Train, export and measure one seed."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        trained, exported = Path(name) / "train", Path(name) / "export"
        facts = train(config, load_data(source), trained)
        told = package.export_hybrid(trained, exported, read)
        result = measure(trained, exported)
    return {
        "seed": config.seed,
        "seconds": round(time.monotonic() - started, 1),
        "train_seconds": facts.seconds,
        "base_macs": facts.base_macs,
        "accuracy_float_calibration": told.compared.accuracy_float,
        "accuracy_int8_calibration": told.compared.accuracy_int8,
        **result,
    }


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean accuracy and coverage over the seeds, per target."""
    lines = []
    for i, target in enumerate(evaluate.COVERAGES):
        line: dict[str, Any] = {"coverage_target": target}
        for router in runs[0]["rows"]:
            got = [run["rows"][router][i] for run in runs]
            line[router] = float(np.mean([row["accuracy"] for row in got]))
            line[f"{router}_coverage"] = float(np.mean([row["coverage"] for row in got]))
        line["learned_at_least"] = line["learned"] >= line["entropy"]
        lines.append(line)
    return lines


def table_lines(runs: list[dict[str, Any]]) -> list[str]:
    """The table as text."""
    names = list(runs[0]["rows"])
    lines = ["coverage" + "".join(f"{name:>11} (real.)" for name in names)]
    for line in summary(runs):
        cells = [f"{line[name]:>11.4f} ({line[f'{name}_coverage']:.3f})" for name in names]
        lines.append(f"{line['coverage_target']:>8.0%}" + "".join(cells))
    return lines


def main() -> int:
    """Print the table; exit code 1 where the router loses at more than one coverage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--router-inputs", default="top_k", choices=["top_k", "features"])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    runs = []
    for seed in args.seeds:
        config = HybridConfig(seed=seed, router_inputs=args.router_inputs)
        runs.append(one_seed(config, args.data))
        room, seconds = runs[-1]["test"], runs[-1]["seconds"]
        print(
            f"seed {seed}: base {room['base_accuracy']:.4f}  global {room['global_accuracy']:.4f}  "
            f"worth a query {room['query_worth']:.4f}  {seconds} s",
            flush=True,
        )
    table = summary(runs)
    print("\n".join(table_lines(runs)))
    wins = sum(line["learned_at_least"] for line in table)
    print(f"learned >= entropy at {wins} of {len(table)} coverages, mean of {len(runs)} seeds")
    if args.json:
        args.json.write_text(
            json.dumps({"runs": runs, "mean": table, "wins": wins}, indent=1) + "\n"
        )
    return 0 if wins >= len(table) - 1 else 1


if __name__ == "__main__":
    sys.exit(main())
