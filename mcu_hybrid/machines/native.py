"""This machine itself: the firmware of a host board is a program, started as it is."""

from __future__ import annotations

from pathlib import Path

from mcu_hybrid.board.types import Board
from mcu_hybrid.machines.base import Command
from mcu_hybrid.machines.program import ProgramMachine


class Native(ProgramMachine):
    """Needs no tool: the build that made the program also proved that it runs here."""

    name = "native"
    title = "a process of this machine"

    def can_run(self, board: Board) -> str | None:
        """Host boards only."""
        return None if board.is_host else "its firmware is no program of this machine"

    def command(self, board: Board, elf: Path, port: int) -> Command:
        """The firmware, told which port its console is."""
        return Command((str(elf),), {"MH_PORT": str(port)})


MACHINE = Native()
