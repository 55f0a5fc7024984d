"""Which flasher is taken, and exactly which command lines it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_tools import FakeTools

from mcu_hybrid.board import Board, list_boards, load_board
from mcu_hybrid.errors import BoardError, CapacityError, InputError, MissingTool, ToolError
from mcu_hybrid.flashers import FLASHERS, choose, flash
from mcu_hybrid.image import FirmwareImage, Segment

ELF = "{dir}/firmware.elf"
PROGRAM = "program {{{dir}/firmware.elf}} verify reset exit"
STLINK = ("-f", "interface/stlink.cfg")
JLINK = ("-f", "interface/jlink.cfg", "-c", "transport select swd")

# board, flasher, the one command line
EXPECTED = [
    (
        "stm32h7",
        "openocd",
        ("openocd", *STLINK, "-f", "target/stm32h7x_dual_bank.cfg", "-c", PROGRAM),
    ),
    ("stm32f7", "openocd", ("openocd", *STLINK, "-f", "target/stm32f7x.cfg", "-c", PROGRAM)),
    ("stm32f4", "openocd", ("openocd", *STLINK, "-f", "target/stm32f4x.cfg", "-c", PROGRAM)),
    ("nrf52840dk", "openocd", ("openocd", *JLINK, "-f", "target/nrf52.cfg", "-c", PROGRAM)),
    (
        "stm32h7",
        "pyocd",
        ("pyocd", "flash", "-W", "--target", "stm32h743xx", "--erase", "sector", ELF),
    ),
    (
        "stm32f7",
        "pyocd",
        ("pyocd", "flash", "-W", "--target", "stm32f746zgtx", "--erase", "sector", ELF),
    ),
    (
        "stm32f4",
        "pyocd",
        ("pyocd", "flash", "-W", "--target", "stm32f446retx", "--erase", "sector", ELF),
    ),
    (
        "nrf52840dk",
        "pyocd",
        (
            "pyocd",
            "flash",
            "-W",
            "--target",
            "nrf52840",
            "-O",
            "auto_unlock=false",
            "--erase",
            "sector",
            ELF,
        ),
    ),
    ("stm32h7", "stlink", ("st-flash", "--reset", "write", "{dir}/firmware.bin", "0x08000000")),
    ("stm32f7", "stlink", ("st-flash", "--reset", "write", "{dir}/firmware.bin", "0x08000000")),
    ("stm32f4", "stlink", ("st-flash", "--reset", "write", "{dir}/firmware.bin", "0x08000000")),
]


@pytest.fixture
def image(tmp_path: Path) -> FirmwareImage:
    for name in ("firmware.elf", "firmware.bin"):
        (tmp_path / name).write_bytes(b"\0" * 16)
    return FirmwareImage(
        elf=tmp_path / "firmware.elf",
        build_id="ab" * 16,
        segments=(Segment(0x0800_0000, 16),),
        entry=0x0800_0001,
        flash_used=16,
        ram_used=0,
        stack_bytes=0,
        code_bytes=16,
        weights_bytes=0,
        sections=(),
        symbols={},
    )


def argv_of(template: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    return tuple(part.format(dir=folder) if "{dir}" in part else part for part in template)


@pytest.mark.parametrize(("name", "flasher", "argv"), EXPECTED)
def test_command_lines(
    name: str, flasher: str, argv: tuple[str, ...], image: FirmwareImage, tmp_path: Path
) -> None:
    tools = FakeTools(argv[0])
    board = load_board(name)
    start = board.placed("code").start
    image = replace(image, segments=(Segment(start, 16),))
    done = flash(board, image, tools, flasher)
    assert tools.planned == [argv_of(argv, tmp_path)]
    assert done.argv == tuple(tools.planned)
    assert (done.flasher, done.url) == (flasher, "")


def test_every_flasher_of_every_real_board_is_in_the_table() -> None:
    real = {(b.name, f) for b in list_boards() if not b.is_virtual for f in b.flashers}
    assert real == {(name, flasher) for name, flasher, _ in EXPECTED}


def test_the_registry_is_what_boards_may_name() -> None:
    named = {flasher for board in list_boards() for flasher in board.flashers}
    assert named == set(FLASHERS)


@pytest.mark.parametrize(
    ("installed", "taken"),
    [
        (("openocd", "pyocd", "st-flash"), "openocd"),
        (("pyocd", "st-flash"), "pyocd"),
        (("st-flash",), "stlink"),
    ],
)
def test_the_first_installed_tool_is_taken(installed: tuple[str, ...], taken: str) -> None:
    assert choose(load_board("stm32h7"), FakeTools(*installed)).name == taken


def test_none_installed_names_every_install_command(image: FirmwareImage) -> None:
    with pytest.raises(MissingTool) as caught:
        flash(load_board("stm32h7"), image, FakeTools())
    assert "openocd, pyocd, st-flash" in caught.value.message
    for line in ("apt-get install openocd", "pip install pyocd", "apt-get install stlink-tools"):
        assert line in caught.value.hint


def test_a_chosen_tool_that_is_missing_names_its_install_command(image: FirmwareImage) -> None:
    with pytest.raises(MissingTool) as caught:
        flash(load_board("stm32h7"), image, FakeTools("openocd"), "pyocd")
    assert caught.value.message == "pyocd is not installed"
    assert caught.value.hint == "pip install pyocd"


def test_a_dry_run_shows_the_command_and_runs_nothing(image: FirmwareImage, tmp_path: Path) -> None:
    tools = FakeTools()
    done = flash(load_board("stm32h7"), image, tools, dry_run=True)
    assert done.argv == (argv_of(EXPECTED[0][2], tmp_path),)
    assert tools.planned == []


def test_a_dry_run_prefers_what_is_installed(image: FirmwareImage) -> None:
    done = flash(load_board("stm32h7"), image, FakeTools("st-flash"), dry_run=True)
    assert done.flasher == "stlink"


def test_a_flasher_of_another_board_is_refused(image: FirmwareImage) -> None:
    with pytest.raises(BoardError, match=r"not flashed with 'stlink'.*\n.*openocd, pyocd"):
        flash(load_board("nrf52840dk"), image, FakeTools("st-flash"), "stlink")


def test_an_image_for_another_board_is_not_written(image: FirmwareImage) -> None:
    tools = FakeTools("openocd")
    with pytest.raises(CapacityError):
        flash(load_board("nrf52840dk"), image, tools)
    assert tools.planned == []


def test_a_missing_binary_says_build_again(image: FirmwareImage) -> None:
    image.elf.with_suffix(".bin").unlink()
    with pytest.raises(InputError, match="build the firmware again"):
        flash(load_board("stm32f4"), image, FakeTools("st-flash"), "stlink")


def test_pyocd_without_the_chips_pack_says_which(image: FirmwareImage) -> None:
    tools = FakeTools("pyocd", failing={"pyocd": "Target type stm32f746zgtx not recognized."})
    with pytest.raises(ToolError) as caught:
        flash(load_board("stm32f7"), image, tools, "pyocd")
    assert caught.value.hint == "pyocd pack install stm32f746zgtx"


def test_a_failing_tool_is_passed_on_with_its_words(image: FirmwareImage) -> None:
    tools = FakeTools("pyocd", failing={"pyocd": "No connected debug probes"})
    with pytest.raises(ToolError, match="No connected debug probes"):
        flash(load_board("stm32f7"), image, tools, "pyocd")


def _bare(board: Board) -> Board:
    return replace(board, chip=replace(board.chip, debug={}))


@pytest.mark.parametrize("flasher", ["openocd", "pyocd"])
def test_a_chip_without_a_debug_name_says_what_to_add(flasher: str, image: FirmwareImage) -> None:
    with pytest.raises(BoardError, match=rf"add to chips/stm32h743zi.toml: debug.*{flasher}"):
        flash(_bare(load_board("stm32h7")), image, FakeTools(flasher), flasher)


def test_openocd_without_a_known_probe_says_what_to_add(image: FirmwareImage) -> None:
    board = load_board("stm32h7")
    board = replace(board, console=replace(board.console, usb=()))
    with pytest.raises(BoardError, match=r"add console\.usb"):
        flash(board, image, FakeTools("openocd"), "openocd")


def test_progress_is_reported(image: FirmwareImage) -> None:
    seen: list[tuple[str, int, int]] = []
    flash(
        load_board("stm32h7"),
        image,
        FakeTools("openocd"),
        on_event=lambda label, done, total: seen.append((label, done, total)),
    )
    assert seen == [("openocd", 1, 1)]
