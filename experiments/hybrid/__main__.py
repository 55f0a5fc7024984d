"""The hybrid against every baseline on CIFAR-10, through the int8 path, over several seeds.

    python -m experiments.hybrid ../shared/data/cifar10-jpeg.zip --setting reduced
        [--seeds 0 1 2] [--ablations] [--jobs N] [--cache DIR] [--only STAGE] [--json FILE]
        [--report FILE.html] [--plan]

Stages: global (shared by the seeds), base per seed, branch (shared too), baselines and method per
seed, evaluate. Each one lies in the cache folder and is made again only when its settings change;
a run that was ended goes on where it stood. Stages of different seeds run side by side, with a
share of the cores each. The splits are the same for all seeds, which differ in
their networks. ``--plan`` says how long it takes on 2 cores and does nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments.hybrid import results, show
from experiments.hybrid.cache import Stage
from experiments.hybrid.committed import to_record
from experiments.hybrid.plan import ABLATIONS, SETTINGS, Setting, plan_of_time, shown
from experiments.hybrid.tasks import Task, make, side_by_side
from experiments.hybrid.world import World, read
from mcu_hybrid import nets
from mcu_hybrid.routing.link_costs import link_model
from mcu_hybrid.training import accelerate

STAGES = ("global", "base", "branch", "baselines", "method", "evaluate")


def main() -> int:
    """Run the stages, print the table; exit code 1 where a condition of the setting fails."""
    args = arguments()
    setting = SETTINGS[args.setting]
    if args.ablations is not None:
        setting = replace(setting, ablations=tuple(args.ablations or ABLATIONS))
    torch.set_num_threads(args.threads or torch.get_num_threads())
    if args.plan:
        print_plan(setting, len(args.seeds))
        return 0
    started = time.monotonic()
    hardware = accelerate.best()
    with accelerate.on(hardware):
        world = read(args.data, setting, args.cache)
        made = run(world, args.data, args.seeds, args.only, args.jobs or os.cpu_count() or 1)
    if made is None:
        return 0
    global_, branch, per_seed = made
    result = results.result_of(world, global_, branch, per_seed, link_model(args.link), args.data)
    result |= {
        "setting": setting.name,
        "seeds": args.seeds,
        "machine": machine(hardware),
        "seconds_now": round(time.monotonic() - started, 1),
        "seconds_of_stages": {name: stage.seconds for name, stage in world.cache.stages.items()},
    }
    print("\n".join([*show.markdown(result), "", *show.conditions(result)]))
    if args.json:
        command = shlex.join(["python", "-m", "experiments.hybrid", *sys.argv[1:]])
        args.json.write_text(to_record(result, command).text(), "utf-8")
    if args.report:
        show.write_report(result, args.report)
    return 0 if all(row["met"] for row in result["conditions"] if row["binding"]) else 1


def run(
    world: World, source: str, seeds: list[int], only: str, jobs: int
) -> tuple[Stage, Stage, dict[int, dict[str, Stage]]] | None:
    """All stages up to ``only`` ("" or "evaluate": all); None where that is before the table."""
    last = STAGES.index(only) if only else len(STAGES)
    # All variants of one kind before the next: an ended run leaves whole rows.
    groups: list[list[Task]] = [
        [("global", 0)],
        [("base", seed) for seed in seeds],
        [("branch", 0)],
        [("baselines", seed) for seed in seeds],
        [(name, seed) for name in shown(world.setting) for seed in seeds],
    ]
    wanted = groups[: last + 1]
    make(world, "global", 0)
    side_by_side(world, source, [task for group in wanted[1:3] for task in group], jobs)
    side_by_side(world, source, [task for group in wanted[3:] for task in group], jobs)
    made = {task: make(world, *task) for group in wanted for task in group}
    if last < len(groups):
        return None
    per_seed = {
        seed: {name: made[name, seed] for name in ("base", "baselines", *shown(world.setting))}
        for seed in seeds
    }
    return made["global", 0], made["branch", 0], per_seed


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
    parser.add_argument(
        "--ablations", nargs="*", metavar="NAME", choices=ABLATIONS, help="all, or those named"
    )
    parser.add_argument("--jobs", type=int, default=0, help="stages side by side; 0: the cores")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--report", type=Path, help="the curve page")
    parser.add_argument("--plan", action="store_true", help="only say how long it would take")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
