"""The hybrid against every baseline on CIFAR-10, through the int8 path, over several seeds.

    python benchmarks/hybrid.py ../shared/data/cifar10-jpeg.zip --setting reduced
        [--seeds 0 1 2] [--cache DIR] [--only STAGE] [--json FILE] [--report FILE.html] [--plan]

Stages: global (shared by the seeds), base per seed, branch (shared too), baselines and method per
seed, evaluate. Each one lies in the cache folder and is made again only when its settings change;
a run that was ended goes on where it stood. The splits are the same for all seeds, which differ in
their networks. ``--plan`` says how long it takes on 2 cores and does nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import hybrid_methods
import hybrid_results
import hybrid_show
import hybrid_stages
import numpy as np
import torch
from hybrid_cache import Cache, Stage
from hybrid_plan import SETTINGS, Setting, plan_of_time, shown
from hybrid_stages import World

from mcu_hybrid import nets
from mcu_hybrid.cloud.linkmodel import link_model
from mcu_hybrid.training import accelerate, data

STAGES = ("global", "base", "branch", "baselines", "method", "evaluate")


def main() -> int:
    """Run the stages, print the table; exit code 1 where a condition of the setting fails."""
    args = arguments()
    setting = SETTINGS[args.setting]
    torch.set_num_threads(args.threads or torch.get_num_threads())
    if args.plan:
        print_plan(setting, len(args.seeds))
        return 0
    started = time.monotonic()
    cache = Cache(args.cache / setting.name, lambda line: print(line, file=sys.stderr, flush=True))
    hardware = accelerate.best()
    with accelerate.on(hardware):
        world = read(args.data, setting, cache)
        made = run(world, args.seeds, args.only)
    if made is None:
        return 0
    global_, branch, per_seed = made
    result = hybrid_results.evaluate(
        world, global_, branch, per_seed, link_model(args.link), args.data
    )
    result |= {
        "setting": setting.name,
        "seeds": args.seeds,
        "machine": machine(hardware),
        "seconds_now": round(time.monotonic() - started, 1),
        "seconds_of_stages": {name: stage.seconds for name, stage in cache.stages.items()},
    }
    print("\n".join(hybrid_show.markdown(result)))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    if args.report:
        hybrid_show.write_report(result, args.report)
    return 0 if all(row["met"] for row in result["conditions"] if row["binding"]) else 1


def run(
    world: World, seeds: list[int], only: str
) -> tuple[Stage, Stage, dict[int, dict[str, Stage]]] | None:
    """All stages up to ``only`` ("" or "evaluate": all); None where that is before the table."""
    last = STAGES.index(only) if only else len(STAGES)
    global_ = hybrid_stages.global_stage(world)
    bases = {s: hybrid_stages.base_stage(world, s) for s in (seeds if last >= 1 else [])}
    if last < 2:
        return None
    branch = hybrid_methods.branch_stage(world, global_)
    per_seed: dict[int, dict[str, Stage]] = {seed: {"base": bases[seed]} for seed in seeds}
    for seed in seeds if last >= 3 else []:
        per_seed[seed]["baselines"] = hybrid_methods.baselines_stage(
            world, global_, bases[seed], seed
        )
    # All variants of one kind before the next: an ended run leaves whole rows.
    for name, changes in shown(world.setting).items() if last >= 4 else ():
        for seed in seeds:
            per_seed[seed][name] = hybrid_methods.method_stage(
                world, name, changes, global_, bases[seed], seed
            )
    return (global_, branch, per_seed) if last >= 5 else None


def read(source: str, setting: Setting, cache: Cache) -> World:
    """The data and its splits; decoded images are kept in the cache.

    The source's own test split is kept, or as many images as the setting says; fewer images than
    the setting asks for are shared out in its proportions.
    """
    path = Path(source)
    told = {"source": source, "bytes": path.stat().st_size if path.is_file() else 0}

    def make(folder: Path) -> dict[str, Any]:
        found = data.load_data(source)
        arrays = {"x": found.x, "y": found.y, "labels": np.array(found.labels)}
        if found.fixed_test_mask is not None:
            arrays["test"] = found.fixed_test_mask
        np.savez(folder / "data.npz", **arrays)
        return {"images": len(found.y)}

    stage = cache.stage("data", told, (), make)
    found = fewer(data.load_data(str(stage.folder / "data.npz")), setting)
    config = setting.config(0, "", "")
    shares = config.fit_share, config.router_share, config.calibration_share, config.test_share
    return World(setting, found, data.split(found, shares, config.split_seed), cache, tell)


def fewer(found: data.Dataset, setting: Setting) -> data.Dataset:
    """At most as many images as the setting's splits need, test images apart."""
    rng = np.random.default_rng(0)
    mask = found.fixed_test_mask
    groups = (
        [np.arange(len(found.y))] if mask is None else [np.flatnonzero(~mask), np.flatnonzero(mask)]
    )
    wanted = [sum(setting.splits), setting.test_images]
    wanted = [sum(wanted)] if mask is None else wanted
    if all(len(group) <= most for group, most in zip(groups, wanted, strict=True)):
        return found
    chosen = [rng.permutation(g)[:most] for g, most in zip(groups, wanted, strict=True)]
    at = np.sort(np.concatenate(chosen))
    test = None if mask is None else mask[at]
    return data.make_dataset(found.name, found.x[at], found.y[at], found.labels, test)


def tell(label: str, done: int, total: int) -> None:
    """Progress on one line of the terminal."""
    if sys.stderr.isatty():
        print(f"\r{label} {done}/{total}   ", end="", file=sys.stderr, flush=True)


def machine(hardware: accelerate.Hardware) -> dict[str, Any]:
    """What the result file says of the machine."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "training": hardware.describe(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }


def print_plan(setting: Setting, seeds: int) -> None:
    """The plan of time for images of 32 x 32 x 3 and 10 classes."""
    shape = (32, 32, 3)
    macs = [
        nets.count_macs(nets.build("reference", shape, 10, width, large=large), shape)
        for width, large in ((setting.base_width, False), (setting.global_width, True))
    ]
    rows = list(plan_of_time(setting, seeds, *macs))
    print(f"base {macs[0] / 1e6:.2f} M MACs, global {macs[1] / 1e6:.1f} M MACs, {seeds} seeds")
    for what, seconds in rows:
        print(f"{what:<24} {seconds / 60:6.1f} min")
    print(f"{'sum':<24} {sum(s for _, s in rows) / 60:6.1f} min")


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", default="../shared/data/cifar10-jpeg.zip")
    parser.add_argument("--setting", choices=SETTINGS, default="reduced")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, default=Path("runs/hybrid"))
    parser.add_argument("--only", choices=STAGES, default="", help="stop after this stage")
    parser.add_argument("--link", default="wifi", help="as for mcu-hybrid run")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--report", type=Path, help="the curve page")
    parser.add_argument("--plan", action="store_true", help="only say how long it would take")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
