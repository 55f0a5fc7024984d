"""Measures what the parts of compiled kernels cost on a core, for the cost model.

    .venv/bin/python -m tools.calibrate.fit_cost            how well the recorded constants predict
    .venv/bin/python -m tools.calibrate.fit_cost --write    fit them anew, into compiler/cost
    .venv/bin/python -m tools.calibrate.fit_cost --core cortex-m3 --layers 600 --seed 5

Random layers (tests/support/cost_cases.py) run on the emulated core, with the reference kernels and
with the core's own; each kernel's constants are the non-negative least squares of the relative
errors. Needed where a kernel of kernels/ref or kernels/cortex_m_scalar, or the compiler, changed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.select.loops import Terms
from tests.support import arm_rig, cost_cases

CORES = {  # the machine that runs a core's instructions, and the folders that are fitted there
    "cortex-m7": ("mps2-an500", (("ref",), ("cortex_m_dsp", "ref"))),
    "cortex-m3": ("mps2-an385", (("ref",), ("cortex_m_scalar", "ref"))),
    "cortex-m0plus": ("mps2-an385", (("ref",), ("cortex_m_scalar", "ref"))),
    "cortex-m55": (
        "mps3-an547",
        (("ref",), ("cortex_m_dsp", "ref"), ("cortex_m_mve", "cortex_m_dsp", "ref")),
    ),
}
# Kernels with the most terms are drawn more often.
MAKERS = (*cost_cases.MAKERS, "conv", "conv", *("depthwise",) * 5)
PROGRAM = 120  # layers of one program
SMALL = 150.0  # instructions: errors of smaller layers count for less
ROUNDS, ENOUGH = 400, 1e-9  # of the solver


@dataclass(frozen=True)
class Sample:
    """A layer that ran."""

    kernel: str
    terms: Terms
    measured: float
    predicted: int | None


def measure(core: str, layers: int, seed: int, makers: Sequence[str]) -> list[Sample]:
    """Run random layers of the ``makers`` of cost_cases.py on a core."""
    machine, chains = CORES[core]
    found: list[Sample] = []
    for folders in chains:
        rng = np.random.default_rng(seed)
        drawn = (cost_cases.draw(rng, makers, folders, core) for _ in range(layers))
        cases = [item for item in drawn if item is not None]
        for first in range(0, len(cases), PROGRAM):
            part = cases[first : first + PROGRAM]
            with tempfile.TemporaryDirectory() as folder:
                results = arm_rig.run_arm(
                    [case for case, _ in part], Path(folder), machine, folders, cpu=core
                )
            for (_, choice), result in zip(part, results, strict=True):
                terms = cost.terms(choice.call, core)
                if terms is not None:
                    name, count = choice.call.kernel.family, result.instructions
                    found.append(Sample(name, terms, count, choice.instructions))
    return found


def fit(samples: Sequence[Sample]) -> dict[str, float]:
    """The constants of one kernel, none below zero, to a tenth of an instruction; only of terms
    that occurred.
    """
    names = sorted({name for s in samples for name in s.terms})
    counts = np.array([[s.terms.get(name, 0.0) for name in names] for s in samples], float)
    measured = np.array([s.measured for s in samples])
    weights = 1 / (measured + SMALL)
    found = _non_negative(counts * weights[:, None], measured * weights)
    seen = counts.any(0)
    return {
        name: round(float(x), 1)
        for name, x, was_seen in zip(names, found, seen, strict=True)
        if was_seen
    }


def _non_negative(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Least squares with no negative unknown (Lawson and Hanson)."""
    scale = np.abs(a).max(0)
    scaled = a / np.where(scale > 0, scale, 1)
    found, used = np.zeros(a.shape[1]), np.zeros(a.shape[1], bool)
    for _ in range(ROUNDS):
        gain = np.where(used, 0, scaled.T @ (b - scaled @ found))
        if gain.max() <= ENOUGH:
            break
        used[gain.argmax()] = True
        while True:
            solved = np.zeros_like(found)
            solved[used] = np.linalg.lstsq(scaled[:, used], b, rcond=None)[0]
            below = used & (solved <= 0)
            if not below.any():
                break
            part = (found[below] / (found[below] - solved[below])).min()
            found += part * (solved - found)
            used &= found > ENOUGH
            found[~used] = 0
        found = solved
    return found / np.where(scale > 0, scale, 1)


def report(core: str, name: str, samples: Sequence[Sample], constants: dict[str, float]) -> str:
    """How far the constants are off, over layers of 2,000 instructions and more."""
    errors = [
        sum(n * constants.get(t, 0.0) for t, n in s.terms.items()) / s.measured - 1
        for s in samples
        if s.measured > 2000
    ]
    size = np.abs(errors) if errors else np.zeros(1)
    return (
        f"{core:14} {name:30} {len(samples):5} layers, of {len(errors):5} larger ones: "
        f"9 of 10 within {np.quantile(size, 0.9):.1%}, all within {size.max():.1%}"
    )


def main() -> None:
    """Measure, fit where asked, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", action="append", choices=list(CORES), help="default: all")
    parser.add_argument("--layers", type=int, default=2000, help="random layers for each folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--maker", action="append", choices=list(cost_cases.MAKERS), help="only these layers"
    )
    parser.add_argument("--write", action="store_true", help="fit and record")
    options = parser.parse_args()
    known = json.loads(cost.MEASURED.read_text("utf-8"))
    for core in options.core or CORES:
        by_kernel: defaultdict[str, list[Sample]] = defaultdict(list)
        for sample in measure(core, options.layers, options.seed, options.maker or MAKERS):
            by_kernel[sample.kernel].append(sample)
        constants = {name: fit(rows) for name, rows in sorted(by_kernel.items())}
        if options.write:
            known[core] = known.get(core, {}) | constants
        for name, rows in sorted(by_kernel.items()):
            print(report(core, name, rows, known.get(core, {}).get(name, {})))
    if options.write:
        cost.MEASURED.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
