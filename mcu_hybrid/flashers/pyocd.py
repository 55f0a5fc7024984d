"""pyOCD: a pip package for CMSIS-DAP, ST-LINK and J-Link probes."""

from __future__ import annotations

from mcu_hybrid.board.types import Board
from mcu_hybrid.flashers._attach import DEFAULT_ATTACH, Attach
from mcu_hybrid.flashers.base import (
    Commands,
    ProgramFlasher,
    debug_name,
)
from mcu_hybrid.image.firmware import FirmwareImage

SEGGER = 0x1366


class PyOcd(ProgramFlasher):
    """``pyocd flash``; it verifies while it writes and resets at the end."""

    name = "pyocd"
    tool = "pyocd"

    def commands(
        self, board: Board, image: FirmwareImage, attach: Attach = DEFAULT_ATTACH
    ) -> Commands:
        """One command: erase the sectors needed, write, reset; -W: do not wait for a probe."""
        argv = [self.tool, "flash", "-W"]
        if attach.probe:
            argv += ["-u", _serial(board, attach.probe)]
        argv += ["--target", debug_name(board, "pyocd")]
        if attach.under_reset:
            argv += ["-O", "connect_mode=under-reset"]
        if "recover" in board.chip.debug:
            # By itself pyOCD erases a locked chip without a word.
            argv += ["-O", f"auto_unlock={'true' if attach.recover else 'false'}"]
        return ((*argv, "--erase", "sector", str(image.elf)),)


def _serial(board: Board, probe: str) -> str:
    """A J-Link's number has leading zeros on USB, and none with pyOCD."""
    is_jlink = any(vendor == SEGGER for vendor, _ in board.console.usb)
    return probe.lstrip("0") if is_jlink else probe
