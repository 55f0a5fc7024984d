"""The stages of experiments/hybrid by name, and several of them side by side.

Small networks gain nothing from a second core, so a machine is used up by several processes with a
share of its cores each. What they make goes through the cache; the caller reads it from there.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from experiments.hybrid import methods, stages
from experiments.hybrid.cache import Stage
from experiments.hybrid.plan import Setting, shown
from experiments.hybrid.world import World, read
from mcu_hybrid.training import accelerate

Task = tuple[str, int]  # (stage, seed); the seed means nothing to the global and the branch


def make(world: World, what: str, seed: int) -> Stage:
    """One stage and those that it rests on, from the cache where they lie there.

    Args:
        what: "global", "branch", "base", "baselines", or a trained variant (hybrid_plan.shown).
    """
    global_ = stages.global_stage(world)
    if what == "global":
        return global_
    if what == "branch":
        return methods.branch_stage(world, global_)
    base = stages.base_stage(world, seed)
    if what == "base":
        return base
    if what == "baselines":
        return methods.baselines_stage(world, global_, base, seed)
    changes = shown(world.setting)[what]
    return methods.method_stage(world, what, changes, global_, base, seed)


def side_by_side(world: World, source: str, tasks: Sequence[Task], jobs: int) -> None:
    """Make those of these stages that the cache lacks, in so many processes.

    What they rest on must be there: two processes must not make the same stage.
    """
    missing = [task for task in tasks if not _has(world, task)]
    if jobs < 2 or len(missing) < 2 or torch.cuda.is_available():
        return  # the caller makes them, one after the other
    share = max(1, torch.get_num_threads() // jobs)
    given = source, world.setting, world.cache.root.parent, share
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _begin, given) as pool:
        for done in [pool.submit(_work, *task) for task in missing]:
            done.result()


def _has(world: World, task: Task) -> bool:
    return world.cache.has(lambda: make(world, *task))


_WORLD: list[World] = []  # of a worker


def _begin(source: str, setting: Setting, cache_root: Path, threads: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _WORLD.append(read(source, setting, cache_root))
    _WORLD[0].cache.cores = min(1.0, threads / (os.cpu_count() or 1))


def _end_with_parent() -> None:
    """A caller that was killed must not leave workers that train on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(what: str, seed: int) -> None:
    with accelerate.on(accelerate.best()):
        make(_WORLD[0], what, seed)
