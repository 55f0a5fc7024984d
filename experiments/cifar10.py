"""CIFAR-10 (the JPEG zip, or any image folder): train, export, and the table through the int8 path.

    python -m experiments.cifar10 ../shared/data/cifar10-jpeg.zip --out runs/cifar10
        [--base-epochs 16] [--global-epochs 12] [--base-width 16] [--global-width 24]
        [--images N] [--json FILE]

The folders under --out are those of the verbs train and export; build, bench and run take them from
there. Takes hours on two cores with the defaults; --images and the epochs make it short.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from experiments.digits import measure, table_lines
from mcu_hybrid import manifest
from mcu_hybrid.steps.export import export_step
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.data import Dataset, load_data
from mcu_hybrid.training.train import train


def fewer(data: Dataset, images: int, seed: int) -> Dataset:
    """A random part of the data set, its test split kept in proportion."""
    from mcu_hybrid.training.data import make_dataset

    chosen = np.sort(np.random.default_rng(seed).permutation(len(data.y))[:images])
    mask = None if data.fixed_test_mask is None else data.fixed_test_mask[chosen]
    return make_dataset(data.name, data.x[chosen], data.y[chosen], data.labels, mask)


def arguments() -> argparse.Namespace:
    """The options; 0 means the training's own choice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    for name in ("base-epochs", "global-epochs", "base-width", "global-width", "images"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=0, help="test images to measure; 0 = all")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> int:
    """Train, export, measure, print."""
    args = arguments()
    config = HybridConfig(
        seed=args.seed,
        batch=args.batch,
        base_epochs=args.base_epochs,
        global_epochs=args.global_epochs,
        base_width=args.base_width,
        global_width=args.global_width,
        # With a test split of its own the first three share the rest: 78, 12 and 10 %.
        fit_share=0.65,
        router_share=0.10,
        calibration_share=0.0833,
        test_share=0.1667,
    )

    def tell(label: str, done: int, total: int) -> None:
        print(f"\r{label} {done}/{total}   ", end="", file=sys.stderr, flush=True)

    data = load_data(args.data, on_event=tell)
    if args.images:
        data = fewer(data, args.images, args.seed)
    with manifest.writing(args.out / "train", "train") as draft:
        facts = train(config, data, draft.folder, tell)
        draft.facts |= facts.to_json()
    told = export_step(args.out / "train", args.out / "export", on_event=tell)
    result = measure(args.out / "train", args.out / "export", limit=args.limit, on_event=tell)
    print(file=sys.stderr)
    result |= {"base_macs": facts.base_macs, "global_macs": facts.global_macs}
    result |= {"train_seconds": facts.seconds, "first_that_hurts": told.compared.first_that_hurts}
    room = result["test"]
    print(
        f"base {room['base_accuracy']:.4f} ({facts.base_macs / 1e6:.1f} M MACs)  "
        f"global {room['global_accuracy']:.4f}  worth a query {room['query_worth']:.4f}"
    )
    print("\n".join(table_lines([result])))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
