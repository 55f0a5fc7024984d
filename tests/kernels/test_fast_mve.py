"""The kernels of the vector extension on an emulated Cortex-M55: equal to the reference."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from mcu_hybrid.compiler.select.mve.add import match as mve_add
from mcu_hybrid.compiler.select.mve.add import pack
from mcu_hybrid.compiler.select.mve.matrix import match as mve_matrix
from mcu_hybrid.ops import add
from mcu_hybrid.ops.padding import SAME, Window
from tests.support import arm_rig, dw_cases, matrix_cases, mve_cases
from tests.support.arm_rig import ArmCase

MACHINE = "mps3-an547"
CASES = 700
EVERY_INT8 = np.arange(-128, 128, dtype=np.int8)
KERNELS = {
    *((f"mve_{kernel}", form) for kernel in ("gemm", "conv") for form in ("up", "away", "any")),
    *(("mve_depthwise", form) for form in ("up", "away")),
    *((f"mve_{kernel}", "") for kernel in ("add", "average_pool", "max_pool", "mean")),
}


def test_random_layers(tmp_path: Path) -> None:
    arm_rig.require_tools()
    rng = np.random.default_rng(21)
    cases: list[ArmCase] = []
    forms: Counter[tuple[str, str]] = Counter()
    costs = []
    for n in range(CASES):
        generator = mve_cases.GENERATORS[n % len(mve_cases.GENERATORS)]
        graph = generator(rng)
        choice = mve_cases.match(graph)
        if choice is not None:
            forms[choice.call.kernel.family, choice.call.kernel.form] += 1
            added = mve_cases.as_cases(graph, choice, rng, f"case {n}")
            cases += added
            costs += [choice.instructions] * len(added)
    assert forms.keys() == KERNELS and min(forms.values()) >= 3, forms
    assert sum(forms.values()) > 0.85 * CASES
    results = arm_rig.run_arm(cases, tmp_path, MACHINE, ("cortex_m_mve", "ref"))
    wrong = [result for result in results if not result.is_right]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:5]}"
    ratios = [
        cost / r.instructions
        for r, cost in zip(results, costs, strict=True)
        if r.instructions > 20_000
    ]
    assert len(ratios) > 20
    assert np.quantile(np.abs(np.array(ratios) - 1), 0.9) < 0.05, sorted(ratios)


def test_kernels_of_the_dsp_extension_run_there_too(tmp_path: Path) -> None:
    arm_rig.require_tools()
    rng = np.random.default_rng(22)
    cases = []
    for n in range(90):
        drawn = matrix_cases.random_case(rng, f"case {n}")
        cases += [drawn[0]] if drawn is not None else []
        graph = (dw_cases.random_depthwise, dw_cases.random_move)[n % 2](rng)
        more = dw_cases.as_cases(graph, rng, f"case {n}")
        cases += more[0] if more is not None else []
    results = arm_rig.run_arm(cases, tmp_path, MACHINE)
    wrong = [result for result in results if not result.is_right]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:5]}"


def test_no_kernel_takes_what_it_cannot_compute() -> None:
    rng = np.random.default_rng(23)
    sideways = Window((1, 1), (1, 2), SAME)
    weights = rng.integers(-127, 128, (4, 3, 3, 4)).astype(np.int8)
    graph = matrix_cases.conv_graph(rng, (1, 6, 6, 4), weights, (1, 6, 6, 4), sideways)
    assert mve_cases.match(graph) is None
    grouped = matrix_cases.conv_graph(
        rng, (1, 6, 6, 8), weights, (1, 6, 6, 4), Window((1, 1), (1, 1), SAME)
    )
    assert mve_cases.match(grouped) is None
    large = dw_cases.depthwise_graph(rng, (20, 20, 4), (11, 11), Window((1, 1), (1, 1), SAME))
    assert mve_cases.match(large) is None


def test_one_input_channel_is_an_ordinary_convolution() -> None:
    rng = np.random.default_rng(24)
    window = Window((2, 2), (1, 1), SAME)
    graph = dw_cases.depthwise_graph(rng, (9, 8, 1), (10, 8), window, multiplier=8)
    choice = mve_cases.match(graph)
    assert choice is not None and choice.call.source == "mve_conv_s8"


def test_a_line_is_the_operator_on_every_pair() -> None:
    rng = np.random.default_rng(25)
    found = 0
    for _ in range(20):
        graph = dw_cases.random_add(rng)
        (op,) = graph.ops
        line = pack.find_line(graph, op)
        if line is None or op.kind != "ADD":
            continue
        found += 1
        a, b = EVERY_INT8[:, None], EVERY_INT8[None, :]
        (expected,) = add.reference(graph, op, [a, b])
        choice = mve_add.match(graph, op)
        assert choice is not None
        bounds = dict(choice.call.params.fields)
        ours = np.clip(line.apply(a, b), bounds["lo"], bounds["hi"])
        assert np.array_equal(ours, expected)
    assert found > 5


def test_weights_are_no_longer_than_a_multiple_of_four() -> None:
    rng = np.random.default_rng(26)
    weights = rng.integers(-127, 128, (8, 1, 1, 20)).astype(np.int8)
    graph = matrix_cases.conv_graph(
        rng, (1, 3, 3, 20), weights, (1, 3, 3, 8), Window((1, 1), (1, 1), SAME)
    )
    choice = mve_matrix.match(graph, graph.ops[0])
    assert choice is not None
    stream = dict(choice.call.params.fields)["stream"].data
    constants = 4 if choice.call.kernel.form == "any" else 3
    assert stream.nbytes == weights.size + 4 * constants * len(weights)
