"""Engine tflm against a real TFLM; runs where MH_TFLM_ROOT and MH_TFLM_LIB name a checkout and a
library for cortex-m7+fp (docs/tflm.md says how they are built)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcu_hybrid.pipeline.bench import BenchOptions, bench_step
from mcu_hybrid.pipeline.build import TflmTree

ROOT, LIBRARY = os.environ.get("MH_TFLM_ROOT"), os.environ.get("MH_TFLM_LIB")

pytestmark = pytest.mark.skipif(
    not (ROOT and LIBRARY), reason="MH_TFLM_ROOT and MH_TFLM_LIB are not set"
)


@pytest.mark.parametrize("name", ["hello_world_int8", "kws_ref_model", "mcunet_vww1"])
def test_tflm_and_aot_give_the_same_bytes(shared, name):
    model = shared / "models" / f"{name}.tflite"
    tree = TflmTree(Path(str(ROOT)), Path(str(LIBRARY)))
    ours = bench_step(model, "mps2-an500", BenchOptions(runs=3))
    theirs = bench_step(model, "mps2-an500", BenchOptions(runs=3, engine="tflm", tflm=tree))
    assert theirs.engine == "tflm" and theirs.exact and ours.exact
    assert theirs.outputs == ours.outputs
    assert theirs.self_test["first_failing"] is None
    layers = {row.name: row.out_crc32 for row in theirs.layers}
    assert all(layers[row.name] == row.out_crc32 for row in ours.layers)
