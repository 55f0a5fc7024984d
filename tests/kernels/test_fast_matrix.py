"""Fast convolutions and fully connected layers on the emulated cores: equal to the reference."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support import arm_rig
from tests.support.matrix_cases import random_case

CASES = 400


@pytest.mark.parametrize("machine", ["mps2-an386", "mps2-an500"])
def test_random_layers(machine: str, tmp_path: Path) -> None:
    arm_rig.require_tools()
    rng = np.random.default_rng(20)
    drawn = [random_case(rng, f"case {n}") for n in range(CASES)]
    found = [item for item in drawn if item is not None]
    cases = [case for case, _ in found]
    kernels = [case.call.kernel for case in cases]
    seen = Counter((kernel.family, kernel.form) for kernel in kernels)
    small = {kernel for kernel in kernels if kernel.variant == "small"}
    for kernel in ("gemm", "conv", "conv_band"):
        for form in ("line", "fine", "exact", "plain"):
            assert seen[kernel, form], (kernel, form, seen)
        assert any(one.family == kernel for one in small), small
    assert {"fine", "exact"} <= {kernel.form for kernel in small}, small
    assert len(found) > 0.9 * CASES
    results = arm_rig.run_arm(cases, tmp_path, machine)
    wrong = [result for result in results if not result.is_right]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:5]}"
