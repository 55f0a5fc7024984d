"""Puts a firmware image on a real board with the first of its tools that is installed.

Registry and choice are here, one tool a file beside it. Reading the build id back is the caller's;
what runs an image without the board is in machines/.
"""

from __future__ import annotations

from mcu_hybrid.board.types import Board
from mcu_hybrid.errors import BoardError, MissingTool
from mcu_hybrid.flashers._attach import DEFAULT_ATTACH, Attach
from mcu_hybrid.flashers.base import (
    Commands,
    Flasher,
    FlashResult,
    OnEvent,
)
from mcu_hybrid.flashers.openocd import OpenOcd
from mcu_hybrid.flashers.pyocd import PyOcd
from mcu_hybrid.flashers.stlink import StLink
from mcu_hybrid.image.firmware import FirmwareImage
from mcu_hybrid.process import INSTALL_HINTS, Tools

__all__ = [
    "FLASHERS",
    "Attach",
    "Commands",
    "FlashResult",
    "Flasher",
    "OnEvent",
    "choose",
    "flash",
    "not_flashed_with",
]

FLASHERS: dict[str, Flasher] = {flasher.name: flasher for flasher in (OpenOcd(), PyOcd(), StLink())}


def flash(
    board: Board,
    image: FirmwareImage,
    tools: Tools,
    flasher: str | None = None,
    *,
    dry_run: bool = False,
    on_event: OnEvent | None = None,
    attach: Attach = DEFAULT_ATTACH,
) -> FlashResult:
    """Flash, or with ``dry_run`` only tell the commands.

    Raises:
        BoardError: ``flasher`` is not one of the board's, or the chip has no lock to open.
        MissingTool: the flasher's tool, or every one of the board's, is not installed.
        ToolError: the tool failed.
    """
    if attach.recover and "recover" not in board.chip.debug:
        raise BoardError(
            f"{board.name} has no lock that --recover could open", "leave --recover out"
        )
    chosen = choose(board, tools, flasher, dry_run=dry_run)
    if dry_run:
        return FlashResult(chosen.name, chosen.commands(board, image, attach))
    image.check_fits(board)
    return chosen.flash(board, image, tools, on_event, attach)


def choose(
    board: Board, tools: Tools, name: str | None = None, *, dry_run: bool = False
) -> Flasher:
    """The flasher of this name, else the board's first whose tool is installed.

    A dry run takes the board's first where none is installed: nothing is started.
    """
    if name is not None and name not in board.flashers:
        raise not_flashed_with(board, name)
    wanted = (name,) if name else board.flashers
    candidates = [FLASHERS[n] for n in wanted if n in FLASHERS]  # others name a machine
    for flasher in candidates:
        if flasher.available(tools):
            return flasher
    if dry_run and candidates:
        return candidates[0]
    raise _none_installed(board, candidates)


def not_flashed_with(board: Board, name: str) -> BoardError:
    """The error of a flasher that is not the board's."""
    return BoardError(
        f"the board is not flashed with '{name}'",
        f"one of: {', '.join(board.flashers)}",
        path=board.path,
        key="flashers",
    )


def _none_installed(board: Board, candidates: list[Flasher]) -> MissingTool:
    if not candidates:
        return MissingTool(
            f"{board.name} has no flasher", f"name one in 'flashers' of {board.path}"
        )
    names = ", ".join(flasher.tool for flasher in candidates)
    lines = [INSTALL_HINTS.get(f.tool, f"install {f.tool}") for f in candidates]
    text = f"{names} is not installed"
    if len(candidates) > 1:
        text = f"to flash {board.name}, one of these must be installed, and none is: {names}"
    return MissingTool(text, "; or: ".join(lines), argv=(candidates[0].tool,))
