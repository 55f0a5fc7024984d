"""What the compiler made: segments, sizes and symbols of an ELF, and whether it fits a board.

Also what a model asks for before anything is compiled (``Footprint``), so that the fit gate and the
check after linking speak of the same things. Nothing here runs a compiler.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection

from mcu_hybrid.board.types import Board
from mcu_hybrid.errors import CapacityError, InputError

WEIGHTS_SECTION = ".rodata.mh_weights"
STACK_SECTION = ".mh_stack"
_MAP_WEIGHTS = re.compile(r"^ \.rodata\.mh_weights\s+0x[0-9a-f]+\s+0x([0-9a-f]+)", re.MULTILINE)


@dataclass(frozen=True)
class Footprint:
    """What a model asks for, in bytes, and what weighs most in it.

    ``largest_ram`` and ``largest_flash`` are ready for a message: "op 7 CONV_2D 98,304 B".
    """

    arena_bytes: int
    weights_bytes: int
    layers: int
    kernels: tuple[str, ...]
    largest_ram: tuple[str, ...] = ()
    largest_flash: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extra:
    """What a second engine adds: flags for its C++ files and arguments at the end of the link."""

    cxx_flags: tuple[str, ...] = ()
    link: tuple[str, ...] = ()


@dataclass(frozen=True)
class Segment:
    """Bytes of the image that a flasher writes; ``address`` is the load address."""

    address: int
    bytes: int


@dataclass(frozen=True)
class FirmwareImage:
    """A linked firmware; all sizes in bytes.

    ``flash_used`` is what a flasher writes: code, weights, initial values of .data, and the gaps of
    alignment. ``ram_used`` is .data and .bss with the arena, without the stack, whose reserve is
    ``stack_bytes`` (0 on a host).
    """

    elf: Path
    build_id: str
    segments: tuple[Segment, ...]
    entry: int
    flash_used: int
    ram_used: int
    stack_bytes: int
    code_bytes: int
    weights_bytes: int
    sections: tuple[tuple[str, int, int], ...]
    symbols: dict[str, tuple[int, int]]

    def check_fits(self, board: Board) -> None:
        """Every section lies inside a region of the board; raises CapacityError."""
        if board.is_host:
            return
        spans = [*self.sections, *(("load image", s.address, s.bytes) for s in self.segments)]
        for name, address, size in spans:
            if size and not any(region.holds(address, size) for region in board.chip.regions):
                raise _outside(name, address, size, board)


def read_image(elf: Path, map_path: Path | None = None, build_id: str = "") -> FirmwareImage:
    """Read sizes and symbols of a linked ELF.

    Args:
        map_path: the linker's map; needed for the weights' size only where the linker script does
            not keep them in a section of their own (a host's).
    """
    try:
        with elf.open("rb") as stream:
            file = ELFFile(stream)
            sections = [s for s in file.iter_sections() if s["sh_flags"] & SH_FLAGS.SHF_ALLOC]
            symbols = _symbols(file)
            segments = tuple(
                Segment(s["p_paddr"], s["p_filesz"])
                for s in file.iter_segments("PT_LOAD")
                if s["p_filesz"]
            )
            entry = file["e_entry"]
    except (OSError, ELFError) as error:
        raise InputError(f"cannot be read as an ELF: {error}", "build again", path=elf) from error
    stack = sum(s["sh_size"] for s in sections if s.name == STACK_SECTION)
    writable = [s for s in sections if _writable(s) and s.name != STACK_SECTION]
    constant = sum(s["sh_size"] for s in sections if not _writable(s) and not _empty(s))
    weights = _weights(sections, map_path)
    return FirmwareImage(
        elf=elf,
        build_id=build_id,
        segments=segments,
        entry=entry,
        flash_used=sum(segment.bytes for segment in segments),
        ram_used=sum(s["sh_size"] for s in writable),
        stack_bytes=stack,
        code_bytes=constant - weights,
        weights_bytes=weights,
        sections=tuple((s.name, s["sh_addr"], s["sh_size"]) for s in sections),
        symbols=symbols,
    )


def _outside(name: str, address: int, size: int, board: Board) -> CapacityError:
    regions = ", ".join(f"{r.kind} 0x{r.start:08x}..0x{r.end:08x}" for r in board.chip.regions)
    return CapacityError(
        f"{name} at 0x{address:08x} ({size:,} B) lies outside the memories of {board.name}",
        f"its regions are {regions}; mend the platform's linker script or the chip file",
        need=size,
    )


def _writable(section: Section) -> bool:
    return bool(section["sh_flags"] & SH_FLAGS.SHF_WRITE)


def _empty(section: Section) -> bool:
    return bool(section["sh_type"] == "SHT_NOBITS")


def _weights(sections: Iterable[Section], map_path: Path | None) -> int:
    own = sum(s["sh_size"] for s in sections if s.name == WEIGHTS_SECTION)
    if own or map_path is None:
        return int(own)
    text = map_path.read_text("utf-8", "replace")
    # What --gc-sections threw away is listed before this line.
    kept = text[text.find("Linker script and memory map") :]
    return sum(int(size, 16) for size in _MAP_WEIGHTS.findall(kept))


def _symbols(file: ELFFile) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for table in file.iter_sections():
        if isinstance(table, SymbolTableSection):
            for symbol in table.iter_symbols():
                if symbol.name and symbol["st_info"]["type"] in ("STT_OBJECT", "STT_FUNC"):
                    found[symbol.name] = (symbol["st_value"], symbol["st_size"])
    return found
