"""The ports' start on this machine: what is written, and that nothing is waited for for ever."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from mcu_hybrid.board.load import load_board
from mcu_hybrid.firmware.render import render_project

RIG = Path(__file__).parent / "clock_rig"
HSI_HZ = {"stm32f4": 16_000_000, "stm32f7": 16_000_000, "stm32h7": 64_000_000}
CLOCK_HZ = {"stm32f4": 180_000_000, "stm32f7": 216_000_000, "stm32h7": 480_000_000}
# USART's divider register, and what its clock is of the processor's on the PLL.
BRR = {"stm32f4": (0x40004408, 4), "stm32f7": (0x4000480C, 1), "stm32h7": (0x4000480C, 4)}
SWITCH = {"stm32f4": 0x40023808, "stm32f7": 0x40023808, "stm32h7": 0x58024410}
FICR_CHIP, FICR_VARIANT, UICR, DISABLE = 0x10000130, 0x10000134, 0x10001208, 0x40000558
NVMC_CONFIG = 0x4001E504

Start = Callable[..., dict[object, int]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """A function of board, what works, and preset registers; gives the registers afterwards."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")

    @cache
    def program(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        source = render_project(folder, load_board(name), {"model.c": ""}).root / "src"
        shutil.copy(RIG / "mh_cortex.h", source / "platform" / "mh_cortex.h")
        files = [RIG / "rig.c", source / "platform" / "port.c"]
        flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
        includes = [f"-I{source / part}" for part in ("platform", "app")]
        subprocess.run(["gcc", *flags, *includes, *files, "-o", folder / "start"], check=True)
        return folder / "start"

    def run(name: str, works: str, preset: dict[int, int] | None = None) -> dict[object, int]:
        args = [f"0x{address:x}=0x{value:x}" for address, value in (preset or {}).items()]
        done = subprocess.run(
            [program(name), works, *args], capture_output=True, text=True, timeout=60, check=True
        )
        pairs = (line.split() for line in done.stdout.splitlines())
        return {int(k, 16) if k.startswith("0x") else k: int(v) for k, v in pairs}

    return run


def baud(name: str, registers: dict[object, int]) -> float:
    address, divider = BRR[name]
    on_pll = registers["clock_hz"] == CLOCK_HZ[name]
    return registers["clock_hz"] / (divider if on_pll else 1) / registers[address]


@pytest.mark.parametrize("works", ["hpsw", "psw"], ids=["crystal", "internal oscillator"])
@pytest.mark.parametrize("name", sorted(CLOCK_HZ))
def test_crystal_or_not_the_board_runs_at_its_clock(name: str, works: str, start: Start) -> None:
    registers = start(name, works)
    assert registers["clock_hz"] == CLOCK_HZ[name]
    assert registers[SWITCH[name]] & 3 == (3 if name == "stm32h7" else 2), "on the PLL"
    assert baud(name, registers) == pytest.approx(921_600, rel=0.004)


@pytest.mark.parametrize("works", ["", "hsw", "hpw", "hps"], ids=["all", "pll", "supply", "switch"])
@pytest.mark.parametrize("name", sorted(CLOCK_HZ))
def test_what_never_gets_ready_ends_in_a_slow_board_that_speaks(
    name: str, works: str, start: Start
) -> None:
    registers = start(name, works)
    assert registers["clock_hz"] == HSI_HZ[name]
    assert registers[SWITCH[name]] & 3 == 0, "on the internal oscillator"
    assert baud(name, registers) == pytest.approx(921_600, rel=0.025)


@pytest.mark.parametrize("name", sorted(CLOCK_HZ))
def test_a_bootloaders_clock_is_left_first(name: str, start: Start) -> None:
    control = 0x58024400 if name == "stm32h7" else 0x40023800
    on = {control: 1 | 1 << 16 | 1 << 24, SWITCH[name]: 3 if name == "stm32h7" else 2}
    assert start(name, "hpsw", on)["clock_hz"] == CLOCK_HZ[name]
    assert start(name, "h", on)["clock_hz"] == HSI_HZ[name]


def nrf(start: Start, variant: int, uicr: int, works: str = "hn") -> dict[object, int]:
    return start("nrf52840dk", works, {FICR_CHIP: 8, FICR_VARIANT: variant, UICR: uicr})


@pytest.mark.parametrize("variant", [5, 6, 0xFFFFFFFF])
def test_new_nrf52840_opens_its_debug_port(variant: int, start: Start) -> None:
    registers = nrf(start, variant, 0xFFFFFFFF)
    assert registers["resets"] == 1, "the hardware's half is read at reset"
    assert registers[UICR] == 0x5A
    assert registers[NVMC_CONFIG] == 0, "read-only again"
    registers = nrf(start, variant, 0x5A)
    assert registers["resets"] == 0
    assert registers[DISABLE] == 0x5A


def test_a_chip_that_is_locked_on_purpose_stays_locked(start: Start) -> None:
    registers = nrf(start, 5, 0)
    assert (registers[UICR], registers[DISABLE], registers["resets"]) == (0, 0, 0)


@pytest.mark.parametrize("variant", [0, 1, 2, 3, 4])
def test_an_older_nrf52840_is_left_alone(variant: int, start: Start) -> None:
    registers = nrf(start, variant, 0xFFFFFFFF)
    assert registers[UICR] == 0xFFFFFFFF
    assert DISABLE not in registers and NVMC_CONFIG not in registers


def test_a_dead_nrf_flash_controller_or_crystal_is_not_waited_for(start: Start) -> None:
    registers = nrf(start, 5, 0xFFFFFFFF, works="")
    assert registers["resets"] == 0, "no reset without a written UICR: it would go on for ever"
    assert registers["clock_hz"] == 64_000_000
