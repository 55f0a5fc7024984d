"""Fast ADD, SUB, MUL, MEAN and pools on every input that there is: all pairs, or all sums.

What is wrong in any constant of these kernels for any input is wrong here; there is nothing to
prove about steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import ops
from mcu_hybrid.compiler.select.registry import FAST
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops import mean, pooling
from mcu_hybrid.ops.activation import NONE
from mcu_hybrid.ops.padding import VALID, Window
from mcu_hybrid.quant import QuantParams
from tests.support import arm_rig, dw_cases
from tests.support.arm_rig import ArmCase

Rng = np.random.Generator
EVERY = np.arange(-128, 128).astype(np.int8)
PAIRS = (1, 16, 16, 256)
CORES = {
    "cortex_m_dsp": ("mps2-an500", "", ("add", "mul", "average_pool", "mean")),
    "cortex_m_mve": ("mps3-an547", "", ("add", "average_pool", "mean")),
    "cortex_m_scalar": ("mps2-an385", "cortex-m3", ("add", "average_pool")),
}


def _pairs(rng: Rng, kind: str) -> tuple[Graph, list[np.ndarray]]:
    """An operator of two maps that hold every pair of bytes."""
    while (graph := dw_cases.random_broadcast(rng)).ops[0].kind != kind:
        pass
    tensors = tuple(replace(tensor, shape=PAIRS) for tensor in graph.tensors)
    a, b = np.meshgrid(EVERY, EVERY)
    return replace(graph, tensors=tensors), [a.reshape(PAIRS), b.reshape(PAIRS)]


def _sums(count: int) -> np.ndarray:
    """``count`` bytes in a column, a column for each sum that they can have [count, sums]."""
    total = np.arange(-128 * count, 127 * count + 1)
    columns = []
    for left in range(count, 0, -1):
        columns.append(total // left)
        total = total - columns[-1]
    return np.stack(columns).astype(np.int8)


def _mean(rng: Rng, count: int) -> tuple[Graph, list[np.ndarray]]:
    x = _sums(count)[None, None]
    shape = (1, 1, 1, x.shape[-1])
    source, target = (
        QuantParams((scale,), (int(rng.integers(-128, 128)),)) for scale in (0.05, 0.043)
    )
    tensors = (Tensor("x", x.shape, "int8", source), Tensor("y", shape, "int8", target))
    attrs = mean.Attrs((2,), True)
    return Graph("one", tensors, (Op("MEAN", "mean", (0,), (1,), attrs),), (0,), (1,)), [x]


def _average(rng: Rng, count: int) -> tuple[Graph, list[np.ndarray]]:
    x = _sums(count)[None, None]
    shape = (1, 1, 1, x.shape[-1])
    quant = QuantParams((0.05,), (int(rng.integers(-128, 128)),))
    tensors = (Tensor("x", x.shape, "int8", quant), Tensor("y", shape, "int8", quant))
    attrs = pooling.PoolAttrs(Window((1, 1), (1, 1), VALID), (1, count), NONE)
    op = Op("AVERAGE_POOL_2D", "pool", (0,), (1,), attrs)
    return Graph("one", tensors, (op,), (0,), (1,)), [x]


def _all(rng: Rng) -> Iterator[tuple[Graph, list[np.ndarray]]]:
    for kind in ("ADD", "ADD", "SUB", "MUL"):
        yield _pairs(rng, kind)
    for count in (2, 3, 5, 12, 37):
        yield _mean(rng, count)
        yield _average(rng, count)


def _cases(rng: Rng, folder: str) -> Iterator[ArmCase]:
    """What the folder's fast kernels take."""
    for graph, inputs in _all(rng):
        (op,) = graph.ops
        ops.operator(op.kind).check(graph, op)
        choice = next((c for m in FAST[folder] if (c := m(graph, op)) is not None), None)
        if choice is not None:
            outputs = ops.operator(op.kind).reference(graph, op, inputs)
            name = f"{choice.call.kernel} {op.attrs}"
            yield ArmCase(name, choice.call, tuple(inputs), outputs, choice.scratch_bytes)


@pytest.mark.parametrize("folder", CORES)
def test_every_pair_and_every_sum(folder: str, tmp_path: Path) -> None:
    arm_rig.require_tools()
    machine, cpu, kernels = CORES[folder]
    cases = list(_cases(np.random.default_rng(50), folder))
    seen = Counter(case.call.kernel.family for case in cases)
    for kernel in kernels:
        assert any(kernel in family for family in seen), (kernel, seen)
    results = arm_rig.run_arm(cases, tmp_path, machine, (folder, "ref"), cpu=cpu)
    wrong = [result for result in results if not result.is_right]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:5]}"
