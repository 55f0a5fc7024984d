"""QEMU's log of the blocks that it executes, read as it comes.

QEMU translates code block by block (straight-line code up to a branch) and can log each block that
it enters, and the instructions of each block that it translates. The log goes through a pipe, is
switched on through QEMU's control socket for the time of one request only, and blocks are not
chained meanwhile, so that every entry is logged. What was logged and then not run (the instruction
budget of ``-icount`` ended before it) is taken back, as QEMU says so in the log. What was under way
when the log was switched on is chained and not described: it leaves a gap, and a call with a gap in
it is not counted. What the instructions are is not known here.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRWPair
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from mcu_hybrid.errors import ToolError
from mcu_hybrid.machines.trace import Block, Trace

T = TypeVar("T")

_END = b"mcu-hybrid: end of the log\n"
_LOG_ON = "log in_asm,exec,nochain"
_LOG_OFF = "log none"
_CONTROL_WAIT_S = 10.0  # QEMU answers in milliseconds, also while it logs; a busy machine is slower
_CODE = re.compile(rb"0x([0-9a-f]+):\s+(?:OBJD-T: )?((?:[0-9a-f]{4} ?)+)")
_ENTER = re.compile(rb"Trace \d+: (0x[0-9a-f]+) \[[0-9a-f]+/([0-9a-f]+)")
_NOT_RUN = re.compile(rb"Stopped execution of TB chain before (0x[0-9a-f]+)")
_CUT = re.compile(rb"cpu_io_recompile: rewound execution of TB to ([0-9a-f]+)")
_GAP = -1  # in a path: blocks ran here that the log does not tell
_HINT = "measure without it: --no-mix (QEMU 7.2 is the version that this is tested with)"


@dataclass(frozen=True)
class LogPipe:
    """Where QEMU writes its log and takes orders; ``marker`` is the pipe's end that we write to."""

    path: Path
    control: Path
    stream: BinaryIO
    marker: int

    @property
    def arguments(self) -> tuple[str, ...]:
        """What QEMU must be told at its start."""
        return ("-D", str(self.path), "-qmp", f"unix:{self.control},server=on,wait=off")


class QemuTracer:
    """A board in a QEMU whose log is read; ``url`` opens its console."""

    def __init__(self, url: str, pipe: LogPipe) -> None:
        self.url = url
        self._pipe = pipe
        self._log = Log()

    def record(self, entry: int, action: Callable[[Callable[[], None]], T]) -> tuple[T, Trace]:
        """Run ``action`` with the log on, as ``Tracer`` says."""
        reader = _Reader(self._pipe.stream, self._log)
        del self._log.path[:]
        with _control(self._pipe.control) as command:
            reader.start()
            try:
                result = action(lambda: command(_LOG_ON))
                command(_LOG_OFF)
            finally:
                os.write(self._pipe.marker, _END)  # behind all that QEMU wrote
                reader.join()
        return result, self._log.call_of(entry)


@contextmanager
def log_pipe(folder: Path) -> Iterator[LogPipe]:
    """The pipe and the control socket of a QEMU that is started with ``LogPipe.arguments``."""
    path, control = folder / "log", folder / "control"
    os.mkfifo(path)
    # Opened first, for QEMU waits at its start until somebody reads.
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    marker = os.open(path, os.O_WRONLY)
    os.set_blocking(reading, True)
    try:
        with os.fdopen(reading, "rb") as stream:
            yield LogPipe(path, control, stream, marker)
    finally:
        os.close(marker)


class Log:
    """The lines of the log, understood one by one."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.path = array("i")
        self._index: dict[Block, int] = {}
        self._of_pointer: dict[bytes, int] = {}
        self._start = self._end = 0
        self._is_new = False

    def feed(self, line: bytes) -> None:
        """Take one line; raises ToolError where it is not understood."""
        if line.startswith(b"Trace "):
            self._enter(line)
        elif line.startswith(b"IN:"):
            self._start, self._end, self._is_new = -1, -1, True
        elif line.startswith(b"0x"):
            self._code(line)
        elif line.startswith(b"Stopped"):
            self._take_back(line)
        elif line.startswith(b"cpu_io_recompile"):
            self._cut(line)

    def _enter(self, line: bytes) -> None:
        # The lines that matter are millions: no regular expression for a block that is known.
        index = None if self._is_new else self._of_pointer.get(line.split(b" ", 3)[2])
        if index is None:
            match = _ENTER.match(line)
            if match is None or (self._is_new and self._start != int(match[2], 16)):
                raise _unreadable(line)
            if self._is_new:
                index = self._of_pointer[match[1]] = self._number(Block(self._start, self._end))
                self._is_new = False
            else:  # translated before the log was on
                index = _GAP
        self.path.append(index)

    def _code(self, line: bytes) -> None:
        match = _CODE.match(line)
        if match is None:
            raise _unreadable(line)
        address = int(match[1], 16)
        if self._start < 0:
            self._start = address
        self._end = address + len(match[2].replace(b" ", b"")) // 2

    def _take_back(self, line: bytes) -> None:
        match = _NOT_RUN.match(line)
        if match is None:
            raise _unreadable(line)
        index = self._of_pointer.get(match[1], _GAP)
        if index != _GAP and self.path and index == self.path[-1]:
            self.path.pop()
        else:  # the end of a chain that was entered before the log was on
            self.path.append(_GAP)

    def _cut(self, line: bytes) -> None:
        """A block met a peripheral: it ran up to that address only, and goes on in another one."""
        match = _CUT.match(line)
        if match is None:
            raise _unreadable(line)
        if not self.path or self.path[-1] == _GAP:  # as in ``_take_back``
            self.path.append(_GAP)
            return
        block = self.blocks[self.path.pop()]
        if int(match[1], 16) != block.start:
            self.path.append(self._number(Block(block.start, int(match[1], 16))))

    def _number(self, block: Block) -> int:
        if block not in self._index:
            self._index[block] = len(self.blocks)
            self.blocks.append(block)
        return self._index[block]

    def call_of(self, entry: int) -> Trace:
        """The last call of the function at ``entry``; ToolError where none is whole."""
        path = np.array(self.path, np.int32)
        starts = np.array([*(block.start for block in self.blocks), _GAP], np.int64)
        at = starts[path] if path.size else np.zeros(0, np.int64)  # -1 is the last one: a gap
        (entries,) = np.nonzero(at[1:] == entry)  # the first block has no caller
        if entries.size and path[entries[-1]] != _GAP:
            begin = int(entries[-1]) + 1
            back = self.blocks[int(path[begin - 1])].end
            (returns,) = np.nonzero(at[begin:] == back)
            call = path[begin : begin + int(returns[0])].copy() if returns.size else path[:0]
            if call.size and not (call == _GAP).any():
                return Trace(tuple(self.blocks), call, back)
        raise ToolError(f"QEMU's log holds no whole call of the code at 0x{entry:08x}", _HINT)


class _Reader:
    """Reads the pipe in a thread of its own up to the end marker, or QEMU would stand still."""

    def __init__(self, pipe: BinaryIO, log: Log) -> None:
        self._pipe = pipe
        self._log = log
        self._error: ToolError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.start = self._thread.start

    def _run(self) -> None:
        for line in self._pipe:
            if line.endswith(_END):  # QEMU can have ended inside a line
                return
            if self._error is None:
                try:
                    self._log.feed(line)
                except ToolError as error:  # the rest is read all the same, and thrown away
                    self._error = error

    def join(self) -> None:
        """Wait for the end marker; raises what went wrong in the thread."""
        self._thread.join()
        if self._error is not None:
            raise self._error


@contextmanager
def _control(path: Path) -> Iterator[Callable[[str], None]]:
    """QEMU's control socket (QMP): a function that runs one line of its monitor."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_CONTROL_WAIT_S)
        try:
            link.connect(str(path))
        except OSError as error:
            raise ToolError(f"QEMU's control socket: {error.strerror}", _HINT) from error
        with link.makefile("rwb") as stream:
            _answer(stream, "QMP")  # its greeting
            _ask(stream, "qmp_capabilities")
            yield lambda line: _ask(stream, "human-monitor-command", {"command-line": line})


def _ask(stream: BufferedRWPair, name: str, arguments: dict[str, str] | None = None) -> None:
    request = {"execute": name, "arguments": arguments or {}}
    try:
        stream.write(json.dumps(request).encode() + b"\n")
        stream.flush()
    except OSError as error:
        raise ToolError(f"QEMU ended before '{name}'", _HINT) from error
    if said := _answer(stream, "return"):
        raise ToolError(f"QEMU refuses {request}: {said}", _HINT)


def _answer(stream: BufferedRWPair, key: str) -> object:
    """What QEMU says under ``key``; events in between are left out."""
    try:
        for line in stream:
            said = json.loads(line)
            if key in said:
                return said[key]
            if "error" in said:
                return said["error"]
    except (OSError, ValueError) as error:
        raise ToolError(f"QEMU's control socket does not answer: {error}", _HINT) from error
    raise ToolError("QEMU ended while it was traced", _HINT)


def _unreadable(line: bytes) -> ToolError:
    text = line.decode("utf-8", "replace").strip()
    return ToolError(f"QEMU's log has a line that is not understood: {text}", _HINT)
