"""Fast depthwise layers, ADDs, pools and moves on the emulated cores: equal to the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import ops
from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.ops.base import KernelId
from mcu_hybrid.ops.padding import SAME, VALID, Window
from tests.support import arm_rig, dw_cases
from tests.support.dw_cases import as_cases
from tests.support.kernel_ids import is_like

MODELS = ("kws_ref_model", "mcunet_vww1", "micro_speech_quantized", "pretrainedResnet_quant")
SIMPLE = ("random_add", "random_broadcast", "random_pool", "random_mean", "random_move")
TICK = 2 * 40  # instructions: a count is rounded to ticks at both ends
Found = list[tuple[arm_rig.ArmCase, Choice]]


def _draw(make: Callable[[np.random.Generator], Graph], seed: int, count: int) -> Found:
    """So many random layers that a fast kernel takes; cases over operands included."""
    rng = np.random.default_rng(seed)
    found: Found = []
    for n in range(count):
        graph = make(rng)
        ops.operator(graph.ops[0].kind).check(graph, graph.ops[0])
        drawn = as_cases(graph, rng, f"case {n}")
        if drawn is not None:
            found += [(case, drawn[1]) for case in drawn[0]]
    return found


def _run(found: Found, folder: Path, machine: str = "mps2-an500") -> list[arm_rig.ArmResult]:
    results = arm_rig.run_arm([case for case, _ in found], folder, machine)
    wrong = [result for result in results if not result.is_right]
    assert not wrong, f"{len(wrong)} of {len(found)}: {wrong[:5]}"
    return results


def _kernels(found: Found) -> Counter[KernelId]:
    return Counter(case.call.kernel for case, _ in found)


@pytest.mark.parametrize("machine", ["mps2-an386", "mps2-an500"])
def test_random_depthwise_layers(machine: str, tmp_path: Path) -> None:
    arm_rig.require_tools()
    found = _draw(dw_cases.random_depthwise, 1 if machine == "mps2-an386" else 2, 130)
    seen = _kernels(found)
    wanted = [
        *(KernelId("dw3", (stride, 64), "slope") for stride in (1, 2)),
        *(KernelId("dwk", (words,)) for words in (2, 3, 4)),
        KernelId("dw_any"),
    ]
    for kernel in wanted:
        assert any(is_like(one, kernel) for one in seen), (kernel, seen)
    assert any(one.family == "dw3" and one.tile[1] == 128 for one in seen), seen
    for form in (("slope", 8), ("slope", 12), ("slope", 16), ("exact", None)):
        assert any((one.form, one.shift) == form for one in seen), (form, seen)
    assert any(case.inplace >= 0 for case, _ in found)
    _run(found, tmp_path, machine)


@pytest.mark.parametrize("machine", ["mps2-an386", "mps2-an500"])
@pytest.mark.parametrize("make", SIMPLE)
def test_random_simple_layers(make: str, machine: str, tmp_path: Path) -> None:
    arm_rig.require_tools()
    found = _draw(getattr(dw_cases, make), 3, 60)
    assert len(found) > 30
    _run(found, tmp_path, machine)


def test_layers_cut_into_strips_and_tiles(tmp_path: Path) -> None:
    """Maps that do not fit the scratch at once, in both directions, and in place."""
    arm_rig.require_tools()
    rng = np.random.default_rng(4)
    shapes = (
        ((60, 20, 4), (3, 3), (1, 1)),
        ((20, 60, 4), (3, 3), (1, 1)),
        ((5, 130, 4), (3, 3), (1, 1)),
        ((9, 131, 6), (3, 3), (2, 2)),
        ((40, 40, 4), (5, 5), (1, 1)),
        ((33, 50, 5), (7, 7), (2, 2)),
        ((70, 12, 4), (9, 3), (1, 1)),
        ((49, 40, 1), (10, 8), (2, 2)),
    )
    found: Found = []
    for size, kernel, stride in shapes:
        for padding in (SAME, VALID):
            if padding == VALID and size[0] < kernel[0]:
                continue
            window = Window(stride, (1, 1), padding)
            graph = dw_cases.depthwise_graph(rng, size, kernel, window)
            drawn = as_cases(graph, rng, "cut")
            assert drawn is not None, size
            found += [(case, drawn[1]) for case in drawn[0]]
    fields = [dict(choice.call.params.fields) for _, choice in found]
    assert any(
        p.get("strip", 0) < p["out_h"] and c.inplace >= 0
        for p, (c, _) in zip(fields, found, strict=True)
    )
    assert any(p.get("tile", 1000) < p["out_w"] for p in fields)
    _run(found, tmp_path)


def test_channels_without_a_slope_are_done_again(tmp_path: Path) -> None:
    """Factors far apart within a layer: slopes for most channels, the exact form for few."""
    arm_rig.require_tools()
    rng = np.random.default_rng(11)
    found: Found = []
    for n in range(70):
        kernel = (3, 3) if n % 2 else (5, 5)
        window = Window((1, 1), (1, 1), SAME)
        graph = dw_cases.depthwise_graph(rng, (5, 6, 24), kernel, window)
        drawn = as_cases(graph, rng, f"case {n}")
        if drawn is not None and len(drawn[1].forms) == 2 and drawn[1].call.kernel.form == "slope":
            found += [(case, drawn[1]) for case in drawn[0]]
    assert {case.call.source for case, _ in found} == {"depthwise3_s8", "depthwise_kronecker_s8"}
    _run(found, tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_layers_of_real_models(name: str, shared: Path, tmp_path: Path) -> None:
    arm_rig.require_tools()
    data = (shared / "models" / f"{name}.tflite").read_bytes()
    graph = optimise(read_tflite(data, name).graph, fold_dead=False)
    rng = np.random.default_rng(1)
    found: Found = []
    for op in graph.ops:
        drawn = as_cases(dw_cases.alone(graph, op), rng, op.name)
        if drawn is not None:
            found.append((drawn[0][0], drawn[1]))
    for (_, choice), result in zip(found, _run(found, tmp_path), strict=True):
        _assert_predicted(choice, result, 0)


def test_prediction_of_random_layers(tmp_path: Path) -> None:
    arm_rig.require_tools()
    found = _draw(dw_cases.random_depthwise, 8, 100)
    for make in SIMPLE:
        found += _draw(getattr(dw_cases, make), 9, 25)
    for (_, choice), result in zip(found, _run(found, tmp_path), strict=True):
        # Layers of a few hundred MACs are all overhead, which the compiler decides.
        _assert_predicted(choice, result, 150)


def _assert_predicted(choice: Choice, result: arm_rig.ArmResult, per_call: float) -> None:
    assert choice.instructions is not None
    error = choice.instructions - result.instructions
    assert abs(error) <= 0.05 * result.instructions + TICK + per_call, (result, error)


def test_average_of_every_sum_and_count() -> None:
    """The product that replaces the division in mh_average_pool_fast_s8."""
    for count in range(1, 257):
        sums = np.arange(-128 * count, 127 * count + 1)
        wanted = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
        scale = ((1 << 30) + count // 2) // count
        fourfold = 4 * sums + 2 * count + 1 - 2 * (sums < 0)
        assert np.array_equal((fourfold * scale) >> 32, wanted), count
