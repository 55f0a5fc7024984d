"""A machine that is a program: started detached, its console a loopback port of this machine.

A machine of this kind says which program (``command``); launching it, waiting until the console
answers, and ending it are here. What runs already is kept in ``state.py``.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mcu_hybrid.board.types import Board
from mcu_hybrid.errors import BoardError, McuHybridError, ToolError
from mcu_hybrid.machines import state
from mcu_hybrid.machines.base import Capabilities, Command, Finding
from mcu_hybrid.machines.state import Running
from mcu_hybrid.process import Tools

if TYPE_CHECKING:
    from mcu_hybrid.machines.trace import Tracer

_LOG = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_ACCEPT_WAIT_S = 15.0  # a start takes under a second; a busy machine's, many of them
_ATTEMPTS = 3  # another program can take the free port before the machine does
_LOG_TAIL_LINES = 15  # in an error: a screen's part, and all that QEMU says when it refuses


class ProgramMachine:
    """A machine that is one program; a file of its own gives the names and the command."""

    name = ""
    title = ""
    tool = ""
    capabilities = Capabilities()

    def can_run(self, board: Board) -> str | None:
        """None where it runs this board's images, else why it does not."""
        raise NotImplementedError

    def command(self, board: Board, elf: Path, port: int) -> Command:
        """What runs ``elf``, its console listening on 127.0.0.1:port."""
        raise NotImplementedError

    def examine(self, tools: Tools, boards: list[Board]) -> Finding | None:
        """Nothing to say by default."""
        return None

    def start(self, board: Board, elf: Path, tools: Tools, build_id: str = "") -> Running:
        """Run ``elf`` until it is stopped; returns once the console accepts connections."""
        self._require(board, elf, tools)
        log = state.folder() / f"{board.name}.log"
        with state.locked(board.name):
            state.stop(board.name)
            return self._start(board, elf, log, build_id, on_launch=state.save)

    @contextmanager
    def private(
        self, board: Board, elf: Path, tools: Tools, build_id: str = ""
    ) -> Iterator[Running]:
        """Run ``elf`` for the time of the ``with`` only."""
        self._require(board, elf, tools)
        with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as name:
            found = self._start(board, elf, Path(name) / f"{board.name}.log", build_id)
            try:
                yield found
            finally:
                state.end(found)

    def traced(
        self, board: Board, elf: Path, tools: Tools, build_id: str = ""
    ) -> AbstractContextManager[Tracer]:
        """Refused: this machine does not tell what code it runs."""
        raise BoardError(f"{self.title} does not tell what code it runs", "see: mcu-hybrid boards")

    def _require(self, board: Board, elf: Path, tools: Tools) -> None:
        if not elf.is_file():
            raise McuHybridError(f"{elf} does not exist", "build the firmware first")
        if self.tool:
            tools.require(self.tool)

    def _start(
        self,
        board: Board,
        elf: Path,
        log: Path,
        build_id: str,
        on_launch: Callable[[Running], None] | None = None,
    ) -> Running:
        """Launch until a port works. Without ``on_launch`` the program ends with this process.

        Args:
            on_launch: makes the process known before it answers: so that a board whose starter is
                killed meanwhile is found, and ended, by the next one.
        """
        for attempt in range(_ATTEMPTS):
            port = free_port()
            command = self.command(board, elf.resolve(), port)
            process = launch(command, log, ends_with_us=on_launch is None)
            try:
                found = describe(board, elf, process.pid, port, log, build_id)
                if on_launch is not None:
                    on_launch(found)
                accepts = _wait_accepting(process, port)
            except BaseException:  # Ctrl-C while it starts
                process.kill()
                raise
            if accepts:
                process.returncode = 0  # it outlives this object: no warning when that goes
                return found
            process.kill()
            process.wait()
            text = _tail(log)
            if "in use" not in text or attempt == _ATTEMPTS - 1:
                break
        raise _failed(board, command, process.returncode, text)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(command: Command, log: Path, ends_with_us: bool) -> subprocess.Popen[bytes]:
    """Start in a session of its own, so that no terminal's end or Ctrl-C reaches it."""
    _LOG.debug("%s   (%s)", shlex.join(command.line), log)
    try:
        with log.open("wb") as stream:
            return subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **command.environment},
                preexec_fn=_dies_with_parent() if ends_with_us else None,
            )
    except OSError as error:
        raise ToolError(
            f"cannot start {command.argv[0]}: {error.strerror}",
            "build the firmware again",
            argv=command.argv,
        ) from error


def _dies_with_parent() -> Callable[[], object] | None:
    """What a child calls so that Linux kills it with its parent, even one that is killed.

    Looked up ahead of the fork: the child itself may only make the call.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_accepting(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + _ACCEPT_WAIT_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return process.poll() is None
    return False


def describe(board: Board, elf: Path, pid: int, port: int, log: Path, build_id: str) -> Running:
    """What the state file says of a process."""
    return Running(
        board=board.name,
        pid=pid,
        port=port,
        url=f"socket://127.0.0.1:{port}",
        elf=str(elf.resolve()),
        elf_sha256=hashlib.sha256(elf.read_bytes()).hexdigest(),
        build_id=build_id,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        identity=state.identity(pid, reap=False),
        log=str(log),
    )


def _tail(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL_LINES:])


def _failed(board: Board, command: Command, code: int | None, text: str) -> ToolError:
    return ToolError(
        f"the virtual board {board.name} did not start ({command.line[0]}, exit code {code})",
        "the message above is the emulator's own; 'mcu-hybrid doctor' checks its version",
        argv=command.line,
        code=code,
        tail=text,
    )
