"""OpenOCD: ST-LINK and J-Link probes, any chip with a target file."""

from __future__ import annotations

from mcu_hybrid.board_types import Board
from mcu_hybrid.errors import BoardError
from mcu_hybrid.flashers.base import Commands, ProgramFlasher, debug_name
from mcu_hybrid.image import FirmwareImage

# The debugger's interface file follows from who made the board's USB adapter. A J-Link must be told
# to speak SWD; the ST-LINK file does it itself.
INTERFACES = {
    0x0483: ("-f", "interface/stlink.cfg"),
    0x1366: ("-f", "interface/jlink.cfg", "-c", "transport select swd"),
    0x0D28: ("-f", "interface/cmsis-dap.cfg", "-c", "transport select swd"),
}


class OpenOcd(ProgramFlasher):
    """``openocd -c "program ... verify reset exit"``."""

    name = "openocd"
    tool = "openocd"

    def commands(self, board: Board, image: FirmwareImage) -> Commands:
        """One command: program, compare, reset."""
        # Tcl braces keep a path with spaces in one piece.
        program = f"program {{{image.elf}}} verify reset exit"
        target = debug_name(board, "openocd")
        return ((self.tool, *_interface(board), "-f", target, "-c", program),)


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
