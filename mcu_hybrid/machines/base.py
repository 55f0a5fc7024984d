"""What every machine is: it says which boards' images it runs, what it can tell, and starts them.

One machine a file of its name, which sets ``MACHINE``; which one is taken is in ``__init__.py``.
Most are a program whose console is a port of this machine: ``program.py`` does all that is common.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mcu_hybrid.board.types import Board
from mcu_hybrid.machines.state import Running
from mcu_hybrid.process import Tools

if TYPE_CHECKING:
    from mcu_hybrid.machines.trace import Tracer


@dataclass(frozen=True)
class Capabilities:
    """What a machine can tell of the code that it runs.

    Args:
        count: the board's clock counts executed instructions, the same in each run.
        trace: the code that runs can be recorded block by block (``Machine.traced``).
        cycles: the board's clock counts cycles as the real core's does.
    """

    count: bool = False
    trace: bool = False
    cycles: bool = False


@dataclass(frozen=True)
class Command:
    """A command line, and what is added to the environment that it runs in."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def line(self) -> tuple[str, ...]:
        """As one would type it."""
        added = tuple(f"{name}={value}" for name, value in self.environment.items())
        return ("env", *added, *self.argv) if added else self.argv


@dataclass(frozen=True)
class Finding:
    """What the doctor says of the machine's program; ``fix`` is the command that mends it."""

    ok: bool
    found: str
    fix: str = ""


@runtime_checkable
class Machine(Protocol):
    """Runs a board's image without the board; ``tool`` is the program it needs ("" for none)."""

    name: str
    title: str
    tool: str
    capabilities: Capabilities

    def can_run(self, board: Board) -> str | None:
        """None where it runs this board's images, else why it does not."""

    def command(self, board: Board, elf: Path, port: int) -> Command:
        """What runs ``elf``, its console listening on 127.0.0.1:port."""

    def start(self, board: Board, elf: Path, tools: Tools, build_id: str = "") -> Running:
        """Run until it is stopped; what ran as this board before is stopped.

        Raises:
            MissingTool: the machine's program is not installed.
            ToolError: it ended at once, with what it said.
        """

    def private(
        self, board: Board, elf: Path, tools: Tools, build_id: str = ""
    ) -> AbstractContextManager[Running]:
        """Run for the time of the ``with`` only; what runs on the desk is not touched."""

    def traced(
        self, board: Board, elf: Path, tools: Tools, build_id: str = ""
    ) -> AbstractContextManager[Tracer]:
        """As ``private``, and what runs can be recorded; only with ``capabilities.trace``."""

    def examine(self, tools: Tools, boards: list[Board]) -> Finding | None:
        """Whether its program is fit for those of these boards that it runs; None: none needed."""
