"""A user's own boards for tests: a good one to spoil, or a built-in one with other texts."""

from __future__ import annotations

from pathlib import Path

from mcu_hybrid import resources
from mcu_hybrid.board.load import Board, load_board

CORES = """\
[mine]
title = "Arm Cortex-M7"
cflags = ["-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=soft"]
prefix = "arm-none-eabi-"
kernel_dirs = ["ref"]
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


def own_board(
    folder: Path, name: str, board: dict[str, str], chip: dict[str, str] | None = None
) -> Board:
    """A copy of a built-in board in a folder of the user's, with texts replaced."""
    source = resources.root("boards")
    chips = folder / "chips"
    chips.mkdir(parents=True, exist_ok=True)
    chip_name = load_board(name).chip.name
    for path, spoil in ((Path(f"{name}.toml"), board), (Path(f"chips/{chip_name}.toml"), chip)):
        text = (source / path).read_text()
        for old, new in (spoil or {}).items():
            assert old in text, old
            text = text.replace(old, new, 1)
        (folder / path).write_text(text)
    return load_board(name, [folder])


def crystal(folder: Path, name: str, hse_hz: int) -> Board:
    return own_board(folder, name, {"HSE_HZ = 8_000_000": f"HSE_HZ = {hse_hz}"})
