"""Starts virtual boards: qemu-system-arm, or the native firmware, detached with a loopback console.

The console is multiplexed (``mux=on``): QEMU then reads ahead of the emulated UART, which takes one
byte at a time, and input is three times as fast. The multiplexer's escape character is set to a
value that no byte has. What runs already is kept in ``state.py``.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mcu_hybrid.board_types import Board
from mcu_hybrid.emulate import state
from mcu_hybrid.emulate.state import Running, running, stop
from mcu_hybrid.errors import BoardError, McuHybridError, ToolError
from mcu_hybrid.process import Tools

__all__ = ["Running", "command", "free_port", "private", "running", "start", "stop"]

QEMU = "qemu-system-arm"
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
    stop(board.name)
    state.folder().mkdir(parents=True, exist_ok=True)
    found = _start(board, elf, state.folder() / f"{board.name}.log", build_id)
    state.save(found)
    return found


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


def _start(board: Board, elf: Path, log: Path, build_id: str) -> Running:
    for attempt in range(_ATTEMPTS):
        port = free_port()
        argv = command(board, elf.resolve(), port)
        process = _launch(argv, log)
        try:
            accepts = _wait_accepting(process, port)
        except BaseException:  # Ctrl-C while it starts: nobody else knows the process yet
            process.kill()
            raise
        if accepts:
            process.returncode = 0  # it outlives this object: no warning when that goes
            return _describe(board, elf, process.pid, port, log, build_id)
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


def _launch(argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start detached: a session of its own, so that no terminal's end or Ctrl-C reaches it."""
    environment: Mapping[str, str] | None = None
    if argv[0] == "env":  # not through env(1): the process must be the board's own
        name, _, value = argv[1].partition("=")
        environment, argv = {**os.environ, name: value}, argv[2:]
    try:
        with log.open("wb") as stream:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )
    except OSError as error:
        raise ToolError(
            f"cannot start {argv[0]}: {error.strerror}", "build the firmware again", argv=argv
        ) from error


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
        identity=state.identity(pid),
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
