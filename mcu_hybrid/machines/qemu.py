"""QEMU: qemu-system-arm runs the boards whose files have a [qemu] table.

The console is multiplexed (``mux=on``): QEMU then reads ahead of the emulated UART, which takes one
byte at a time, and input is three times as fast. The multiplexer's escape character is set to a
value that no byte has. How its log is read is in ``qemu_log.py``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mcu_hybrid.board.types import Board, Qemu
from mcu_hybrid.errors import BoardError
from mcu_hybrid.machines.base import Capabilities, Command, Finding
from mcu_hybrid.machines.program import ProgramMachine
from mcu_hybrid.process import INSTALL_HINTS, Tools

if TYPE_CHECKING:
    from mcu_hybrid.machines.trace import Tracer

QEMU = "qemu-system-arm"


class QemuMachine(ProgramMachine):
    """One instruction takes 1 ns of the board's time, so its timers count instructions."""

    name = "qemu"
    title = "QEMU"
    tool = QEMU
    capabilities = Capabilities(count=True, trace=True)

    def can_run(self, board: Board) -> str | None:
        """Boards with a [qemu] table."""
        return None if board.qemu else "its file has no [qemu] table"

    def command(self, board: Board, elf: Path, port: int) -> Command:
        """The emulator's command line."""
        machine = _machine_of(board)
        console = (
            f"socket,id=console,host=127.0.0.1,port={port},server=on,wait=off,nodelay=on,mux=on"
        )
        return Command(
            (
                QEMU,
                *("-M", machine.machine),
                *("-kernel", str(elf)),
                *("-icount", "shift=0,sleep=off"),  # one instruction is 1 ns of virtual time
                *("-display", "none", "-monitor", "none", "-nic", "none"),
                *("-chardev", console, "-serial", "chardev:console", "-echr", "256"),
                *machine.args,
            )
        )

    @contextmanager
    def traced(self, board: Board, elf: Path, tools: Tools, build_id: str = "") -> Iterator[Tracer]:
        """A private board whose log goes through a pipe."""
        from mcu_hybrid.machines.qemu_log import QemuTracer, log_pipe  # numpy

        machine = _machine_of(board)
        with (
            tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as name,
            log_pipe(Path(name)) as pipe,
        ):
            logging = replace(machine, args=(*machine.args, *pipe.arguments))
            with self.private(replace(board, qemu=logging), elf, tools, build_id) as running:
                yield QemuTracer(running.url, pipe)

    def examine(self, tools: Tools, boards: list[Board]) -> Finding:
        """Its version, and that it has the machines of these boards."""
        fix = INSTALL_HINTS[QEMU]
        version = tools.version(QEMU)
        if not version:
            return Finding(False, "not installed", fix)
        lines = tools.output(QEMU, "-M", "help").splitlines()
        known = {line.split(" ", 1)[0] for line in lines}
        wanted = sorted({board.qemu.machine for board in boards if board.qemu})
        missing = [machine for machine in wanted if machine not in known]
        if missing:
            return Finding(False, f"{version}, lacks {', '.join(missing)}", fix)
        return Finding(True, f"{version} with {', '.join(wanted)}")


def _machine_of(board: Board) -> Qemu:
    if board.qemu is None:
        raise BoardError(
            "a virtual board needs a [qemu] table",
            'add qemu = { machine = "..." }',
            path=board.path,
            key="qemu",
        )
    return board.qemu


MACHINE = QemuMachine()
