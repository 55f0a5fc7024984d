"""Real models' convolutions on the emulated core: exact, with as many instructions as predicted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import ops, resources
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.dsp.matrix import match as dsp_matrix
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from tests.support import arm_rig
from tests.support.matrix_cases import KINDS, random_case

MODELS = ("kws_ref_model", "mcunet_vww1", "micro_speech_quantized", "pretrainedResnet_quant")
TICK = 2 * 40  # instructions: a count is rounded to ticks at both ends


def _assert_predicted(choice: Choice, result: arm_rig.ArmResult, per_call: float) -> None:
    assert choice.instructions is not None
    error = choice.instructions - result.instructions
    assert abs(error) <= 0.05 * result.instructions + TICK + per_call, (result, error)


@pytest.mark.parametrize("name", MODELS)
def test_layers_of_real_models(name: str, shared: Path, tmp_path: Path) -> None:
    arm_rig.require_tools()
    data = (shared / "models" / f"{name}.tflite").read_bytes()
    graph = read_tflite(data, name).graph
    rng = np.random.default_rng(1)
    chosen = [_case(graph, op, rng) for op in graph.ops if op.kind in KINDS]
    results = arm_rig.run_arm([case for case, _ in chosen], tmp_path)
    for (_, choice), result in zip(chosen, results, strict=True):
        assert result.is_right, result
        _assert_predicted(choice, result, 0)


def _case(graph: Graph, op: Op, rng: np.random.Generator) -> tuple[arm_rig.ArmCase, Choice]:
    choice = dsp_matrix.match(graph, op)
    assert choice is not None, op.name
    x = rng.integers(-128, 128, graph.tensor(op.inputs[0]).shape).astype(np.int8)
    constants = [None if i == ABSENT else graph.tensor(i).data for i in op.inputs[1:]]
    outputs = ops.operator(op.kind).reference(graph, op, [x, *constants])
    label = f"{op.name} {choice.call.kernel}"
    return arm_rig.ArmCase(label, choice.call, (x,), outputs, choice.scratch_bytes), choice


def test_prediction_of_random_layers(tmp_path: Path) -> None:
    arm_rig.require_tools()
    rng = np.random.default_rng(8)
    drawn = [random_case(rng, f"case {n}") for n in range(120)]
    found = [item for item in drawn if item is not None]
    results = arm_rig.run_arm([case for case, _ in found], tmp_path)
    for (_, choice), result in zip(found, results, strict=True):
        # Layers of a few hundred MACs are all overhead, which the compiler decides.
        _assert_predicted(choice, result, 150)


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_kernels_compile_without_warnings(cpu: str, tmp_path: Path) -> None:
    arm_rig.require_tools()
    folder = resources.kernels()
    sources = sorted(map(str, (folder / "cortex_m_dsp").glob("*.[cS]")))
    flags = ["-mthumb", "-O2", "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    argv = ["arm-none-eabi-gcc", f"-mcpu={cpu}", *flags, "-I", str(folder / "include"), "-c"]
    done = subprocess.run([*argv, *sources], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
