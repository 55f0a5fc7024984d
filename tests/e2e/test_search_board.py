"""The winner of a search on a virtual board: what was predicted from its genome alone holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

for package in ("torch", "optuna", "tensorflow", "onnx2tf", "tflite_micro", "sklearn"):
    pytest.importorskip(package)
for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed", allow_module_level=True)

from mcu_hybrid.artifacts import store  # noqa: E402
from mcu_hybrid.artifacts.search import SearchResult  # noqa: E402
from mcu_hybrid.machines import state  # noqa: E402
from mcu_hybrid.steps.calibrate import calibrate_step  # noqa: E402
from mcu_hybrid.steps.search import search_step  # noqa: E402
from tests.support.search_rig import options  # noqa: E402


def test_the_winner_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    wanted = options(tmp_path / "out", trials=1)
    found = search_step(wanted)
    try:
        measured = calibrate_step(wanted, found)
    finally:
        state.stop("mps2-an500")
    assert measured.board == "mps2-an500" and measured.exact is True
    assert measured.arena_bytes == measured.predicted_arena
    assert abs(measured.error) < 0.15
    flash = measured.flash.code_bytes + measured.flash.weights_bytes
    assert measured.predicted_flash_bytes == pytest.approx(flash, rel=0.15)
    assert store.result(SearchResult, wanted.out).measured == measured
