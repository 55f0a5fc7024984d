"""The native board: its firmware is a program of this machine, started like a virtual board."""

from __future__ import annotations

from mcu_hybrid.flashers.qemu import Qemu
from mcu_hybrid.process import Tools


class Native(Qemu):
    """Starts the firmware itself; the console is a loopback socket, as under QEMU."""

    name = "native"
    tool = ""

    def available(self, tools: Tools) -> bool:
        """True: the build that made the program also proved that it runs here."""
        return True
