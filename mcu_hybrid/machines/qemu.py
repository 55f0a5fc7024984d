"""Starts virtual boards: qemu-system-arm, or the native firmware, detached with a loopback console.

The console is multiplexed (``mux=on``): QEMU then reads ahead of the emulated UART, which takes one
byte at a time, and input is three times as fast. The multiplexer's escape character is set to a
value that no byte has. What runs already is kept in ``state.py``.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mcu_hybrid.board.types import Board
from mcu_hybrid.errors import BoardError, McuHybridError, ToolError
from mcu_hybrid.machines import state
from mcu_hybrid.machines.state import Running, running, stop
from mcu_hybrid.process import Tools

__all__ = ["Running", "command", "free_port", "private", "running", "start", "stop"]

_LOG = logging.getLogger(__name__)
QEMU = "qemu-system-arm"
_PR_SET_PDEATHSIG = 1
_ACCEPT_WAIT_S = 15.0
_ATTEMPTS = 3  # another program can take the free port before the emulator does
_LOG_TAIL_LINES = 15


def command(board: Board, elf: Path, port: int) -> tuple[str, ...]:
    """The argv that runs ``elf`` on a virtual board, its console listening on 127.0.0.1:port."""
    if board.is_host:
        return ("env", f"MH_PORT={port}", str(elf))
    if board.qemu is None:
        raise BoardError(
            "a virtual board needs a [qemu] table",
            'add qemu = { machine = "..." }',
            path=board.path,
            key="qemu",
        )
    console = f"socket,id=console,host=127.0.0.1,port={port},server=on,wait=off,nodelay=on,mux=on"
    return (
        QEMU,
        *("-M", board.qemu.machine),
        *("-kernel", str(elf)),
        *("-icount", "shift=0,sleep=off"),  # one instruction is 1 ns of virtual time
        *("-display", "none", "-monitor", "none", "-nic", "none"),
        *("-chardev", console, "-serial", "chardev:console", "-echr", "256"),
        *board.qemu.args,
    )


def start(board: Board, elf: Path, tools: Tools, build_id: str = "") -> Running:
    """Run ``elf`` on a virtual board until ``stop``; what ran on the board before is stopped.

    Returns once the console accepts connections.

    Raises:
        MissingTool: the emulator is not installed.
        ToolError: the emulator ended at once, with what it said.
    """
    _require(board, elf, tools)
    log = state.folder() / f"{board.name}.log"
    with state.locked(board.name):
        stop(board.name)
        return _start(board, elf, log, build_id, on_launch=state.save)


@contextmanager
def private(board: Board, elf: Path, tools: Tools, build_id: str = "") -> Iterator[Running]:
    """A virtual board for the time of the ``with`` only; what runs on the desk is not touched.

    Raises as ``start``.
    """
    _require(board, elf, tools)
    with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as name:
        found = _start(board, elf, Path(name) / f"{board.name}.log", build_id)
        try:
            yield found
        finally:
            state.end(found)


def _require(board: Board, elf: Path, tools: Tools) -> None:
    if not elf.is_file():
        raise McuHybridError(f"{elf} does not exist", "build the firmware first")
    if not board.is_host:
        tools.require(QEMU)


def _start(
    board: Board,
    elf: Path,
    log: Path,
    build_id: str,
    on_launch: Callable[[Running], None] | None = None,
) -> Running:
    """Launch until a port works. Without ``on_launch`` the board ends with this process.

    Args:
        on_launch: makes the process known before it answers: so that a board whose starter is
            killed meanwhile is found, and ended, by the next one.
    """
    for attempt in range(_ATTEMPTS):
        port = free_port()
        argv = command(board, elf.resolve(), port)
        process = _launch(argv, log, ends_with_us=on_launch is None)
        try:
            found = _describe(board, elf, process.pid, port, log, build_id)
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
    raise _failed(board, argv, process.returncode, text)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _launch(argv: Sequence[str], log: Path, ends_with_us: bool) -> subprocess.Popen[bytes]:
    """Start in a session of its own, so that no terminal's end or Ctrl-C reaches it."""
    environment: Mapping[str, str] | None = None
    if argv[0] == "env":  # not through env(1): the process must be the board's own
        name, _, value = argv[1].partition("=")
        environment, argv = {**os.environ, name: value}, argv[2:]
    _LOG.debug("%s   (%s)", shlex.join(argv), log)
    try:
        with log.open("wb") as stream:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
                preexec_fn=_dies_with_parent() if ends_with_us else None,
            )
    except OSError as error:
        raise ToolError(
            f"cannot start {argv[0]}: {error.strerror}", "build the firmware again", argv=argv
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


def _describe(board: Board, elf: Path, pid: int, port: int, log: Path, build_id: str) -> Running:
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


def _failed(board: Board, argv: Sequence[str], code: int | None, text: str) -> ToolError:
    return ToolError(
        f"the virtual board {board.name} did not start ({argv[0]}, exit code {code})",
        "the message above is the emulator's own; 'mcu-hybrid doctor' checks its version",
        argv=argv,
        code=code,
        tail=text,
    )
