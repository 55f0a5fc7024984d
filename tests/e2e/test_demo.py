"""The demo in small: all steps into one folder, and the keys that ``demo --json`` promises."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mcu_hybrid import manifest, mechanisms
from mcu_hybrid.machines import state
from mcu_hybrid.steps.demo import STEPS, DemoOptions, demo_step
from mcu_hybrid.training.config import HybridConfig

for package in ("torch", "sklearn", "onnxruntime", "fastapi", "tflite_micro"):
    pytest.importorskip(package)
if shutil.which("gcc") is None:
    pytest.skip("gcc is not installed", allow_module_level=True)

KEYS = ("exact", "board", "instructions", "arena_bytes", "rows", "report")
ROW = (
    *("method", "coverage_target", "coverage", "coverage_ci", "accuracy", "latency_ms"),
    "bytes_sent",
)


def test_demo_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    training = HybridConfig(
        base_epochs=2, global_epochs=2, base_width=4, global_width=4, router_steps=50, threads=1
    )
    options = DemoOptions("native", seed=3, training=training, bench_inputs=10, limit=30)
    labels: list[str] = []
    try:
        result = demo_step(
            tmp_path / "demo", options, on_event=lambda label, done, total: labels.append(label)
        )
        running = state.running("native")
        assert running is not None  # left running, like a board on the desk
    finally:
        state.stop("native")
    assert list(result.told.to_json()) == ["schema", *KEYS]
    shown = json.loads(json.dumps(result.told.to_json()))
    assert shown["exact"] is True
    assert (shown["board"], shown["instructions"]) == ("native", None)
    assert shown["arena_bytes"] > 0
    assert len(shown["rows"]) == 2 + 4 * len(mechanisms.names())
    for row in shown["rows"]:
        assert tuple(row) == ROW
    assert Path(shown["report"]).is_file()
    for step in STEPS:
        manifest.load(tmp_path / "demo" / step, step)
    assert manifest.read(tmp_path / "demo" / "train").facts["config"]["seed"] == 3
    assert {"base", "global", "router", "compile", "inference", "board + cloud"} <= set(labels)
    assert "mcu-hybrid bench demo/build --runs 10" in Path(shown["report"]).read_text("utf-8")
