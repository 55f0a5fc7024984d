"""Boards that do not answer, or answer as another: on a real terminal, with stand-in tools."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcu_hybrid import process
from mcu_hybrid.board.load import load_board
from mcu_hybrid.cli import main
from mcu_hybrid.cli.flash import command as flash_command
from mcu_hybrid.machines import state
from mcu_hybrid.steps import attach, flash
from mcu_hybrid.steps.build import build_step
from tests.support.bad_rig import Refused, classifier

pytest.importorskip("serial")


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model for the H7 and for this machine."""
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("gcc") is None:
        pytest.skip("a compiler is not installed")
    folder = tmp_path_factory.mktemp("builds")
    (folder / "net.tflite").write_bytes(classifier())
    for name in ("stm32h7", "native"):
        build_step(folder / "net.tflite", load_board(name), folder / name)
    return folder


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """A raw terminal: our end, and the name of the board's console."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    yield ours, os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with an openocd that is content with everything, and keeps its words."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "openocd.log"
    (folder / "openocd").write_text(f'#!/bin/sh\nfor a in "$@"; do echo "$a"; done >> {log}\n')
    (folder / "openocd").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(process, "OWN_PROGRAMS", "/nowhere")
    monkeypatch.setattr(attach, "HELLO_WAIT_S", 0.2)
    monkeypatch.setattr(flash, "ANSWER_WAIT_S", 0.5)
    return log


def test_a_silent_board_is_said_not_to_answer(
    builds: Path, terminal: tuple[int, str], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(process, "OWN_PROGRAMS", "/nowhere")
    monkeypatch.setattr(attach, "HELLO_WAIT_S", 0.5)
    told = refused("bench", builds / "stm32h7", "--port", terminal[1])
    assert told.kind == "LinkTimeout"
    assert told.message.startswith(f"stm32h7 does not answer at uart:{terminal[1]}")
    assert "apt-get install openocd" in told.hint


@pytest.mark.usefixtures("tools")
def test_flashed_and_silent_is_said(
    builds: Path, terminal: tuple[int, str], refused: Refused, tmp_path: Path
) -> None:
    told = refused("flash", builds / "stm32h7", "--port", terminal[1])
    assert told.kind == "LinkTimeout"
    assert "stm32h7 was flashed, and does not answer at uart:" in told.message
    assert "program" in (tmp_path / "openocd.log").read_text()


@pytest.mark.usefixtures("tools")
def test_nothing_is_flashed_for_a_silent_socket(
    builds: Path, refused: Refused, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        told = refused("bench", builds / "stm32h7", "--port", url)
    assert told.kind == "LinkTimeout" and url in told.message
    assert not (tmp_path / "openocd.log").exists()


@pytest.mark.usefixtures("tools")
def test_another_board_is_not_flashed(
    builds: Path, terminal: tuple[int, str], refused: Refused, tmp_path: Path
) -> None:
    ours, name = terminal
    board = subprocess.Popen([builds / "native" / "firmware.elf"], stdin=ours, stdout=ours)
    try:
        for verb in ("flash", "bench"):
            told = refused(verb, builds / "stm32h7", "--port", name)
            assert told.kind == "BoardError"
            assert "says it is native (chip host), not stm32h7 (chip stm32h743zi)" in told.message
    finally:
        board.kill()
        board.wait()
    assert not (tmp_path / "openocd.log").exists()


@pytest.mark.usefixtures("tools")
def test_the_probe_is_named_to_the_tool(builds: Path) -> None:
    args = [str(builds / "stm32h7"), "--probe", "066F", "--dry-run", "--json"]
    done = json.loads(CliRunner().invoke(flash_command, args).output)
    assert "adapter serial 066F" in done["commands"][0]
    assert done["probe"] == "066F"


def test_a_virtual_board_has_no_probe(builds: Path, refused: Refused) -> None:
    assert "has no probe" in refused("flash", builds / "native", "--probe", "066F")
    assert "no lock" in refused("flash", builds / "native", "--recover")


def test_stop_takes_the_builds_board(
    builds: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    for args in (["flash", str(builds / "native")], ["flash", str(builds / "native"), "--stop"]):
        with pytest.raises(SystemExit) as ended:
            main([*args, "--json"])
        assert not ended.value.code
    assert json.loads(capsys.readouterr().out.split("}\n")[-2] + "}") == {
        "board": "native",
        "stopped": True,
    }
    assert state.running("native") is None
    assert "real board" in refused("flash", builds / "stm32h7", "--stop").message
    assert "no board is named" in refused("flash", "--stop")
