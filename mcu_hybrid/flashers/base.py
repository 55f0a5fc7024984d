"""What every flasher is: a tool, the commands it needs for a board and an image, and running them.

How one tool is called is in the file of its name; which one is taken is in ``__init__.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from mcu_hybrid.board.types import Board
from mcu_hybrid.errors import BoardError, InputError, MissingTool, ToolError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.flashers import _faults as faults
from mcu_hybrid.flashers._attach import DEFAULT_ATTACH, Attach
from mcu_hybrid.image.firmware import FirmwareImage
from mcu_hybrid.process import Tools

Commands = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class FlashResult:
    """The flasher taken, and its commands (each an argv)."""

    flasher: str
    argv: Commands


class Flasher(Protocol):
    """One flashing tool; ``tool`` is the program it needs."""

    name: str
    tool: str

    def available(self, tools: Tools) -> bool:
        """True where the tool is installed."""

    def commands(
        self, board: Board, image: FirmwareImage, attach: Attach = DEFAULT_ATTACH
    ) -> Commands:
        """The argv lists that put the image on the board, in order."""

    def flash(
        self,
        board: Board,
        image: FirmwareImage,
        tools: Tools,
        on_event: OnEvent | None,
        attach: Attach = DEFAULT_ATTACH,
    ) -> FlashResult:
        """Put the image on the board and leave it running."""


class ProgramFlasher:
    """A flasher that is done when its programs have ended well."""

    name = ""
    tool = ""

    def available(self, tools: Tools) -> bool:
        """True where the tool is installed."""
        return tools.find(self.tool) is not None

    def commands(
        self, board: Board, image: FirmwareImage, attach: Attach = DEFAULT_ATTACH
    ) -> Commands:
        """The argv lists that put the image on the board, in order."""
        raise NotImplementedError

    def flash(
        self,
        board: Board,
        image: FirmwareImage,
        tools: Tools,
        on_event: OnEvent | None,
        attach: Attach = DEFAULT_ATTACH,
    ) -> FlashResult:
        """Run the commands; where the chip is not reached, once more with it held in reset.

        Raises:
            ToolError: with the tool's last words, and the next step where they are known.
        """
        try:
            return self._run(self.commands(board, image, attach), tools, on_event)
        except MissingTool:
            raise
        except ToolError as error:
            told = faults.explain(error, board, attach)
            # A tool that timed out has been waited for long enough.
            if told is not error or attach.recover or error.code is None:
                raise told from error
            first = error
        if on_event:
            on_event(f"{self.name}, chip held in reset", 0, 1)
        held = self.commands(board, image, replace(attach, under_reset=True))
        try:
            return self._run(held, tools, on_event)
        except ToolError as error:
            raise faults.twice(first, error, board, attach) from error

    def _run(self, commands: Commands, tools: Tools, on_event: OnEvent | None) -> FlashResult:
        for n, argv in enumerate(commands):
            tools.run(argv, timeout_s=300.0)  # erasing and writing 2 MB over a slow probe
            if on_event:
                on_event(self.name, n + 1, len(commands))
        return FlashResult(self.name, commands)


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
