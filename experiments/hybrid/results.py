"""From the stages' answers to one table, and the conditions that it must meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from experiments.hybrid.cache import Stage
from experiments.hybrid.int8 import edge_ms
from experiments.hybrid.methods import ANSWERS
from experiments.hybrid.plan import (
    ABLATIONS,
    BASE_MACS,
    BOARD,
    FLASH_BYTES,
    SIMPLE,
    SRAM_BYTES,
    TITLES,
    Setting,
    plan_of_time,
    shown,
)
from experiments.hybrid.world import World
from mcu_hybrid.artifacts.codec import to_json
from mcu_hybrid.board.load import load_board
from mcu_hybrid.routing import evaluate, methods
from mcu_hybrid.routing.costs import power_of
from mcu_hybrid.routing.link_costs import LinkModel
from mcu_hybrid.routing.methods import COVERAGES, SCORE, Run, UnitCosts
from mcu_hybrid.routing.outcomes import Outcomes

ANSWER_BYTES, CLOUD_MS = 60, 5.0  # of an answer on the way back; of the global in the cloud
ORACLES = ("agreement", "margin", "margin_upper")
RIVALS = ("appealnet, white box", "appealnet, black box", "naive")


def result_of(
    world: World,
    global_: Stage,
    branch: Stage,
    per_seed: dict[int, dict[str, Stage]],
    link: LinkModel,
    source: str,
) -> dict[str, Any]:
    """The whole result: rows, paired gaps, curves, oracle, conditions, networks."""
    runs = _in_order(_runs(world, branch, per_seed, link))
    found = methods.by_method(runs)
    single = _single(found)
    simple = {name: found[name] for name in SIMPLE}
    gaps = {
        name: methods.gaps(found["whole"], theirs)
        for name, theirs in found.items()
        if name != "whole"
    }
    result: dict[str, Any] = {
        "dataset": Path(source).name,
        "images": {name: len(indices) for name, indices in world.splits.items()},
        "networks": _networks(world, global_, per_seed),
        "rows": [*single, *methods.table(runs)],
        "gaps": gaps,
        "closed": [methods.closed(found["whole"], simple, c) for c in COVERAGES],
        "curves": {name: methods.curve(mine) for name, mine in found.items()},
        "oracle": methods.oracle_curve(found["max-prob"]),
        "oracles": {
            title: _oracles(world, [stages[name] for stages in per_seed.values()])
            for title, name in (("networks as they were", "router"), ("whole", "whole"))
        },
        "oracle_joint": methods.oracle_curve(found["whole"]),
        "link": to_json(link.facts()),
        "power": asdict(power_of(load_board(BOARD))),
    }
    seeds = len(per_seed)
    macs = result["networks"]["base_macs"], result["networks"]["global_macs"]
    plan = sum(s for _, s in plan_of_time(world.setting, seeds, *macs))
    result["plan_minutes"] = round(plan / 60, 1)
    spent = [
        stage.seconds * stage.cores
        for name, stage in world.cache.stages.items()
        if not name.endswith(tuple(ABLATIONS))
    ]
    minutes = sum(spent) / 60
    result["conditions"] = conditions(result, found, world.setting, minutes)
    return result


def _runs(
    world: World, branch: Stage, per_seed: dict[int, dict[str, Stage]], link: LinkModel
) -> list[Run]:
    """Every method with every seed; the split network is one and counts for each seed."""
    pixels = int(np.prod(world.data.shape))
    runs: list[Run] = []
    for seed, stages in per_seed.items():
        router, whole = stages["router"], stages["whole"]
        sources = [(name, router, name, pixels) for name in SIMPLE]
        sources.append(("joint margin", whole, "margin", pixels))
        sources.append(("trained on, margin", stages["trained on"], "margin", pixels))
        sources += [(name, stages[name], "learned", pixels) for name in shown(world.setting)]
        sources.append(("branchynet", branch, "branchynet", branch.facts["query_bytes"]))
        for name in ("selective", "appealnet, white box", "appealnet, black box"):
            sources.append((name, stages["baselines"], name, pixels))
        for method, stage, column, sent in sources:
            # The other heads run on the base: their own few products do not show.
            priced = router if stage is stages["baselines"] else stage
            costs = _costs(edge_ms(priced.facts["edge"])["edge_ms"] or 0.0, sent, link)
            known, seen = (_scored(world, stage, column, s) for s in ("calibration", "test"))
            runs.append(Run(method, seed, known, seen, costs))
    return runs


def _oracles(world: World, stages: list[Stage]) -> dict[str, dict[str, float]]:
    """Accuracy and coverage of the three oracles for these networks, means of the seeds."""
    y, rows = world.y("test"), []
    for stage in stages:
        _, edge, cloud = _answers(stage, "margin", "test")
        found = evaluate.oracles(Outcomes.of_two(edge, cloud, y), evaluate.Costs(0.0, 1.0, 1))
        measured = [getattr(found, name) for name in ORACLES]
        rows.append([[one.accuracy, one.coverage] for one in measured])
    means = np.mean(rows, axis=0).tolist()
    return {
        name: {"accuracy": accuracy, "coverage": coverage}
        for name, (accuracy, coverage) in zip(ORACLES, means, strict=True)
    }


def _in_order(runs: list[Run]) -> list[Run]:
    """The whole method first, then as TITLES has them, then the ablations."""
    names = list(TITLES)
    return sorted(runs, key=lambda r: names.index(r.method) if r.method in names else len(names))


def _scored(world: World, stage: Stage, column: str, split: str) -> Outcomes:
    score, edge, cloud = _answers(stage, column, split)
    return Outcomes.of_two(edge, cloud, world.y(split), {SCORE: score})


def _answers(stage: Stage, column: str, split: str) -> list[np.ndarray]:
    """Scores, the device's classes and the cloud's, [N] each."""
    with np.load(stage.folder / ANSWERS) as file:
        return [file[f"{column}|{split}|{k}"] for k in ("score", "edge", "cloud")]


def _costs(device_ms: float, sent: int, link: LinkModel) -> UnitCosts:
    """Device time as predicted for the board; in a query the core sleeps and the radio works."""
    power = power_of(load_board(BOARD))
    query_ms = link.query_ms(sent, ANSWER_BYTES, CLOUD_MS)
    return UnitCosts(
        device_ms,
        query_ms,
        link.on_air_bytes(sent),
        power.edge_mj(device_ms),
        power.wait_mj(query_ms) + (link.query_mj(sent, ANSWER_BYTES) or 0.0),
    )


def _single(found: dict[str, list[Run]]) -> list[dict[str, Any]]:
    """The rows of device alone and cloud alone."""
    rows = []
    for name, coverage in (("on-device only", 1.0), ("cloud only", 0.0)):
        alone = [_constant(run, name) for run in found["max-prob"]]
        rows += methods.table(alone, (coverage,))
    return rows


def _constant(run: Run, name: str) -> Run:
    """The run with a score that cannot tell images apart: it keeps all or none."""
    flat = [
        known.scored(SCORE, np.zeros(known.count, np.int64))
        for known in (run.calibration, run.test)
    ]
    costs = run.costs
    if name == "cloud only":  # nothing has to run on the device
        costs = UnitCosts(0.0, costs.query_ms, costs.query_bytes, 0.0, costs.query_mj)
    return Run(name, run.seed, flat[0], flat[1], costs)


def _networks(
    world: World, global_: Stage, per_seed: dict[int, dict[str, Stage]]
) -> dict[str, Any]:
    """Sizes and accuracies of the networks that the comparison starts from."""
    first = next(iter(per_seed.values()))
    edge = first["whole"].facts["edge"]
    return {
        "base_macs": first["base"].facts["macs"],
        "global_macs": global_.facts["macs"],
        "base_accuracy_float": [s["base"].facts["accuracy_float"] for s in per_seed.values()],
        "global_accuracy": global_.facts["accuracy"],
        "arena_bytes": edge["arena_bytes"],
        "weights_bytes": edge["weights_bytes"],
        **edge_ms(edge),
        "instructions": edge["instructions"],
        "board": BOARD,
    }


def conditions(
    result: dict[str, Any], found: dict[str, list[Run]], setting: Setting, minutes: float
) -> list[dict[str, Any]]:
    """What is asked of the table: (what, value, least value, met, binding for this setting)."""
    level = {name: _accuracies(runs) for name, runs in found.items()}
    best = np.max([level[name] for name in SIMPLE], axis=0)
    over_best, over_entropy = level["whole"] - best, level["whole"] - level["entropy"]
    rows = {(row["method"], row["coverage_target"]): row for row in result["rows"]}
    cloud = rows["cloud only", 0.0]["accuracy"]
    curve = result["curves"]["whole"]
    as_good = [
        c for c, a in zip(curve["coverage"], curve["accuracy"], strict=True) if a >= cloud - 0.003
    ]
    closed = [row["closed"] for row in result["closed"] if row["closed"] is not None]
    points = [methods.point(run, c) for runs in found.values() for run in runs for c in COVERAGES]
    networks = result["networks"]
    lead = 100 * (networks["global_accuracy"] - float(np.mean(networks["base_accuracy_float"])))
    asked_of_it = setting.name != "smoke"  # whose networks have learned nothing
    asked = [
        (
            "points over entropy, mean of .9 .8 .7",
            100 * float(over_entropy[:3].mean()),
            1.0,
            asked_of_it,
        ),
        ("least points over the best simple score", 100 * float(over_best.min()), 0.0, asked_of_it),
        (
            "points over the best simple score, mean",
            100 * float(over_best.mean()),
            0.5,
            asked_of_it,
        ),
        *(
            (
                f"points over {name}, mean",
                100 * float((level["whole"] - level[name]).mean()),
                0.0,
                asked_of_it,
            )
            for name in RIVALS
        ),
        (
            "points over the control (trained on, margin), mean",
            100 * float((level["whole"] - level["trained on, margin"]).mean()),
            0.0,
            False,
        ),
        (
            "% of the gap to the oracle closed, mean",
            100 * float(np.mean(closed or [0.0])),
            15.0,
            asked_of_it,
        ),
        (
            "% kept with at most 0.3 points less than the cloud alone",
            100 * max(as_good, default=0.0),
            25.0,
            asked_of_it,
        ),
        (
            "% of realised coverages inside their 95 % interval",
            100 * float(np.mean([p["coverage_in_interval"] for p in points])),
            90.0,
            asked_of_it,
        ),
        ("minutes left of the setting's limit", setting.limits[1] - minutes, 0.0, False),
        ("points of the global over the base", lead, setting.limits[0], True),
        (
            "M MACs of the base below the limit",
            (BASE_MACS - networks["base_macs"]) / 1e6,
            0.0,
            True,
        ),
        (
            "KB of SRAM left beside the arena",
            (SRAM_BYTES - networks["arena_bytes"]) / 1024,
            0.0,
            True,
        ),
        (
            "KB of flash left beside the weights",
            (FLASH_BYTES - networks["weights_bytes"]) / 1024,
            0.0,
            True,
        ),
    ]
    return [
        {"what": what, "value": value, "least": least, "met": value > least, "binding": binding}
        for what, value, least, binding in asked
    ]


def _accuracies(runs: Sequence[Run]) -> np.ndarray:
    """Mean accuracy over the seeds at each coverage of the table."""
    return np.array([row["accuracy"] for row in methods.table(runs)])
