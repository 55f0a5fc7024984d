"""Serial ports and boards: not there, in use, no permission, silent, and running another build."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mcu_hybrid.board.load import load_board
from mcu_hybrid.link import open_link
from mcu_hybrid.machines import state
from mcu_hybrid.machines.program import free_port
from mcu_hybrid.process import Result, Tools
from mcu_hybrid.steps.build import Build, build_step
from mcu_hybrid.steps.flash import flash_step
from tests.support.bad_rig import Refused, Steps, classifier

serial = pytest.importorskip("serial")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build for a board that is not plugged in."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    folder = tmp_path_factory.mktemp("real")
    (folder / "net.tflite").write_bytes(classifier())
    return build_step(folder / "net.tflite", load_board("stm32h7"), folder / "build").folder


@pytest.fixture(autouse=True)
def nothing_is_flashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flasher that is started for a port that cannot be opened fails the test."""
    runs = Tools.run

    def run(tools: Tools, argv: Sequence[str], **named: Any) -> Result:
        assert argv[0] not in ("openocd", "pyocd", "st-flash"), argv
        return runs(tools, argv, **named)

    monkeypatch.setattr(Tools, "run", run)
    monkeypatch.setattr(Tools, "find", lambda _, program: program)


@pytest.mark.parametrize("verb", ["bench", "run"])
def test_no_such_port(verb: str, steps: Steps, refused: Refused) -> None:
    told = refused(verb, steps.build, "--port", "/dev/no-such-port")
    assert told.kind == "LinkError"
    assert "no port /dev/no-such-port" in told.message
    assert "--port" in told.hint


def test_no_board_is_plugged_in(
    real: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serial.tools import list_ports

    monkeypatch.setattr(list_ports, "comports", list)
    told = refused("bench", real)
    assert "no serial port with the board's USB id" in told.message
    assert "ports found: none" in told.message
    assert "plug the board in" in told.hint


@pytest.fixture
def terminal() -> Iterator[str]:
    """A pseudo-terminal with nobody at its other end."""
    ours, theirs = os.openpty()
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def test_a_port_in_use(real: Path, terminal: str, refused: Refused) -> None:
    other = open_link(f"uart:{terminal}?baud=115200")
    try:
        told = refused("bench", real, "--port", terminal)
    finally:
        other.close()
    assert told.kind == "LinkError"
    assert f"{terminal} is in use by another program" in told.message
    assert f"fuser -v {terminal}" in told.hint


def test_a_port_without_permission(
    real: Path, terminal: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def open_(path: str, flags: int, *rest: object, **named: object) -> int:
        if path == terminal:  # root may open anything
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, flags, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", open_)
    told = refused("bench", real, "--port", terminal)
    assert f"no permission to open {terminal}" in told.message
    assert "sudo usermod -a -G" in told.hint


def test_a_file_that_is_no_port(real: Path, work: Path, refused: Refused) -> None:
    (work / "file").write_text("")
    assert "is it a serial port?" in refused("bench", real, "--port", work / "file").hint


@pytest.mark.parametrize(
    "url", ["socket://127.0.0.1:0", "socket://127.0.0.1:port", "bogus://1", "child:/no/program"]
)
def test_wrong_links(url: str, steps: Steps, refused: Refused) -> None:
    assert refused("bench", steps.build, "--port", url).kind in ("LinkError", "MissingTool")


def test_nobody_listens(steps: Steps, refused: Refused) -> None:
    told = refused("bench", steps.build, "--port", f"socket://127.0.0.1:{free_port()}")
    assert "nothing answers" in told.message and "mcu-hybrid flash" in told.hint
    assert state.running("native") is None  # a port that was named is not replaced by another board


@pytest.fixture
def other_build(tmp_path: Path) -> Iterator[Build]:
    """Another build for the host board than the hybrid's; stopped at the end."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "net.tflite").write_bytes(classifier())
    yield build_step(folder / "net.tflite", load_board("native"), folder / "build")
    state.stop("native")


@pytest.mark.parametrize("verb", ["bench", "run"])
def test_the_board_runs_another_build(
    verb: str, other_build: Build, steps: Steps, refused: Refused
) -> None:
    url = flash_step(other_build).url
    told = refused(verb, steps.build, "--port", url, "--out", "out")
    assert told.kind == "ProtocolError"
    assert other_build.image.build_id[:8] in told.message
    assert "mcu-hybrid flash" in told.hint


def test_a_running_board_of_another_build_is_left_alone(
    other_build: Build, steps: Steps, work: Path
) -> None:
    from mcu_hybrid.steps.bench import BenchOptions, bench_step

    flash_step(other_build)
    result = bench_step(steps.build, None, BenchOptions(runs=1))
    assert result.exact
    found = state.running("native")
    assert found is not None and found.build_id == other_build.image.build_id
