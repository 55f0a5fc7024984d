"""Engine tflm against a real TFLM, and the comparison itself without one.

The first part runs where MH_TFLM_ROOT and MH_TFLM_LIB name a checkout and a library for
cortex-m7+fp (docs/tflm.md has the one command); the rest everywhere. The engine's sources are
checked in tests/unit/test_tflm_render.py, libraries in test_tflm_tree.py, test_arm_attributes.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcu_hybrid.artifacts.bench import BenchResult, LayerTime
from mcu_hybrid.compiler.engine import EngineOptions, TflmTree
from mcu_hybrid.steps.bench import BenchOptions, bench_step
from tests.support.cli_rig import call, fail
from tests.support.cli_rig import own_state as own_state

ROOT, LIBRARY = os.environ.get("MH_TFLM_ROOT"), os.environ.get("MH_TFLM_LIB")
BOARD = "mps2-an500"
# The reference kernels run a model's own layers; passes and streams of the fast ones change them.
OURS = EngineOptions(kernels="ref")
needs_tflm = pytest.mark.skipif(
    not (ROOT and LIBRARY), reason="MH_TFLM_ROOT and MH_TFLM_LIB are not set"
)


def differing(ours: BenchResult, theirs: BenchResult) -> list[str]:
    """Layers of both whose checksums differ; views are no layers of ours."""
    found = {row.name: row.out_crc32 for row in theirs.layers}
    return [row.name for row in ours.layers if found.get(row.name) != row.out_crc32]


@needs_tflm
@pytest.mark.parametrize("name", ["hello_world_int8", "kws_ref_model", "micro_speech_quantized"])
def test_tflm_and_aot_give_the_same_bytes(shared: Path, name: str) -> None:
    pytest.importorskip("tflite_micro")
    model = shared / "models" / f"{name}.tflite"
    tree = TflmTree(Path(str(ROOT)), Path(str(LIBRARY)))
    ours = bench_step(model, BOARD, BenchOptions(runs=2, engine=OURS))
    theirs = bench_step(model, BOARD, BenchOptions(runs=2, engine=EngineOptions("tflm", tree)))
    assert theirs.engine == "tflm" and theirs.exact and ours.exact
    assert theirs.outputs == ours.outputs
    assert theirs.self_test.first_failing is None
    assert theirs.macs == theirs.macs_executed == ours.macs
    assert not differing(ours, theirs)


@needs_tflm
def test_a_build_with_tflm_is_not_measured_as_aot(shared: Path, tmp_path: Path) -> None:
    model, made = shared / "models" / "hello_world_int8.tflite", tmp_path / "build"
    tflm = ("--tflm-root", ROOT, "--tflm-lib", LIBRARY)
    call("build", model, "--board", BOARD, "--engine", "tflm", *tflm, "--out", made)
    for option in (("--engine", "aot"), ("--kernels", "fast"), ("--optimize", "ram")):
        assert "was built with --engine tflm" in fail("bench", made, *option)["message"]
    told = call("bench", made, "--engine", "tflm", *tflm, "--runs", "1", "--no-mix")
    assert told["engine"] == "tflm"


@needs_tflm
def test_a_library_for_a_larger_core_is_refused(shared: Path, tmp_path: Path) -> None:
    model, out = shared / "models" / "hello_world_int8.tflite", tmp_path / "build"
    tflm = ("--engine", "tflm", "--tflm-root", ROOT, "--tflm-lib", LIBRARY)
    told = fail("build", model, "--board", "mps2-an386", *tflm, "--out", out)
    assert "uses an FPv5 FPU" in told["message"] and "cortex-m4+fp" in told["hint"]
    assert not out.exists()


def test_options_and_results_are_as_the_engines_test_uses_them(shared: Path) -> None:
    """The part that needs no library: the same calls, aot against itself."""
    model = shared / "models" / "hello_world_int8.tflite"
    ours = bench_step(model, "native", BenchOptions(runs=2, engine=OURS))
    fast = bench_step(model, "native", BenchOptions(runs=2))
    assert ours.engine == fast.engine == "aot"
    assert ours.outputs == fast.outputs and ours.self_test.first_failing is None
    assert differing(ours, ours) == []
    broken = [LayerTime(**(vars(row) | {"out_crc32": "0"})) for row in ours.layers[:1]]
    changed = BenchResult(**(vars(ours) | {"layers": (*broken, *ours.layers[1:])}))
    assert differing(ours, changed) == [ours.layers[0].name]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--engine", "tflm"), "links your own TensorFlow Lite Micro"),
        (("--engine", "tflm", "--tflm-root", "x"), "belong together"),
        (("--engine", "tflm", "--tflm-root", "x", "--tflm-lib", "y"), "is not a TFLM checkout"),
        (("--tflm-root", "x", "--tflm-lib", "y"), "are for --engine tflm"),
        (("--engine", "tflm", "--optimize", "ram"), "does nothing with --engine tflm"),
    ],
)
def test_what_is_missing_is_named(
    shared: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    model = shared / "models" / "hello_world_int8.tflite"
    told = fail("build", model, "--board", BOARD, *options, "--out", tmp_path / "build")
    assert words in told["message"] and told["hint"]
