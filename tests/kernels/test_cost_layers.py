"""The cost model on random layers that its constants were not fitted to, on each measured core."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.compiler import cost
from mcu_hybrid.ops.base import KernelId
from tests.support import arm_rig, cost_cases

LAYERS, SEED = 120, 1234  # tools/calibrate/fit_cost.py takes other seeds
LARGE = 2000  # instructions: smaller layers are mostly calls
DSP = ("cortex_m_dsp", "ref")
# In what the sums of a layer are, not in its shape: a little more room.
DEPENDS_ON_VALUES = ("route_features",)
CORES = {
    "cortex-m7": ("mps2-an500", DSP),
    "cortex-m4": ("mps2-an386", DSP),
    "cortex-m3": ("mps2-an385", ("cortex_m_scalar", "ref")),
    "cortex-m55": ("mps3-an547", ("cortex_m_mve", *DSP)),
}


@pytest.mark.parametrize("core", CORES)
def test_random_layers(core: str, tmp_path: Path) -> None:
    arm_rig.require_tools()
    machine, folders = CORES[core]
    rng = np.random.default_rng(SEED)
    drawn = [cost_cases.draw(rng, tuple(cost_cases.MAKERS), folders, core) for _ in range(LAYERS)]
    found = [item for item in drawn if item is not None]
    results = arm_rig.run_arm([case for case, _ in found], tmp_path, machine, folders, cpu=core)
    assert all(result.is_right for result in results)
    errors = []
    for (_, choice), result in zip(found, results, strict=True):
        assert choice.instructions is not None, result.name
        off = abs(choice.instructions - result.instructions)
        if result.instructions < LARGE:
            assert off <= 100, (result, choice.instructions)
        elif choice.call.kernel.family not in DEPENDS_ON_VALUES:
            errors.append(off / result.instructions)
    assert len(errors) > LAYERS / 3
    assert np.quantile(errors, 0.9) <= 0.05 and max(errors) <= 0.1, sorted(errors)[-8:]


def test_what_was_not_measured_is_not_predicted() -> None:
    rng = np.random.default_rng(3)
    drawn = cost_cases.draw(rng, ("softmax",), ("ref",), "cortex-m7")
    assert drawn is not None
    call = drawn[1].call
    assert drawn[1].instructions == cost.instructions(call, "cortex-m4")
    assert cost.instructions(call, "host") is None
    assert cost.instructions(replace(call, kernel=KernelId("softplus")), "cortex-m7") is None
