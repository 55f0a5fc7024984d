"""Measured on the virtual board: ``--optimize speed`` takes fewer instructions than ``ram``."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.steps.bench import BenchOptions, bench_step
from mcu_hybrid.steps.build import EngineOptions

pytest.importorskip("tflite_micro")


def test_speed_is_not_slower_than_ram(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    model = shared / "models" / "field" / "mltk_image_example1.tflite"

    def measured(aim: str) -> BenchResult:
        options = BenchOptions(runs=1, engine=EngineOptions(optimize=aim))
        result = bench_step(model, "mps2-an500", options)
        assert result.exact is True
        return result

    speed, ram = measured("speed"), measured("ram")
    assert speed.instructions is not None and ram.instructions is not None
    assert speed.instructions <= ram.instructions
    assert ram.arena_bytes <= speed.arena_bytes
    assert speed.macs == ram.macs  # of the model
    assert speed.macs_executed == sum(layer.macs for layer in speed.layers) < speed.macs
