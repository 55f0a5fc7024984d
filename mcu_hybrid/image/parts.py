"""What of an ELF lies unchanged on the board: code, constants and initial values, byte for byte.

Sizes and symbols are read by ``image.py``; asking the board is device's business.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import P_FLAGS
from elftools.elf.elffile import ELFFile

from mcu_hybrid.board.types import Board
from mcu_hybrid.errors import InputError


@dataclass(frozen=True)
class ImagePart:
    """A part of the image at its load address (a host's: in its file), and its crc32."""

    address: int
    bytes: int
    crc32: int


def image_parts(elf: Path, board: Board) -> tuple[ImagePart, ...]:
    """The parts that the firmware can find in its memory; raises InputError for no ELF."""
    try:
        with elf.open("rb") as stream:
            segments = [s for s in ELFFile(stream).iter_segments("PT_LOAD") if s["p_filesz"]]
            if board.is_host:  # what is writable there is no longer as it was
                constant = [s for s in segments if not s["p_flags"] & P_FLAGS.PF_W]
                found = [(s["p_vaddr"], s.data()) for s in constant]
            else:
                code = board.placed("code")
                found = [(s["p_paddr"], s.data()) for s in segments if code.holds(s["p_paddr"])]
    except (OSError, ELFError) as error:
        raise InputError(f"cannot be read as an ELF: {error}", "build again", path=elf) from error
    return tuple(ImagePart(address, len(data), zlib.crc32(data)) for address, data in found)
