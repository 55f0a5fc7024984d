"""Scalar kernels on this machine (sanitizers) and on the emulated M3, also as code of an M0+."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import ops
from mcu_hybrid.compiler.exact.requant import EXACT, LINE
from mcu_hybrid.compiler.select.scalar import requant
from mcu_hybrid.compiler.select.scalar.add import pack
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.ops.activation import NONE, RELU
from mcu_hybrid.ops.weighted import weights_of
from tests.support import arm_rig, host_rig, scalar_cases

CASES = 300
KERNELS = ("gemm", "conv", "depthwise", "add", "average_pool")


@pytest.fixture(scope="module")
def cases() -> list[arm_rig.ArmCase]:
    """Random layers, and inputs at every step; all kernels and both forms occur."""
    rng = np.random.default_rng(30)
    found = []
    for n in range(CASES):
        graph = scalar_cases.random_graph(rng)
        choice = scalar_cases.choice_of(graph)
        if choice is not None:
            found.append(scalar_cases.as_case(graph, choice, rng, f"case {n}"))
    assert len(found) > 0.95 * CASES
    for n in range(8):
        # ReLU at the lower bound has one line per channel, a linear layer mostly not.
        activation, zero_point = ((RELU, -128), (NONE, int(rng.integers(-60, 60))))[n % 2]
        graph = scalar_cases.steps_graph(rng, activation, zero_point)
        choice = scalar_cases.choice_of(graph)
        assert choice is not None and set(choice.forms) == {(LINE, EXACT)[n % 2]}
        found.append(scalar_cases.steps_case(graph, choice, f"steps {n}"))
    seen = Counter(case.call.kernel.family for case in found)
    assert all(seen[f"scalar_{name}"] >= 10 for name in KERNELS), seen
    forms = Counter(form for case in found for form in (LINE, EXACT) if f"'{form}'" in case.name)
    assert min(forms[LINE], forms[EXACT]) >= 20, forms
    return found


@pytest.mark.parametrize("defines", [(), ("-DMH_SCALAR_NARROW=1",)], ids=["wide", "narrow"])
def test_on_this_machine(
    cases: list[arm_rig.ArmCase], defines: tuple[str, ...], tmp_path: Path
) -> None:
    assert host_rig.run_host(cases, tmp_path, scalar_cases.FOLDERS, defines) == []


@pytest.mark.parametrize("cpu", ["cortex-m3", "cortex-m0plus"])
def test_on_the_emulated_core(cases: list[arm_rig.ArmCase], cpu: str, tmp_path: Path) -> None:
    arm_rig.require_tools()
    results = arm_rig.run_arm(cases, tmp_path, "mps2-an385", scalar_cases.FOLDERS, cpu=cpu)
    wrong = [result for result in results if not result.is_right]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:5]}"


def _matrix(graph: Graph) -> np.ndarray:
    weights = weights_of(graph, graph.ops[0])
    return weights.reshape(len(weights), -1)


def test_forms_equal_the_reference_over_the_reachable_range() -> None:
    """Not only where inputs fall: every step's neighbourhood, both ends, and thousands between."""
    rng = np.random.default_rng(31)
    checked: Counter[str] = Counter()
    while min(checked[LINE], checked[EXACT]) < 15:
        graph = scalar_cases.matrix_cases.random_conv(rng)
        op, weights = graph.ops[0], _matrix(graph)
        found = requant.fit(graph, op, weights, centred=False)
        if found is None:
            continue
        asked = requant.channels_of(graph, op, weights, centred=False)
        first = requant.thresholds(asked)
        random = rng.integers(asked.acc_min, asked.acc_max + 1, (4000, len(weights))).T
        ends = np.stack([asked.acc_min, asked.acc_max], 1)
        acc = np.concatenate([first - 1, first, first + 1, random, ends], 1)
        acc = np.clip(acc, asked.acc_min[:, None], asked.acc_max[:, None])
        got = found.apply((acc - asked.offset[:, None]).T).T
        assert np.array_equal(got, asked.outputs(acc)), (graph.name, found.form)
        checked[found.form] += 1


def test_add_line_equals_the_reference_on_all_pairs() -> None:
    rng = np.random.default_rng(32)
    every = np.arange(-128, 128)
    found = 0
    for _ in range(40):
        graph = scalar_cases.random_sum(rng)
        op = graph.ops[0]
        line = pack.add_line(graph, op)
        if line is None:
            continue
        found += 1
        mul_a, mul_b, addend, shift = line
        total = every[:, None] * mul_a + every[None, :] * mul_b + addend
        assert np.abs(total).max() < 1 << 31
        choice = scalar_cases.choice_of(graph)
        assert choice is not None
        bounds = [dict(choice.call.params.fields)[name] for name in ("lo", "hi")]
        (wanted,) = ops.operator(op.kind).reference(graph, op, [every[:, None], every[None, :]])
        assert np.array_equal(np.clip(np.clip(total >> shift, -128, 127), *bounds), wanted)
    assert found >= 36
