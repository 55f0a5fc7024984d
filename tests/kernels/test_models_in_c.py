"""Random models as generated C: on this machine and on the emulated cores, TFLM's bits.

All models of a test are one program (model_rig.py). MH_FUZZ_EXAMPLES=500 hunts for longer, with
other models every time.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_hybrid.compiler.passes import optimise
from tests.support import arm_rig, model_rig
from tests.support.model_rig import Judged
from tests.support.random_cuts import in_segments, streamed, streams_at_random
from tests.support.random_models import random_model
from tests.support.random_source import seeded

pytest.importorskip("tflite_micro")

EXAMPLES = int(os.environ.get("MH_FUZZ_EXAMPLES", "0"))
AT_ONCE = 50  # arenas and weights of so many models fit the emulated memories
IN_SEGMENTS = 12  # of a batch
FIRST = random.SystemRandom().randrange(1 << 30) if EXAMPLES else 1000
CORES = {
    "dsp": ("mps2-an500", "cortex-m7", ("cortex_m_dsp", "ref")),
    "scalar": ("mps2-an385", "cortex-m3", ("cortex_m_scalar", "ref")),
    "mve": ("mps3-an547", "cortex-m55", ("cortex_m_mve", "cortex_m_dsp", "ref")),
}


@pytest.fixture(scope="module")
def batches() -> list[list[Judged]]:
    """Models with TFLM's answers; the names are their seeds."""
    seeds = range(FIRST, FIRST + (EXAMPLES or 30))
    models = [model_rig.judged(random_model(seeded(seed)).data, f"seed {seed}") for seed in seeds]
    return [models[n : n + AT_ONCE] for n in range(0, len(models), AT_ONCE)]


def folders(tmp_path: Path) -> Iterator[Path]:
    """One for each batch."""
    return (tmp_path / str(n) for n in range(1 << 20))


def test_reference_kernels_on_this_machine(batches: list[list[Judged]], tmp_path: Path) -> None:
    for models, folder in zip(batches, folders(tmp_path), strict=False):
        assert model_rig.run_host(models, folder) == []


@pytest.mark.parametrize("core", CORES)
def test_fast_kernels_on_emulated_cores(
    batches: list[list[Judged]], core: str, tmp_path: Path
) -> None:
    arm_rig.require_tools()
    for models, folder in zip(batches, folders(tmp_path), strict=False):
        assert model_rig.run_arm(models, folder, *CORES[core]) == []


def test_streams_on_this_machine(batches: list[list[Judged]], tmp_path: Path) -> None:
    """Random schedules of the same models: strips of rows, with the reference kernels."""
    for models, folder in zip(batches, folders(tmp_path), strict=False):
        assert model_rig.run_host(models, folder, streamed) == []


@pytest.mark.parametrize("core", CORES)
def test_streams_on_emulated_cores(batches: list[list[Judged]], core: str, tmp_path: Path) -> None:
    arm_rig.require_tools()
    for models, folder in zip(batches, folders(tmp_path), strict=False):
        assert model_rig.run_arm(models, folder, *CORES[core], streamed) == []


def test_segments_on_this_machine(batches: list[list[Judged]], tmp_path: Path) -> None:
    """Some of the models in as many segments as they have, streams between them."""
    for models, folder in zip(batches, folders(tmp_path), strict=False):
        assert model_rig.run_host(models[:IN_SEGMENTS], folder, in_segments) == []


def test_segments_on_an_emulated_core(batches: list[list[Judged]], tmp_path: Path) -> None:
    arm_rig.require_tools()
    for models, folder in zip(batches, folders(tmp_path), strict=False):
        assert model_rig.run_arm(models[:IN_SEGMENTS], folder, *CORES["dsp"], in_segments) == []


def test_the_models_have_segments(batches: list[list[Judged]]) -> None:
    found = [in_segments(optimise(m.graph), ("ref",), n) for n, m in enumerate(batches[0])]
    assert sum(len(program.segments) > 2 for program in found[:IN_SEGMENTS]) >= 5


def test_the_models_have_streams(batches: list[list[Judged]]) -> None:
    found = [streams_at_random(optimise(m.graph), n) for n, m in enumerate(batches[0])]
    assert sum(map(bool, found)) >= 5


def test_a_wrong_output_is_noticed(batches: list[list[Judged]], tmp_path: Path) -> None:
    models = batches[0][:4]
    first = models[2].answers[-1]
    bad = replace(models[2], answers=(*models[2].answers[:-1], replace(first, crc=first.crc ^ 1)))
    assert model_rig.run_host([*models[:2], bad, models[3]], tmp_path) == [bad.name]
