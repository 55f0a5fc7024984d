"""Which virtual boards run: one state file per board in the user's state folder.

A process is taken for the board's only where it lives and started when the file says, so that a pid
used again by another program is never touched. Starting is the business of ``qemu.py``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mcu_hybrid import json_text
from mcu_hybrid.errors import McuHybridError

_TERM_WAIT_S = 3.0  # a machine ends in milliseconds; then it is killed
_LOCK_WAIT_S = 60.0  # starts take a second or two: several may stand in line on a busy machine
_THREADS = threading.RLock()
_HELD: set[str] = set()  # boards whose lock this process has


@dataclass(frozen=True)
class Running:
    """A virtual board that runs; ``url`` opens its console, ``log`` holds what it wrote."""

    board: str
    pid: int
    port: int
    url: str
    elf: str
    elf_sha256: str
    build_id: str
    started: str
    identity: str
    log: str


def folder() -> Path:
    """The state folder: $XDG_STATE_HOME or ~/.local/state, then mcu-hybrid/boards."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "mcu-hybrid" / "boards"


@contextlib.contextmanager
def locked(board_name: str) -> Iterator[None]:
    """Let only one process at a time start or stop this virtual board; the others wait.

    May be entered again by the thread that holds it.

    Raises:
        McuHybridError: another one has held it for too long.
    """
    with _THREADS:
        if board_name in _HELD:
            yield
            return
        folder().mkdir(parents=True, exist_ok=True)
        with _path(board_name).with_suffix(".lock").open("w") as file:
            _take(file.fileno(), board_name)
            _HELD.add(board_name)
            try:
                yield
            finally:
                _HELD.discard(board_name)


def _take(descriptor: int, board_name: str) -> None:
    end = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise McuHybridError(
                    f"another mcu-hybrid has been starting {board_name} for {_LOCK_WAIT_S:g} s",
                    "wait for it, or end it",
                ) from None
            time.sleep(0.05)


def save(running: Running) -> None:
    """Write the board's state file, whole or not at all."""
    path = _path(running.board)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(running), indent=2) + "\n", "utf-8")
    part.replace(path)


def running(board_name: str) -> Running | None:
    """The running virtual board of this name; a file that nothing lives behind is removed."""
    path = _path(board_name)
    try:
        found = Running(**json_text.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        found = None
    # One that had ended when it was described has no identity: nothing lives behind it either.
    if found is None or not found.identity or identity(found.pid) != found.identity:
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    return found


def stop(board_name: str) -> bool:
    """End the virtual board; False where none was running."""
    with locked(board_name):
        found = running(board_name)
        if found is None:
            return False
        end(found)
        with contextlib.suppress(OSError):
            _path(board_name).unlink()
        return True


def end(found: Running) -> None:
    """End the process of a virtual board: asked first, then forced."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, number)
        if _wait_gone(found):
            break


def identity(pid: int, reap: bool = True) -> str:
    """When the process started, as text that differs for a reused pid; "" where none lives.

    Args:
        reap: False where somebody waits for this child's exit code.
    """
    if reap:
        with contextlib.suppress(OSError):  # a child of ours that ended: no zombie any longer
            os.waitpid(pid, os.WNOHANG)
    try:
        # The second field is the program's name in brackets and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return "" if fields[0] == "Z" else f"{pid}:{fields[19]}"
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return ""
    asked = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    started = asked.stdout.strip()
    return f"{pid}:{started}" if started else ""


def _wait_gone(found: Running) -> bool:
    end = time.monotonic() + _TERM_WAIT_S
    while time.monotonic() < end:
        if not found.identity or identity(found.pid) != found.identity:
            return True
        time.sleep(0.02)
    return False


def _path(board_name: str) -> Path:
    return folder() / f"{board_name}.json"
