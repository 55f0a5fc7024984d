"""Virtual boards as processes: start, find, replace, stop; dead, foreign and broken state files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_hybrid.board.load import Board, load_board
from mcu_hybrid.errors import BoardError, McuHybridError, MissingTool, ToolError
from mcu_hybrid.machines import named, state
from mcu_hybrid.machines.program import describe
from mcu_hybrid.process import Tools
from tests.support.fake_tools import FakeTools

# A "firmware" for board native: what the process is does not matter here, only how it is kept.
ECHO = """#!{python}
import os, socket
s = socket.create_server(("127.0.0.1", int(os.environ["MH_PORT"])))
while True:
    c, _ = s.accept()
    while data := c.recv(100):
        c.sendall(data)
"""
NATIVE, QEMU = named("native"), named("qemu")
DIES = """#!/bin/sh
echo "no flash at this address" >&2
exit 3
"""


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    yield
    state.stop("native")


@pytest.fixture
def native() -> Board:
    return load_board("native")


def program(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "firmware.elf"
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)
    return path


def alive(pid: int) -> bool:
    return state.identity(pid) != ""


def test_start_find_and_stop(native: Board, tmp_path: Path) -> None:
    started = NATIVE.start(native, program(tmp_path, ECHO), Tools(), "ab" * 16)
    assert started.url == f"socket://127.0.0.1:{started.port}"
    assert started.build_id == "ab" * 16
    assert state.running("native") == started
    with socket.create_connection(("127.0.0.1", started.port), timeout=5) as line:
        line.sendall(b"hello")
        assert line.recv(5) == b"hello"
    assert state.stop("native")
    assert not alive(started.pid)
    assert state.running("native") is None
    assert not state.stop("native")


def test_a_second_start_replaces_the_first(native: Board, tmp_path: Path) -> None:
    firmware = program(tmp_path, ECHO)
    first = NATIVE.start(native, firmware, Tools())
    second = NATIVE.start(native, firmware, Tools())
    assert first.pid != second.pid
    assert not alive(first.pid)
    assert state.running("native") == second


def test_the_board_outlives_the_program_that_started_it(native: Board, tmp_path: Path) -> None:
    firmware = program(tmp_path, ECHO)
    code = (
        "from pathlib import Path\n"
        "from mcu_hybrid.board.load import load_board\n"
        "from mcu_hybrid.machines import named\n"
        "from mcu_hybrid.process import Tools\n"
        f"native, firmware = load_board('native'), Path({str(firmware)!r})\n"
        "print(named('native').start(native, firmware, Tools()).pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    found = state.running("native")
    assert found is not None
    assert found.pid == int(done.stdout)
    assert os.getsid(found.pid) == found.pid, "a session of its own: no Ctrl-C reaches it"


def test_one_that_dies_at_once_is_an_error_with_its_words(native: Board, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no flash at this address") as caught:
        NATIVE.start(native, program(tmp_path, DIES), Tools())
    assert caught.value.code == 3
    assert state.running("native") is None


def test_one_that_died_later_is_not_running(native: Board, tmp_path: Path) -> None:
    started = NATIVE.start(native, program(tmp_path, ECHO), Tools())
    os.kill(started.pid, signal.SIGKILL)
    end = time.monotonic() + 5
    while alive(started.pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert state.running("native") is None
    assert not (state.folder() / "native.json").exists()


def test_a_reused_pid_is_not_ours_and_is_left_alone(native: Board, tmp_path: Path) -> None:
    started = NATIVE.start(native, program(tmp_path, ECHO), Tools())
    state.stop("native")
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        state.save(replace(started, pid=stranger.pid))
        assert state.running("native") is None
        state.save(replace(started, pid=stranger.pid))
        assert not state.stop("native")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"board": "native"}'])
def test_a_broken_state_file_means_not_running(text: str) -> None:
    state.folder().mkdir(parents=True)
    (state.folder() / "native.json").write_text(text)
    assert state.running("native") is None


def test_the_state_file_says_what_runs(native: Board, tmp_path: Path) -> None:
    started = NATIVE.start(native, program(tmp_path, ECHO), Tools(), "cd" * 16)
    kept = json.loads((state.folder() / "native.json").read_text())
    assert kept["pid"] == started.pid
    assert len(kept["elf_sha256"]) == 64
    assert kept["started"].endswith("+00:00")


def test_command_line_of_the_emulator() -> None:
    argv = QEMU.command(load_board("mps2-an500"), Path("fw.elf"), 5555).line
    assert argv == (
        "qemu-system-arm",
        "-M",
        "mps2-an500",
        "-kernel",
        "fw.elf",
        "-icount",
        "shift=0,sleep=off",
        "-display",
        "none",
        "-monitor",
        "none",
        "-nic",
        "none",
        "-chardev",
        "socket,id=console,host=127.0.0.1,port=5555,server=on,wait=off,nodelay=on,mux=on",
        "-serial",
        "chardev:console",
        "-echr",
        "256",
    )


def test_a_board_without_an_emulator_is_named() -> None:
    with pytest.raises(BoardError, match=r"stm32h7\.toml: qemu"):
        QEMU.command(load_board("stm32h7"), Path("fw.elf"), 5555)


def test_a_missing_emulator_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(MissingTool) as caught:
        QEMU.start(load_board("mps2-an500"), program(tmp_path, ECHO), FakeTools())
    assert caught.value.hint == "sudo apt-get install qemu-system-arm"


def test_a_missing_firmware_says_build_first(native: Board, tmp_path: Path) -> None:
    with pytest.raises(McuHybridError, match="build the firmware first"):
        NATIVE.start(native, tmp_path / "none.elf", Tools())


def test_a_program_that_cannot_run_is_an_error(native: Board, tmp_path: Path) -> None:
    path = tmp_path / "firmware.elf"
    path.write_bytes(b"not a program")
    with pytest.raises(ToolError, match="cannot start"):
        NATIVE.start(native, path, Tools())


def test_the_real_emulators_refusal_is_shown(tmp_path: Path) -> None:
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    board = load_board("mps2-an500")
    assert board.qemu is not None
    board = replace(board, qemu=replace(board.qemu, machine="mps9-an999"))
    with pytest.raises(ToolError, match="unsupported machine type"):
        QEMU.start(board, program(tmp_path, ECHO), Tools())


def test_one_that_died_before_it_was_noted_is_not_running(native: Board, tmp_path: Path) -> None:
    """Else it counts as running for ever: a process that is gone has no identity either."""
    process = subprocess.Popen(["true"])
    process.wait()
    found = describe(native, program(tmp_path, DIES), process.pid, 1, tmp_path / "log", "b")
    state.save(replace(found, identity=""))
    assert state.running("native") is None
    assert not state.stop("native")
