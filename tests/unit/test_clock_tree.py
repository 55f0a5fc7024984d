"""The clock that a board would run at, read back from what its firmware is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mcu_hybrid import resources
from mcu_hybrid.board.load import Board, load_board
from mcu_hybrid.errors import BoardError
from mcu_hybrid.templates import source_template
from tests.support.own_boards import crystal, own_board

CRYSTALS = (4, 8, 10, 12, 16, 24, 25, 26)
# From the data sheets: PLL input, VCO, N, processor, and the bus dividers that the ports write.
PLL_INPUT = {"stm32f4": (0.95e6, 2.1e6), "stm32f7": (0.95e6, 2.1e6), "stm32h7": (2e6, 16e6)}
VCO = {"stm32f4": (100e6, 432e6), "stm32f7": (100e6, 432e6), "stm32h7": (192e6, 960e6)}
CPU = {"stm32f4": 180e6, "stm32f7": 216e6, "stm32h7": 480e6}


def constants(board: Board) -> dict[str, int]:
    """The numbers of the board's rendered header."""
    common = resources.root("firmware_templates") / "platforms" / "common"
    text = source_template(common / "board_config.h.j2").render(board=board)
    return {name: int(value) for name, value in re.findall(r"#define (\w+) (\d+)u?$", text, re.M)}


@pytest.mark.parametrize("mhz", CRYSTALS)
@pytest.mark.parametrize("name", sorted(CPU))
def test_every_usual_crystal_gives_the_chips_clock(tmp_path: Path, name: str, mhz: int) -> None:
    c = constants(crystal(tmp_path, name, mhz * 1_000_000))
    for source, hz in (("HSE", mhz * 1_000_000), ("HSI", 64e6 if name == "stm32h7" else 16e6)):
        m, n, p, q = (c[f"MH_{source}_PLL_{letter}"] for letter in "MNPQ")
        low, high = PLL_INPUT[name]
        assert low <= hz / m <= high
        low, high = VCO[name]
        assert low <= hz / m * n <= high
        assert hz * n == c["MH_CLOCK_HZ"] * m * p, "without a rest"
        assert c[f"MH_{source}_PLL_HZ"] == c["MH_CLOCK_HZ"] <= CPU[name]
        if name == "stm32h7":
            assert 1 <= m <= 63 and 4 <= n <= 512 and p % 2 == 0
        else:
            assert 2 <= m <= 63 and 50 <= n <= 432 and p in (2, 4, 6, 8)
            assert 2 <= q <= 15 and hz / m * n / q <= 48e6


def test_the_netduino_has_its_25_mhz() -> None:
    c = constants(load_board("netduinoplus2"))
    assert c["MH_CFG_HSE_HZ"] == 25_000_000
    vco = 25_000_000 * c["MH_HSE_PLL_N"] / c["MH_HSE_PLL_M"]
    assert vco / c["MH_HSE_PLL_P"] == 168_000_000


def test_no_crystal_runs_from_the_internal_oscillator(tmp_path: Path) -> None:
    board = crystal(tmp_path, "stm32f4", 0)
    assert board.clock is not None and board.clock.hse is None
    assert board.clock.hsi.cpu_hz == 180_000_000
    assert "MH_HSE_PLL_M" not in constants(board)


# board, changes of the board file, of the chip file, parts of the message
REFUSED = [
    ("stm32h7", {"8_000_000": "7_680_001"}, {}, ["stm32h7.toml: config.HSE_HZ", "480,000,000 Hz"]),
    ("stm32f4", {"8_000_000": "11_059_200"}, {}, ["stm32f4.toml: config.HSE_HZ", "nearest below"]),
    ("stm32f7", {"8_000_000": "100_000_000"}, {}, ["config.HSE_HZ", "1,000,000 to 50,000,000"]),
    ("stm32h7", {"8_000_000": "32_768"}, {}, ["config.HSE_HZ", "4,000,000 to 50,000,000"]),
    ("stm32f4", {"HSE_HZ = 8_000_000": ""}, {}, ["config.HSE_HZ: the key is missing"]),
    ("stm32f4", {"8_000_000": "'8 * M'"}, {}, ["config.HSE_HZ: must be an integer"]),
    ("stm32f4", {"HSE_BYPASS = 1": "HSE_BYPASS = 2"}, {}, ["config.HSE_BYPASS: must be 0"]),
    ("stm32f4", {"921_600": "7_000_000"}, {}, ["stm32f4.toml: console.baud", "the nearest is"]),
    ("stm32h7", {"921_600": "300"}, {}, ["stm32h7.toml: console.baud"]),
    ("nrf52840dk", {"460_800": "500_000"}, {}, ["nrf52840dk.toml: console.baud", "one of: 115200"]),
    (
        "nrf52840dk",
        {},
        {"clock_hz = 64": "clock_hz = 32", "hz = 64_": "hz = 32_"},
        ["nrf52840.toml: clock_hz: the nRF52 runs at 64,000,000 Hz"],
    ),
    (
        "stm32h7",
        {},
        {"480_000_000": "550_000_000", "hz = 480": "hz = 550"},
        ["stm32h743zi.toml: clock_hz: the processor would run at 550", "480,000,000 Hz"],
    ),
    (
        "stm32f4",
        {},
        {"stack_bytes": "limits = { apb1_hz = 42_000_000 }\nstack_bytes"},
        ["stm32f446re.toml: clock_hz: APB1 would run at 45,000,000 Hz", "at most clock_hz = 168"],
    ),
    (
        "stm32f4",
        {},
        {"stack_bytes": "limits = { ahb_hz = 1 }\nstack_bytes"},
        ["stm32f446re.toml: limits.ahb_hz: unknown key"],
    ),
    (
        "stm32f4",
        {},
        {"stack_bytes": "limits = { vco = 1 }\nstack_bytes"},
        ["stm32f446re.toml: limits.vco: unknown key"],
    ),
    (
        "stm32f4",
        {},
        {'"cycles", hz = 180': '"cycles", hz = 168'},
        ["stm32f446re.toml: tick.hz: cycles are counted at clock_hz"],
    ),
    (
        "stm32f4",
        {},
        {"clock_hz = 180_000_000": "clock_hz = 9_000_000", "hz = 180": "hz = 9"},
        ["stm32f4.toml: config.HSE_HZ", "9,000,000 Hz from 8,000,000"],
    ),
    ("stm32h7", {"HSE_HZ": "REV_Y = 1\nHSE_HZ"}, {}, ["stm32h743zi.toml: clock_hz", "400,000,000"]),
    ("stm32h7", {"HSE_HZ": "SMPS = 1\nHSE_HZ"}, {}, ["stm32h743zi.toml: clock_hz", "400,000,000"]),
    (
        "stm32f4",
        {},
        {"start = 0x0800_0000": "start = 0x0800_0200"},
        ["stm32f446re.toml: region", "0x8000200", "multiple of 1024"],
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}: {case[3][0]}")
def test_what_cannot_run_is_refused_by_file_and_key(
    tmp_path: Path, case: tuple[str, dict[str, str], dict[str, str], list[str]]
) -> None:
    name, board, chip, parts = case
    with pytest.raises(BoardError) as caught:
        own_board(tmp_path, name, board, chip)
    for part in parts:
        assert part in str(caught.value)


def test_old_silicon_runs_at_400_mhz_within_its_vco(tmp_path: Path) -> None:
    slower = {"480_000_000": "400_000_000", "hz = 480": "hz = 400"}
    board = own_board(tmp_path, "stm32h7", {"HSE_HZ": "REV_Y = 1\nHSE_HZ"}, slower)
    assert board.clock is not None and board.clock.hse is not None
    assert (board.clock.hse.vco_hz, board.clock.hse.cpu_hz) == (800_000_000, 400_000_000)


def test_no_region_of_the_f746_crosses_from_tcm_to_sram() -> None:
    board = load_board("stm32f7")
    for region in board.chip.regions:
        assert not region.start < 0x2001_0000 < region.end
    assert board.placed("arena").start == 0x2001_0000
    assert board.placed("stack") == board.placed("data") == board.region("dtcm")
