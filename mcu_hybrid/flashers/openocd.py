"""OpenOCD: ST-LINK, J-Link and CMSIS-DAP probes, any chip with a target file."""

from __future__ import annotations

from mcu_hybrid.board.types import Board
from mcu_hybrid.errors import BoardError
from mcu_hybrid.flashers._attach import DEFAULT_ATTACH, Attach
from mcu_hybrid.flashers.base import (
    Commands,
    ProgramFlasher,
    debug_name,
)
from mcu_hybrid.image.firmware import FirmwareImage

# The debugger's interface file follows from who made the board's USB adapter. A J-Link must be told
# to speak SWD; the ST-LINK file does it itself.
INTERFACES = {
    0x0483: ("-f", "interface/stlink.cfg"),
    0x1366: ("-f", "interface/jlink.cfg", "-c", "transport select swd"),
    0x0D28: ("-f", "interface/cmsis-dap.cfg", "-c", "transport select swd"),
    0x2E8A: ("-f", "interface/cmsis-dap.cfg", "-c", "transport select swd"),
}
UNDER_RESET = "reset_config srst_only srst_nogate connect_assert_srst"


class OpenOcd(ProgramFlasher):
    """``openocd -c "program ... verify reset exit"``."""

    name = "openocd"
    tool = "openocd"

    def commands(
        self, board: Board, image: FirmwareImage, attach: Attach = DEFAULT_ATTACH
    ) -> Commands:
        """One command: choose the probe, unlock where asked to, program, compare, reset."""
        argv = [self.tool, *_interface(board)]
        if attach.probe:
            argv += ["-c", f"adapter serial {attach.probe}"]
        argv += ["-f", debug_name(board, "openocd")]
        if attach.under_reset:
            argv += ["-c", UNDER_RESET]
        if attach.recover:
            argv += ["-c", "init", "-c", debug_name(board, "recover")]
        # Tcl braces keep a path with spaces in one piece.
        argv += ["-c", f"program {{{image.elf}}} verify reset exit"]
        return (tuple(argv),)


def _interface(board: Board) -> tuple[str, ...]:
    for vendor, _ in board.console.usb:
        if vendor in INTERFACES:
            return INTERFACES[vendor]
    known = ", ".join(f"0x{vendor:04x}" for vendor in INTERFACES)
    raise BoardError(
        "cannot tell which debug probe the board has",
        f"add console.usb with the probe's vendor id (one of {known})",
        path=board.path,
        key="console.usb",
    )
