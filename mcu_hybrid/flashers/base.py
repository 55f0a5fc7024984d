"""What every flasher is: a tool, the commands it needs for a board and an image, and running them.

How one tool is called is in the file of its name; which one is taken is in ``__init__.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mcu_hybrid.board_types import Board
from mcu_hybrid.errors import BoardError, InputError
from mcu_hybrid.image import FirmwareImage
from mcu_hybrid.process import Tools

OnEvent = Callable[[str, int, int], None]
Commands = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class FlashResult:
    """The flasher taken, its commands (each an argv), and the console's URL of a virtual board."""

    flasher: str
    argv: Commands
    url: str


class Flasher(Protocol):
    """One flashing tool; ``tool`` is the program it needs ("" for none)."""

    name: str
    tool: str

    def available(self, tools: Tools) -> bool:
        """True where the tool is installed."""

    def commands(self, board: Board, image: FirmwareImage) -> Commands:
        """The argv lists that put the image on the board, in order."""

    def flash(
        self, board: Board, image: FirmwareImage, tools: Tools, on_event: OnEvent | None
    ) -> FlashResult:
        """Put the image on the board and leave it running."""


class ProgramFlasher:
    """A flasher that is done when its programs have ended well."""

    name = ""
    tool = ""

    def available(self, tools: Tools) -> bool:
        """True where the tool is installed."""
        return tools.find(self.tool) is not None

    def commands(self, board: Board, image: FirmwareImage) -> Commands:
        """The argv lists that put the image on the board, in order."""
        raise NotImplementedError

    def flash(
        self, board: Board, image: FirmwareImage, tools: Tools, on_event: OnEvent | None
    ) -> FlashResult:
        """Run the commands one after the other; raises ToolError with the tool's last words."""
        commands = self.commands(board, image)
        for n, argv in enumerate(commands):
            tools.run(argv, timeout_s=300.0)
            if on_event:
                on_event(self.name, n + 1, len(commands))
        return FlashResult(self.name, commands, "")


def debug_name(board: Board, tool: str) -> str:
    """What ``tool`` calls the board's chip; raises BoardError where the chip file does not say."""
    try:
        return board.chip.debug[tool]
    except KeyError:
        raise BoardError(
            f"the chip file does not say what {tool} calls the chip",
            f'add to chips/{board.chip.name}.toml: debug = {{ {tool} = "..." }}',
            path=board.path,
            key=f"chip {board.chip.name}: debug.{tool}",
        ) from None


def binary(image: FirmwareImage) -> Path:
    """The flat binary that the build wrote beside the ELF."""
    path = image.elf.with_suffix(".bin")
    if not path.is_file():
        raise InputError("does not exist", "build the firmware again", path=path)
    return path
