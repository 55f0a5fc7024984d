"""Board files: what a good one gives, and that each kind of fault names its file and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcu_hybrid.board.load import Board, board_names, list_boards, load_board
from mcu_hybrid.errors import BoardError
from tests.support.own_boards import write_boards

BUILTIN = {
    "mps2-an386": ("cortex-m4", 4_194_304),
    "mps2-an500": ("cortex-m7", 4_194_304),
    "mps3-an547": ("cortex-m55", 4_194_304),
    "native": ("host", 0),
    "netduinoplus2": ("cortex-m4", 131_072),
    "nrf52840dk": ("cortex-m4", 262_144),
    "stm32f4": ("cortex-m4", 131_072),
    "stm32f7": ("cortex-m7-sp", 327_680),
    "stm32h7": ("cortex-m7", 655_360),
}


@pytest.mark.parametrize("name", board_names())
def test_every_board_file_loads(name: str) -> None:
    board = load_board(name)
    assert board.flashers and board.title and board.chip.title
    assert board.is_virtual or board.console.usb, "a real board is found by its USB ids"
    # Only a core whose cycles per instruction were measured prices instructions with a clock.
    needs_clock = board.is_virtual and not board.is_host and board.core.cpi is not None
    assert not needs_clock or (board.qemu and board.estimate_chip)
    assert "ref" in board.core.kernel_dirs
    if not board.is_host:
        assert board.placed("code").kind == "flash"
        assert board.placed("stack").size > board.stack_bytes
    json.dumps(board.to_json())


def test_builtin_boards_are_there() -> None:
    boards = {board.name: board for board in list_boards()}
    assert BUILTIN.keys() <= boards.keys()
    for name, (core, ram) in BUILTIN.items():
        assert (boards[name].core.name, boards[name].ram_bytes) == (core, ram), name


def own(tmp_path: Path) -> Board:
    return load_board("own", [write_boards(tmp_path / "mine")])


def test_a_good_board(tmp_path: Path) -> None:
    board = own(tmp_path)
    assert board.region("dtcm").start == 0x20010000
    assert board.placement == {"code": "flash", "data": "dtcm", "stack": "dtcm", "arena": "ram"}
    assert (board.flash_bytes, board.ram_bytes, board.stack_bytes) == (65_536, 49_152, 4096)
    assert board.chip.tick.instructions == 40
    assert board.console.usb == ((1, 2),)
    assert board.qemu is not None and board.qemu.args == ("-smp", "1")
    assert board.config == {"SPEED": 3, "PORT": "MH_PORT_A"}
    assert board.estimate_clock_hz == 480_000_000
    assert board.core.cpi is None
    assert not board.is_host and board.is_virtual


def test_own_folder_comes_first(tmp_path: Path) -> None:
    folder = write_boards(tmp_path / "mine")
    (folder / "own.toml").rename(folder / "stm32h7.toml")
    assert load_board("stm32h7", [folder]).title == "a board"
    assert load_board("stm32h7").title != "a board"
    assert "stm32f7" in board_names([folder])


SPOILED = [
    ("own.toml", 'title = "a board"', "", "own.toml: title: the key is missing"),
    ("own.toml", 'title = "a board"', "title = 3", "own.toml: title: must be str, is 3"),
    ("own.toml", "virtual = true", "virtual = 1", "own.toml: virtual: must be bool, is 1"),
    ("own.toml", "virtual", "vrtual", "own.toml: vrtual: unknown key"),
    ("own.toml", '"small"', '"smal"', "own.toml: chip: chip 'smal' is unknown"),
    ("own.toml", '"small"', '"../small"', "own.toml: chip: chip '../small' is unknown"),
    ("own.toml", '"mps2"', '"mps9"', "own.toml: platform: 'mps9' is unknown"),
    ("own.toml", '["qemu"]', '["qemu", "jlink"]', "own.toml: flashers[1]: 'jlink' is unknown"),
    ("own.toml", '["qemu"]', '"qemu"', "own.toml: flashers: must be list, is 'qemu'"),
    ("own.toml", '"socket"', '"usb"', "own.toml: console.kind: 'usb' is unknown"),
    ("own.toml", "115_200", "0", "own.toml: console.baud: must be > 0, is 0"),
    ("own.toml", "pid = 2", "pid = '2'", "own.toml: console.usb[0].pid: must be int"),
    ("own.toml", "pid = 2", "pid = 2, id = 3", "own.toml: console.usb[0].id: unknown key"),
    ("own.toml", "machine =", "machin =", "own.toml: qemu.machine: the key is missing"),
    ("own.toml", "stm32h743zi", "stm32h999", "own.toml: estimate.chip: chip 'stm32h999'"),
    ("own.toml", "SPEED", "speed", "own.toml: config.speed: must be an upper-case C name"),
    ("own.toml", "= 3,", "= 3.5,", "own.toml: config.SPEED: must be an integer or a C constant"),
    ("own.toml", "MH_PORT_A", "1; #error", "own.toml: config.PORT: must be an integer or a C"),
    ("own.toml", "title = ", "title == ", "own.toml: not valid TOML"),
    ("chips/small.toml", '"mine"', '"m7"', "small.toml: core: core 'm7' is unknown"),
    ("chips/small.toml", '"timer"', '"clock"', "small.toml: tick.kind: 'clock' is unknown"),
    ("chips/small.toml", "= 0x1_0000", "= 0", "small.toml: region[0].size: must be > 0"),
    (
        "chips/small.toml",
        "0x8000",
        "0x1_0001",
        "small.toml: region[2].start: overlaps region 'ram'",
    ),
    ("chips/small.toml", '"ram"', '"flash"', "small.toml: region[1].kind: 'flash' is there twice"),
    ("chips/small.toml", "0x4000", "0xF000_0000", "small.toml: region[2].start: 0x20010000 + size"),
    ("chips/small.toml", 'data = "dtcm"', 'data = "ccm"', "placement.data: the chip has no region"),
    ("chips/small.toml", "data =", "dat =", "small.toml: placement.dat: unknown key"),
    ("chips/small.toml", "region =", "regions =", "small.toml: regions: unknown key"),
    ("cores.toml", "prefix", "prefx", "cores.toml: mine.prefix: the key is missing"),
    ("cores.toml", '"-mthumb"', "3", "cores.toml: mine.cflags: must be a list of strings"),
    ("cores.toml", '["ref"]', '["cortex_m_plain"]', "no folder 'cortex_m_plain' of kernels"),
    ("cores.toml", "prefix", "x = 1\nprefix", "cores.toml: mine.x: unknown key"),
]


@pytest.mark.parametrize("spoiled", SPOILED, ids=[case[3] for case in SPOILED])
def test_faults_name_file_and_key(tmp_path: Path, spoiled: tuple[str, str, str, str]) -> None:
    *spoil, message = spoiled
    folder = write_boards(tmp_path / "mine", tuple(spoil))
    with pytest.raises(BoardError) as error:
        load_board("own", [folder])
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["nope", "cores", "../own", ""])
def test_unknown_board_lists_the_known(name: str) -> None:
    with pytest.raises(BoardError, match=r"is unknown[\s\S]*mps2-an500"):
        load_board(name)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="the board folder does not exist"):
        list_boards([tmp_path / "nowhere"])
