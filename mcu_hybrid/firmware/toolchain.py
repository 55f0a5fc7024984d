"""Names and flags of the compiler for a board. What they are used for is in ``build.py``."""

from __future__ import annotations

from mcu_hybrid.board.load import Board
from mcu_hybrid.image.firmware import Extra

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
CODE = ("-g", "-ffunction-sections", "-fdata-sections", "-fno-common")
# Kernels are for speed; everything around them runs once per inference or per frame.
SPEED, SIZE = "-O2", "-Os"
KERNELS = "src/kernels/"
# The vernier that reads parts of a tick counts on how many instructions a turn of it takes.
FAST_FILES = (KERNELS, "src/app/mh_time.c", "src/platform/")
C_FLAGS = ("-std=c99", *WARNINGS, *CODE)
# C++ comes only with a foreign engine, whose headers do not hold to our warnings.
CXX_FLAGS = (
    "-std=c++17",
    "-Wall",
    SPEED,
    *CODE,
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
)
INCLUDE_DIRS = ("src", "src/app", "src/kernels/include", "src/model", "src/platform")
LINKER_SCRIPT = "src/platform/linker.ld"
HOST_SCRIPT = "src/platform/guard.ld"  # goes beside the linker's own
MAP = "firmware.map"


def program(board: Board, name: str) -> str:
    """The tool of the board's toolchain: ``gcc`` -> ``arm-none-eabi-gcc``."""
    return board.core.prefix + name


def c_flags(board: Board, path: str = KERNELS) -> tuple[str, ...]:
    """Flags of the C file ``path`` (in the project), without include folders."""
    level = SPEED if path.startswith(FAST_FILES) else SIZE
    return (*board.core.cflags, *C_FLAGS, level)


def cxx_flags(board: Board, extra: Extra) -> tuple[str, ...]:
    """Flags of every C++ file, without our include folders."""
    return (*board.core.cflags, *CXX_FLAGS, *extra.cxx_flags)


def link_flags(board: Board) -> tuple[str, ...]:
    """Flags of the link; paths are relative to the project."""
    common = (*board.core.cflags, "-Wl,--gc-sections", f"-Wl,-Map={MAP}")
    if board.is_host:
        return (*common, "-T", HOST_SCRIPT)
    return (
        *common,
        "-nostartfiles",
        "-T",
        LINKER_SCRIPT,
        "--specs=nano.specs",
        "--specs=nosys.specs",
    )
