"""A user's own board folder for tests: one good board, which cases then spoil."""

from __future__ import annotations

from pathlib import Path

CORES = """\
[mine]
title = "Arm Cortex-M7"
cflags = ["-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=soft"]
prefix = "arm-none-eabi-"
kernel_dirs = ["not_there", "ref"]
"""
CHIP = """\
title = "a chip"
core = "mine"
clock_hz = 25_000_000
tick = { kind = "timer", hz = 25_000_000, instructions = 40 }
stack_bytes = 4096
placement = { data = "dtcm", stack = "dtcm" }
region = [
    { kind = "flash", start = 0x0000_0000, size = 0x1_0000 },
    { kind = "ram", start = 0x2000_0000, size = 0x8000 },
    { kind = "dtcm", start = 0x2001_0000, size = 0x4000 },
]
"""
BOARD = """\
title = "a board"
chip = "small"
platform = "mps2"
flashers = ["qemu"]
virtual = true
console = { kind = "socket", uart = "UART0", baud = 115_200, usb = [{ vid = 1, pid = 2 }] }
qemu = { machine = "mps2-an500", args = ["-smp", "1"] }
estimate = { chip = "stm32h743zi" }
config = { SPEED = 3, PORT = "MH_PORT_A" }
"""
FILES = {"cores.toml": CORES, "chips/small.toml": CHIP, "own.toml": BOARD}


def write_boards(folder: Path, spoil: tuple[str, str, str] | None = None) -> Path:
    """Write the folder; ``spoil`` is (file, text, its replacement)."""
    (folder / "chips").mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        if spoil is not None and spoil[0] == name:
            assert spoil[1] in text, spoil
            text = text.replace(spoil[1], spoil[2], 1)
        (folder / name).write_text(text)
    return folder
