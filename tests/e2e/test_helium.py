"""Real models on the emulated Cortex-M55: exact, and well below TFLM with CMSIS-NN."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mcu_hybrid.steps.bench import BenchOptions, bench_step

# Executed instructions of TFLM with CMSIS-NN on the same machine (benchmarks/peers.json).
PEER = {"kws_ref_model": 1_785_311, "pretrainedResnet_quant": 4_809_491}


@pytest.mark.parametrize("name", sorted(PEER))
def test_half_of_the_instructions(name: str, shared: Path) -> None:
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    options = BenchOptions(runs=2)
    result = bench_step(shared / "models" / f"{name}.tflite", "mps3-an547", options).to_json()
    assert result["exact"]
    assert result["core"] == "cortex-m55"
    assert result["instructions"] < PEER[name] / 2
