"""st-flash of the stlink tools: ST-LINK probes and STM32 chips only."""

from __future__ import annotations

from mcu_hybrid.board.types import Board
from mcu_hybrid.flashers._attach import DEFAULT_ATTACH, Attach
from mcu_hybrid.flashers.base import (
    Commands,
    ProgramFlasher,
    binary,
)
from mcu_hybrid.image.firmware import FirmwareImage


class StLink(ProgramFlasher):
    """``st-flash --reset write``; it verifies by itself."""

    name = "stlink"
    tool = "st-flash"

    def commands(
        self, board: Board, image: FirmwareImage, attach: Attach = DEFAULT_ATTACH
    ) -> Commands:
        """One command: the flat binary goes to the start of the region that holds the code."""
        start = f"0x{board.placed('code').start:08x}"
        argv = [self.tool]
        if attach.probe:
            argv += ["--serial", attach.probe]
        if attach.under_reset:
            argv.append("--connect-under-reset")
        return ((*argv, "--reset", "write", str(binary(image)), start),)
