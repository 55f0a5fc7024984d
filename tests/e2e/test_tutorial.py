"""docs/train.md, followed to the letter on the native board: its files, its commands, its order."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcu_hybrid import manifest

for package in ("torch", "tensorflow", "onnx2tf", "onnxruntime", "fastapi"):
    pytest.importorskip(package)
if shutil.which("gcc") is None:
    pytest.skip("gcc is not installed", allow_module_level=True)

STEPS = ("train", "build", "board", "tune")
# The tutorial's own run is small already; a test needs no accuracy.
FAST = ["--base-epochs", "2", "--global-epochs", "1", "--threads", "1", "--set", "router_steps=50"]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(text: str, step: str) -> list[list[str]]:
    found = re.search(rf"<!-- commands: {step} -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert found, f"docs/train.md has no commands of the step {step}"
    return [shlex.split(line, comments=True) for line in found[1].splitlines() if line.strip()]


def run(*args: str, must_work: bool = True) -> None:
    """A verb as a process of its own, as a reader starts it."""
    argv = [sys.executable, "-m", "mcu_hybrid", *args]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 or not must_work, f"{args}: {done.stdout}{done.stderr}"


def test_the_tutorial_from_nothing_to_a_tuned_board(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (root / "docs" / "train.md").read_text("utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    for source in blocks(text, "python"):
        name = re.match(r"# (\w+\.py)\n", source)
        assert name, "a listing begins with its file's name"
        (tmp_path / name[1]).write_text(source, "utf-8")
    done = []
    try:
        for step in STEPS:
            for program, verb, *rest in commands(text, step):
                assert program == "mcu-hybrid"
                run(verb, *rest, *(FAST if verb == "train" else []))
                done.append(verb)
    finally:
        run("flash", "--board", "native", "--stop", must_work=False)
    assert set(done) == {"train", "export", "build", "flash", "bench", "run", "tune", "report"}
    assert (tmp_path / "runs" / "report" / "report.html").is_file()
    tuned = manifest.load(tmp_path / "runs" / "tuned", "build")
    assert tuned.facts["board"] == "native"
