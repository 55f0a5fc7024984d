"""Which flasher is taken, and exactly which command lines it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcu_hybrid import machines
from mcu_hybrid.board.load import Board, list_boards, load_board
from mcu_hybrid.errors import BoardError, CapacityError, InputError, MissingTool, ToolError
from mcu_hybrid.flashers import FLASHERS, Attach, choose, flash
from mcu_hybrid.image.firmware import FirmwareImage, Segment
from mcu_hybrid.process import Result, Tools
from tests.support.fake_tools import FakeTools

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
    assert done.flasher == flasher


def test_every_flasher_of_every_real_board_is_in_the_table() -> None:
    real = {(b.name, f) for b in list_boards() if not b.is_virtual for f in b.flashers}
    assert real == {(name, flasher) for name, flasher, _ in EXPECTED}


def test_the_registry_is_what_boards_may_name() -> None:
    named = {flasher for board in list_boards() for flasher in board.flashers}
    assert named == set(FLASHERS) | set(machines.names())


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


PROBE = "0669FF303430484257142935"
UNDER_RESET = "reset_config srst_only srst_nogate connect_assert_srst"
# flasher, what is added by a probe, by a chip held in reset: as in the tools' own help
ATTACHED = [
    (
        "openocd",
        (*STLINK, "-c", f"adapter serial {PROBE}", "-f", "target/stm32h7x_dual_bank.cfg"),
        ("-f", "target/stm32h7x_dual_bank.cfg", "-c", UNDER_RESET, "-c", "program"),
    ),
    (
        "pyocd",
        ("pyocd", "flash", "-W", "-u", PROBE, "--target"),
        ("--target", "stm32h743xx", "-O", "connect_mode=under-reset", "--erase", "sector"),
    ),
    (
        "stlink",
        ("st-flash", "--serial", PROBE, "--reset", "write"),
        ("st-flash", "--connect-under-reset", "--reset", "write"),
    ),
]


@pytest.mark.parametrize(("flasher", "by_probe", "in_reset"), ATTACHED)
def test_every_flasher_takes_a_probe_and_tries_under_reset(
    flasher: str, by_probe: tuple[str, ...], in_reset: tuple[str, ...], image: FirmwareImage
) -> None:
    board, tool = load_board("stm32h7"), FLASHERS[flasher].tool
    done = flash(board, image, FakeTools(tool), flasher, attach=Attach(PROBE))
    assert " ".join(by_probe) in " ".join(done.argv[0])
    tools = FakeTools(tool, failing={tool: "Error: unable to connect to the target"})
    with pytest.raises(ToolError) as caught:
        flash(board, image, tools, flasher)
    assert len(tools.planned) == 2
    assert " ".join(in_reset) not in " ".join(tools.planned[0])
    assert " ".join(in_reset) in " ".join(tools.planned[1])
    assert "neither running nor held in reset" in caught.value.message
    assert "powered" in caught.value.hint


class OnceShut(FakeTools):
    """A chip whose firmware shuts the debugger out: only held in reset it is reached."""

    def run(self, argv: Sequence[str], **named: Any) -> Result:
        if "--connect-under-reset" not in argv:
            self.planned.append(tuple(argv))
            raise ToolError("st-flash failed", argv=argv, code=1, tail="Failed to enter SWD mode")
        return super().run(argv, **named)


def test_the_second_try_is_enough(image: FirmwareImage) -> None:
    done = flash(load_board("stm32h7"), image, OnceShut("st-flash"), "stlink")
    assert "--connect-under-reset" in done.argv[0]


def test_the_j_links_number_is_as_each_tool_has_it(image: FirmwareImage) -> None:
    board = load_board("nrf52840dk")
    image = replace(image, segments=(Segment(0, 16),))
    attach = Attach("000683123456")
    (argv,) = flash(board, image, FakeTools("pyocd"), "pyocd", attach=attach).argv
    assert argv[argv.index("-u") + 1] == "683123456"
    (argv,) = flash(board, image, FakeTools("openocd"), "openocd", attach=attach).argv
    assert "adapter serial 000683123456" in argv


# tool, its words (as printed with nothing plugged in, by the versions of Debian 12 and pyOCD 0.46)
NO_PROBE = [
    ("openocd", "Info : clock speed 2000 kHz\nError: open failed\n** OpenOCD init failed **"),
    ("openocd", "swd\nError: No J-Link device found\n"),
    ("openocd", "Error: unable to find a matching CMSIS-DAP device"),
    ("pyocd", "No connected debug probes\n0000836 E No target device available [load_cmd]"),
    ("pyocd", "No connected debug probe matches unique ID '123'"),
    ("pyocd", "Waiting for a debug probe to be connected..."),
    ("stlink", "2026-11-30T18:27:01 WARN usb.c: Couldn't find any ST-Link devices"),
]


@pytest.mark.parametrize(("flasher", "words"), NO_PROBE)
def test_no_probe_gets_a_next_step_and_no_second_try(
    flasher: str, words: str, image: FirmwareImage
) -> None:
    tool = FLASHERS[flasher].tool
    tools = FakeTools(tool, failing={tool: words})
    with pytest.raises(ToolError) as caught:
        flash(load_board("stm32h7"), image, tools, flasher)
    assert "no debug probe of stm32h7 is plugged in" in caught.value.message
    assert words.splitlines()[-1] in caught.value.message
    assert "plug the board in" in caught.value.hint and "doctor" in caught.value.hint
    assert len(tools.planned) == 1
    with pytest.raises(ToolError, match="no debug probe with serial number 12 is plugged in"):
        flash(load_board("stm32h7"), image, tools, flasher, attach=Attach("12"))


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (
            "libusb_open() failed with LIBUSB_ERROR_ACCESS\nError: open failed",
            "no permission to open the debug probe",
            "udev rule",
        ),
        ("LIBUSB_ERROR_BUSY", "another program holds the debug probe", "close it"),
        ("Error: Multiple devices found", "several debug probes", "--probe SERIAL"),
    ],
)
def test_other_faults_of_a_probe(words: str, says: str, hint: str, image: FirmwareImage) -> None:
    tools = FakeTools("openocd", failing={"openocd": words})
    with pytest.raises(ToolError) as caught:
        flash(load_board("stm32h7"), image, tools)
    assert says in caught.value.message and hint in caught.value.hint
    assert len(tools.planned) == 1


LOCKED = [
    ("openocd", "****** WARNING ******\nnRF52 device has AP lock engaged (see UICR APPROTECT"),
    ("pyocd", "0000414 W NRF52840 APPROTECT enabled: not automatically unlocking [target_nRF52]"),
]


@pytest.mark.parametrize(("flasher", "words"), LOCKED)
def test_a_locked_chip_is_never_erased_unasked(
    flasher: str, words: str, image: FirmwareImage
) -> None:
    board = load_board("nrf52840dk")
    image = replace(image, segments=(Segment(0, 16),))
    tools = FakeTools(flasher, failing={flasher: words})
    with pytest.raises(ToolError) as caught:
        flash(board, image, tools, flasher)
    assert "locked (APPROTECT)" in caught.value.message
    assert "--recover" in caught.value.hint
    for lost in ("erases all of the chip", "flash", "bootloader", "UICR", "pin reset"):
        assert lost in caught.value.hint
    ((*argv,),) = tools.planned
    assert "nrf52_recover" not in argv and "auto_unlock=true" not in argv


def test_recover_erases_and_flashes(image: FirmwareImage, tmp_path: Path) -> None:
    board = load_board("nrf52840dk")
    image = replace(image, segments=(Segment(0, 16),))
    way = Attach(recover=True)
    program = ("-c", PROGRAM.format(dir=tmp_path))
    (argv,) = flash(board, image, FakeTools("openocd"), "openocd", attach=way).argv
    assert argv[-6:] == ("-c", "init", "-c", "nrf52_recover", *program)
    (argv,) = flash(board, image, FakeTools("pyocd"), "pyocd", attach=way).argv
    assert "auto_unlock=true" in argv
    with pytest.raises(BoardError, match="stm32h7 has no lock that --recover could open"):
        flash(load_board("stm32h7"), image, FakeTools("openocd"), attach=way)


def test_a_tool_that_hangs_keeps_its_words_and_gets_no_input(tmp_path: Path) -> None:
    waits = tmp_path / "waits"
    waits.write_text("#!/bin/sh\necho asking; read line || echo closed; exec sleep 30\n")
    waits.chmod(0o755)
    with pytest.raises(ToolError) as caught:
        Tools().run([str(waits)], timeout_s=1.0)
    assert caught.value.tail == "asking\nclosed"
    assert "did not end within 1 s" in caught.value.message


def test_progress_is_reported(image: FirmwareImage) -> None:
    seen: list[tuple[str, int, int]] = []
    flash(
        load_board("stm32h7"),
        image,
        FakeTools("openocd"),
        on_event=lambda label, done, total: seen.append((label, done, total)),
    )
    assert seen == [("openocd", 1, 1)]
