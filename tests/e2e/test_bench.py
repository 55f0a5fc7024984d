"""The command bench where the board and TFLM disagree: the result is told, and it is an error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from mcu_hybrid.reference.judge import Judge, Unjudged
from tests.support.cli_rig import run


@pytest.fixture
def build(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build for the host, made while the judge was right."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    model, out = shared / "models" / "hello_world_int8.tflite", tmp_path / "build"
    assert run("build", model, "--board", "native", "--out", out)[0] == 0
    return out


@pytest.fixture
def wrong_judge(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge whose first output value is one step off, for every input."""
    right = Judge.run

    def off_by_one(judge: Judge, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        first, *rest = right(judge, inputs)
        moved = first.copy()
        moved.flat[0] ^= 1
        return [moved, *rest]

    monkeypatch.setattr(Judge, "run", off_by_one)


@pytest.mark.usefixtures("wrong_judge")
def test_outputs_that_differ_end_with_an_error(build: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    arguments = ("bench", build, "--runs", 3, "--out", out)
    code, printed, said = run(*arguments, "--json")
    assert code == 1
    told = json.loads(printed)  # the result, whole, and nothing else
    assert told["exact"] is False and told["differing_outputs"] == 3
    assert json.loads((out / "bench.json").read_text()) == told
    assert said.count("error:") == 1
    assert "error: 3 output values differ from TFLM's (3 of 3 inputs)" in said
    assert "next step:" in said and "Traceback" not in said

    code, printed, said = run(*arguments[:-2])
    assert code == 1
    assert "NO: 3 values differ from TFLM over 3 inputs" in printed
    assert said.count("error:") == 1


@pytest.mark.parametrize("when", ["prepared", "ran"])
def test_a_judge_that_dies_leaves_the_boards_figures(
    build: Path, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: object) -> NoReturn:
        raise Unjudged(f"TFLM itself died (SIGSEGV) while it {when} the model")

    monkeypatch.setattr(Judge, "__init__" if when == "prepared" else "run", die)
    code, printed, said = run("bench", build, "--runs", 3, "--out", tmp_path / "b", "--json")
    told = json.loads(printed)
    assert code == 0 and "error" not in said
    assert told["exact"] is None and told["differing_outputs"] is None
    assert told["not_compared"] == f"TFLM itself died (SIGSEGV) while it {when} the model"
    assert told["ticks"] > 0 and len(told["layers"]) > 0
    code, printed, said = run("bench", build, "--runs", 3)
    assert code == 0 and "not compared: TFLM itself died (SIGSEGV)" in printed


def test_build_and_flash_say_who_made_the_known_answers(build: Path) -> None:
    try:
        code, printed, said = run("flash", build, "--json")
        assert code == 0, said
        told = json.loads(printed)
        assert told["verified"] and told["known_answers_by"] == "TFLM"
        assert "known answers by TFLM" in run("flash", build)[1]
    finally:
        run("flash", "--board", "native", "--stop")
    facts = json.loads((build / "manifest.json").read_text())["facts"]
    assert (facts["known_answers_by"], facts["known_answers_reason"]) == ("TFLM", None)
