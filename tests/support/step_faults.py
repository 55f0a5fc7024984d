"""Constants that are wrong by the least that matters, on their way into the stream of a kernel.

A ``Seam`` says where a family of kernels gets its constants and what they mean (step_seams.py has
those that there are). Not here: the layers (step_cases.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.graph.types import Graph, Op
from tests.support.arm_rig import ArmCase
from tests.support.step_cases import Steps

_MOST = 1 << 22  # of a change: 32-bit registers do not overflow yet
Match = Callable[[Graph, Op], Choice | None]


@dataclass(frozen=True)
class Seam:
    """Where a matcher gets its constants from, and what they mean.

    ``names`` lists the constants of a result, ``changed`` adds to one of them per channel,
    ``outputs`` computes what a kernel gives for accumulators [n, channels], from a result and the
    arguments that led to it (the last one holds those by name).
    """

    module: ModuleType
    attribute: str
    names: Callable[[Any], tuple[str, ...]]
    changed: Callable[[Any, str, np.ndarray], Any]
    outputs: Callable[[Any, tuple[Any, ...], np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Fit:
    """A choice, and the constants and arguments of the seam that led to it."""

    choice: Choice
    result: Any
    args: tuple[Any, ...]


def fit(
    match: Match, seam: Seam, graph: Graph, change: Callable[[Any], Any] = lambda result: result
) -> Fit | None:
    """Match the only operator, its constants changed on their way into the stream."""
    own = getattr(seam.module, seam.attribute)
    calls: list[tuple[Any, tuple[Any, ...]]] = []

    def seam_call(*args: Any, **options: Any) -> Any:
        found = own(*args, **options)
        calls.append((None if found is None else change(found), (*args, options)))
        return calls[-1][0]

    setattr(seam.module, seam.attribute, seam_call)
    try:
        choice = match(graph, graph.ops[0])
    finally:
        setattr(seam.module, seam.attribute, own)
    if choice is None or not calls or calls[-1][0] is None:
        return None
    return Fit(choice, *calls[-1])


def harmful(steps: Steps, seam: Seam, found: Fit, name: str, sign: int) -> np.ndarray:
    """Per channel the smallest change of a constant that moves a step; 0 where none does."""
    right = seam.outputs(found.result, found.args, steps.every)

    def moves(size: np.ndarray) -> np.ndarray:
        changed = seam.changed(found.result, name, sign * size)
        return np.any(seam.outputs(changed, found.args, steps.every) != right, 0)

    high = np.ones(right.shape[1], np.int64)
    while np.any(still := ~moves(high) & (high < _MOST)):
        high = np.where(still, 2 * high, high)
    low = high // 2
    while np.any(high - low > 1):
        middle = np.where(high - low > 1, (low + high) // 2, high)
        hit = moves(middle)
        low, high = np.where(hit, low, middle), np.where(hit, middle, high)
        low = np.minimum(low, high - 1)
    return sign * np.where(moves(high), high, 0)


def disturbed(
    steps: Steps, match: Match, seam: Seam, found: Fit, name: str, sizes: np.ndarray
) -> tuple[ArmCase, np.ndarray]:
    """The case with a changed constant, and per channel how many outputs must be wrong."""
    other = fit(match, seam, steps.graph, lambda result: seam.changed(result, name, sizes))
    assert other is not None and other.choice.call.kernel == found.choice.call.kernel
    right = seam.outputs(found.result, found.args, steps.sums)
    wrong = (seam.outputs(other.result, found.args, steps.sums) != right).sum(0)
    case = steps.case(other.choice, f"{name} {sizes.tolist()}")
    assert np.array_equal(right.reshape(-1), case.outs[0].reshape(-1))
    return case, wrong


def with_delta(result: Any, name: str, delta: np.ndarray) -> Any:
    """A dataclass of constants with a delta on one of them."""
    return replace(result, **{name: getattr(result, name) + delta})
