"""A comparison of methods as experiments/hybrid makes it: real arithmetic, simulated answers."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.artifacts.codec import to_json
from mcu_hybrid.report.data import Methods
from mcu_hybrid.routing import methods
from mcu_hybrid.routing.link_costs import PRESETS
from mcu_hybrid.routing.methods import SCORE, Run, UnitCosts
from mcu_hybrid.routing.outcomes import Outcomes

# method -> how blurred its score is, bytes of a query
KINDS = {
    "whole method: networks trained together": (0.25, 3232),
    "simple score: max-prob": (0.45, 3232),
    "simple score: entropy": (0.6, 3232),
    'split network <features> & "more"': (0.5, 16896),
    "ablation: no features": (0.3, 3232),
}


def answers(rng: np.random.Generator, hard: np.ndarray, blur: float) -> Outcomes:
    """A split on which the edge fails where it is hard, and the cloud sometimes."""
    edge = rng.random(len(hard)) > 0.62 * hard
    cloud = rng.random(len(hard)) > 0.05 + 0.18 * hard
    score = np.round(9000 * (hard + blur * rng.standard_normal(len(hard)))).astype(np.int64)
    return Outcomes.of_right(edge, cloud, {SCORE: score})


def runs(seeds: int = 3, count: int = 4000) -> list[Run]:
    """All kinds with all seeds on one test split."""
    hard = np.random.default_rng(0).random(count) ** 1.3
    found = []
    for name, (blur, sent) in KINDS.items():
        costs = UnitCosts(7.5, PRESETS["wifi"].query_ms(sent, 60, 5.0), sent, 3.0, 4.2)
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            known = answers(rng, hard[: count // 2], blur)
            found.append(Run(name, seed, known, answers(rng, hard, blur), costs))
    return found


def sample() -> Methods:
    """What the page is given."""
    made = runs()
    found = methods.by_method(made)
    first = next(iter(found.values()))
    flat = [Run("cloud", r.seed, _flat(r.calibration), _flat(r.test), r.costs) for r in first]
    return {
        "series": [
            {"title": name, "first": i < 4, "curve": methods.curve(mine)}
            for i, (name, mine) in enumerate(found.items())
        ],
        "bound": {"title": "bound: knows the truth", "curve": methods.oracle_curve(first)},
        "single": [
            {"title": title, **methods.table(flat, (coverage,))[0]}
            for title, coverage in (("device alone", 1.0), ("cloud alone", 0.0))
        ],
        "dataset": "simulated <answers>",
        "samples": 4000,
        "calibration_samples": 2000,
        "seeds": 3,
        "link": to_json(PRESETS["wifi"].facts()),
        "energy": "board (assumption: 120 mA at 216 MHz); the radio is not in it",
    }


def _flat(split: Outcomes) -> Outcomes:
    return split.scored(SCORE, np.zeros(split.count, np.int64))
