"""pyOCD: a pip package for CMSIS-DAP, ST-LINK and J-Link probes."""

from __future__ import annotations

from mcu_hybrid.board_types import Board
from mcu_hybrid.errors import ToolError
from mcu_hybrid.flashers.base import (
    Commands,
    FlashResult,
    OnEvent,
    ProgramFlasher,
    debug_name,
)
from mcu_hybrid.image import FirmwareImage
from mcu_hybrid.process import Tools


class PyOcd(ProgramFlasher):
    """``pyocd flash``; it verifies while it writes and resets at the end."""

    name = "pyocd"
    tool = "pyocd"

    def commands(self, board: Board, image: FirmwareImage) -> Commands:
        """One command: erase the sectors needed, write, reset."""
        target = debug_name(board, "pyocd")
        return ((self.tool, "flash", "--target", target, "--erase", "sector", str(image.elf)),)

    def flash(
        self, board: Board, image: FirmwareImage, tools: Tools, on_event: OnEvent | None
    ) -> FlashResult:
        """Run it; a chip that comes in a pack which is not installed is named as such."""
        try:
            return super().flash(board, image, tools, on_event)
        except ToolError as error:
            if "not recognized" not in error.tail:
                raise
            target = debug_name(board, "pyocd")
            raise ToolError(
                f"pyocd does not know the chip {target} yet",
                f"pyocd pack install {target}",
                argv=error.argv,
                code=error.code,
                tail=error.tail,
            ) from error
