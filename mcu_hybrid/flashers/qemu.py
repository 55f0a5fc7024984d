"""QEMU as a flasher: "flashing" a virtual board starts it, and it stays running."""

from __future__ import annotations

from mcu_hybrid.board.types import Board
from mcu_hybrid.events import OnEvent
from mcu_hybrid.flashers._attach import DEFAULT_ATTACH, Attach
from mcu_hybrid.flashers.base import Commands, FlashResult
from mcu_hybrid.image.firmware import FirmwareImage
from mcu_hybrid.machines import qemu
from mcu_hybrid.process import Tools


class Qemu:
    """Starts qemu-system-arm with the ELF; replaces what ran on the board before."""

    name = "qemu"
    tool = qemu.QEMU

    def available(self, tools: Tools) -> bool:
        """True where the emulator is installed."""
        return tools.find(self.tool) is not None

    def commands(
        self, board: Board, image: FirmwareImage, attach: Attach = DEFAULT_ATTACH
    ) -> Commands:
        """The emulator's argv, with a port that is free now."""
        return (qemu.command(board, image.elf, qemu.free_port()),)

    def flash(
        self,
        board: Board,
        image: FirmwareImage,
        tools: Tools,
        on_event: OnEvent | None,
        attach: Attach = DEFAULT_ATTACH,
    ) -> FlashResult:
        """Start the board; the result's URL opens its console."""
        running = qemu.start(board, image.elf, tools, image.build_id)
        if on_event:
            on_event(self.name, 1, 1)
        argv = qemu.command(board, image.elf, running.port)
        return FlashResult(self.name, (argv,), running.url)
