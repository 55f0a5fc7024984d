"""Results and virtual boards survive commands that are killed, and two commands at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcu_hybrid import folders, manifest
from mcu_hybrid.errors import McuHybridError
from mcu_hybrid.machines import state

ECHO = """#!{python}
import os, socket, time
time.sleep({delay})
s = socket.create_server(("127.0.0.1", int(os.environ["MH_PORT"])))
while True:
    s.accept()
"""
WRITE = """
import sys, time
from pathlib import Path
from mcu_hybrid import manifest
with manifest.writing(Path(sys.argv[1]), "build") as draft:
    (draft.folder / "a").write_text(sys.argv[2])
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    yield
    state.stop("native")


def written(folder: Path, text: str) -> None:
    with manifest.writing(folder, "build") as draft:
        (draft.folder / "a").write_text(text)


def python(code: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *args], stdout=subprocess.PIPE, text=True)


def killed_while_writing(folder: Path) -> None:
    with python(WRITE, str(folder), "never") as process:
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        process.kill()


def test_what_a_killed_step_leaves_is_swept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    written(out, "first")
    killed_while_writing(out)
    assert len(list(tmp_path.glob(".out.*"))) == 1
    assert (out / "a").read_text() == "first"
    (tmp_path / ".out.notours").mkdir()
    (tmp_path / ".outside.abcdefgh").mkdir()
    written(out, "second")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".out.notours", ".outside.abcdefgh", "out"]


def test_a_step_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with python(WRITE, str(out), "slow") as process:
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        written(out, "quick")
        assert len(list(tmp_path.glob(".out.*"))) == 1
        process.kill()


def test_an_earlier_result_moved_aside_by_a_killed_step_comes_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    written(out, "first")
    out.rename(tmp_path / ".out.abcdefgh.old")  # as between two renames
    with pytest.raises(RuntimeError), manifest.writing(out, "build"):
        assert (out / "a").read_text() == "first"
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("has_exchange", [True, False])
def test_a_reader_always_finds_a_whole_result(
    has_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_exchange:
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    out = tmp_path / "out"
    for text in ("first", "second", "third"):
        written(out, text)
        manifest.load(out, "build")
        assert (out / "a").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_earlier_result_is_in_its_place_at_every_moment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    written(out, "first")
    code = (
        "import sys, os\nfrom pathlib import Path\nout = Path(sys.argv[1])\n"
        "print('reading', flush=True)\nmissed = 0\n"
        "while not (out.parent / 'end').exists():\n"
        "    missed += not (out / 'manifest.json').exists()\nprint(missed)"
    )
    with python(code, str(out)) as reader:
        assert reader.stdout is not None and reader.stdout.readline() == "reading\n"
        for n in range(40):
            written(out, str(n))
        (tmp_path / "end").touch()
        assert reader.stdout.read() == "0\n"


def program(tmp_path: Path, delay: float = 0.0) -> Path:
    path = tmp_path / "firmware.elf"
    path.write_text(ECHO.format(python=sys.executable, delay=delay))
    path.chmod(0o755)
    return path


def processes(firmware: Path) -> list[int]:
    """The living ones that run this firmware."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if str(firmware).encode() in line and b"-c" not in line.split(b"\0"):
                found.append(int(folder.name))
    return found


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


START = """
import sys
from pathlib import Path
from mcu_hybrid.board.load import load_board
from mcu_hybrid.machines import named
from mcu_hybrid.process import Tools
named("native").start(load_board("native"), Path(sys.argv[1]), Tools(), sys.argv[2])
"""
PRIVATE = """
import sys, time
from pathlib import Path
from mcu_hybrid.board.load import load_board
from mcu_hybrid.machines import named
from mcu_hybrid.process import Tools
with named("native").private(load_board("native"), Path(sys.argv[1]), Tools()):
    print("runs", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
class TestBoards:
    """Virtual boards as processes of this machine."""

    def test_two_starts_at_once_leave_one_that_is_known(self, tmp_path: Path) -> None:
        firmware = program(tmp_path, 0.3)
        started = [python(START, str(firmware), f"{n:032x}") for n in range(3)]
        assert [(p.communicate(timeout=60), p.returncode)[1] for p in started] == [0, 0, 0]
        known = state.running("native")
        assert known is not None
        assert processes(firmware) == [known.pid]
        assert state.stop("native")
        assert not processes(firmware)

    def test_a_board_of_its_own_ends_with_a_command_that_is_killed(self, tmp_path: Path) -> None:
        firmware = program(tmp_path)
        with python(PRIVATE, str(firmware)) as command:
            assert command.stdout is not None and command.stdout.readline() == "runs\n"
            assert len(processes(firmware)) == 1
            command.send_signal(signal.SIGKILL)
        assert eventually(lambda: not processes(firmware))

    def test_a_start_that_is_killed_leaves_no_unknown_board(self, tmp_path: Path) -> None:
        firmware = program(tmp_path, 60.0)  # never answers in time
        with python(START, str(firmware), "0" * 32) as command:
            assert eventually(lambda: len(processes(firmware)) == 1)
            assert eventually(lambda: state.running("native") is not None)
            command.kill()
        assert state.stop("native")
        assert eventually(lambda: not processes(firmware))

    def test_a_lock_that_is_never_given_back_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(state, "_LOCK_WAIT_S", 0.2)
        hold = (
            "import time\nfrom mcu_hybrid.machines import state\n"
            "with state.locked('native'):\n    print('held', flush=True)\n    time.sleep(60)"
        )
        with python(hold) as other:
            assert other.stdout is not None and other.stdout.readline() == "held\n"
            with pytest.raises(McuHybridError, match="another mcu-hybrid"), state.locked("native"):
                pass
            other.kill()
        with state.locked("native"), state.locked("native"):
            pass
