"""Every board's firmware renders, compiles without a warning, links, and lies where it should."""

from __future__ import annotations

import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from mcu_hybrid.board.load import Board, board_names, load_board
from mcu_hybrid.firmware.build import build
from mcu_hybrid.firmware.render import render_project
from mcu_hybrid.image.firmware import FirmwareImage
from mcu_hybrid.process import Tools

STUB = Path(__file__).parent / "platform_rig" / "stub_model.c"
ARM_BOARDS = [name for name in board_names() if not load_board(name).is_host]
FIRST_IRQ = 16
# Interrupt numbers of the consoles, from the chips' manuals.
CONSOLE_IRQ = {
    "mps2-an385": 0,
    "mps2-an386": 0,
    "mps2-an500": 0,
    "mps3-an547": 33,
    "netduinoplus2": 37,
    "stm32f4": 38,
    "stm32f7": 39,
    "stm32h7": 39,
    "nrf52840dk": 2,
}


@dataclass(frozen=True)
class Linked:
    board: Board
    image: FirmwareImage
    sections: dict[str, tuple[int, bytes]]
    symbols: dict[str, int]

    def symbol(self, name: str) -> int:
        """A function without its Thumb bit, or an address that the linker script sets."""
        return self.symbols[name] & ~1

    def vector(self, number: int) -> int:
        (value,) = struct.unpack_from("<I", self.sections[".vectors"][1], 4 * number)
        return int(value)


def link(board: Board, folder: Path) -> FirmwareImage:
    project = render_project(folder, board, {"model.c": STUB.read_text()})
    return build(project, board, Tools())


@pytest.fixture(scope="module", params=ARM_BOARDS)
def linked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Linked:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    board = load_board(request.param)
    image = link(board, tmp_path_factory.mktemp(board.name))
    with image.elf.open("rb") as stream:
        file = ELFFile(stream)
        sections = {
            s.name: (int(s["sh_addr"]), bytes(s.data()) if s["sh_type"] != "SHT_NOBITS" else b"")
            for s in file.iter_sections()
        }
        table = file.get_section_by_name(".symtab")
        symbols = {symbol.name: int(symbol["st_value"]) for symbol in table.iter_symbols()}
    return Linked(board, image, sections, symbols)


def test_everything_lies_inside_the_regions(linked: Linked) -> None:
    linked.image.check_fits(linked.board)
    assert linked.image.weights_bytes == 48
    assert linked.image.stack_bytes == linked.board.stack_bytes


def test_the_vector_table_is_first_in_flash(linked: Linked) -> None:
    code = linked.board.placed("code")
    assert linked.sections[".vectors"][0] == code.start
    assert linked.vector(0) == linked.symbol("__stack_top")
    assert linked.vector(1) == linked.symbol("Reset_Handler") | 1
    assert code.holds(linked.vector(1))


def test_each_fault_has_its_handler(linked: Linked) -> None:
    handler = linked.symbol("mh_fault_entry") | 1
    assert [linked.vector(n) for n in (3, 4, 5, 6)] == [handler] * 4
    assert linked.vector(2) == linked.symbol("mh_unexpected") | 1


def test_the_console_has_its_interrupt_and_no_other_has_one(linked: Linked) -> None:
    expected = FIRST_IRQ + CONSOLE_IRQ[linked.board.name]
    count = len(linked.sections[".vectors"][1]) // 4
    taken = {n for n in range(FIRST_IRQ, count) if linked.vector(n)}
    assert taken == {expected}
    assert linked.vector(expected) == linked.symbol("mh_platform_console_irq") | 1


def test_the_stack_is_first_in_its_region_so_that_an_overflow_faults(linked: Linked) -> None:
    region = linked.board.placed("stack")
    assert linked.symbol("__stack_limit") == region.start
    assert linked.symbol("__stack_top") == region.start + linked.board.stack_bytes
    assert region.start % 0x10000 == 0, "the start-up code guards the 64 KB below"


def test_the_arena_is_where_the_board_places_it(linked: Linked) -> None:
    region = linked.board.placed("arena")
    start, end = linked.symbol("__arena_start"), linked.symbol("__arena_end")
    assert end - start == 64
    assert start % 16 == 0
    assert region.holds(start, end - start)


def test_statics_are_where_the_board_places_them(linked: Linked) -> None:
    region = linked.board.placed("data")
    start, end = linked.symbol("__bss_start"), linked.symbol("__bss_end")
    assert end > start
    assert region.holds(start, end - start)


def test_the_h7_keeps_its_arena_apart_from_stack_and_statics() -> None:
    board = load_board("stm32h7")
    assert board.placed("arena").start == 0x2400_0000
    assert board.placed("stack").start == board.placed("data").start == 0x2000_0000


def test_the_native_board_links(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    image = link(load_board("native"), tmp_path)
    assert image.elf.is_file()
    assert image.weights_bytes >= 48
