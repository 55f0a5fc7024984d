"""Own boards with other crystals compile; a project whose clock was edited by hand does not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from mcu_hybrid.errors import ToolError
from mcu_hybrid.firmware.build import build
from mcu_hybrid.firmware.render import render_project
from mcu_hybrid.process import Tools
from tests.support.own_boards import crystal, own_board

STUB = (Path(__file__).parent / "platform_rig" / "stub_model.c").read_text()


@pytest.fixture(autouse=True)
def compiler() -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")


@pytest.mark.parametrize(
    ("name", "hse_hz"),
    [("stm32h7", 25_000_000), ("stm32f7", 25_000_000), ("stm32f4", 0), ("stm32h7", 0)],
)
def test_own_crystals_link(tmp_path: Path, name: str, hse_hz: int) -> None:
    board = crystal(tmp_path / "boards", name, hse_hz)
    project = render_project(tmp_path / "build", board, {"model.c": STUB})
    assert build(project, board, Tools()).elf.is_file()


def test_old_silicon_and_the_switched_supply_link(tmp_path: Path) -> None:
    slower = {"480_000_000": "400_000_000", "hz = 480": "hz = 400"}
    changes = {"HSE_HZ": "REV_Y = 1\nSMPS = 1\nHSE_HZ"}
    board = own_board(tmp_path / "boards", "stm32h7", changes, slower)
    project = render_project(tmp_path / "build", board, {"model.c": STUB})
    assert build(project, board, Tools()).elf.is_file()


@pytest.mark.parametrize("name", ["stm32f4", "stm32h7"])
@pytest.mark.parametrize("key", ["MH_CFG_HSE_HZ", "MH_CLOCK_HZ", "MH_HSE_PLL_N"])
def test_an_edited_clock_does_not_compile(tmp_path: Path, name: str, key: str) -> None:
    board = crystal(tmp_path / "boards", name, 8_000_000)
    project = render_project(tmp_path / "build", board, {"model.c": STUB})
    header = project.root / "src/platform/board_config.h"
    text, count = re.subn(rf"(#define {key} )\d+", r"\g<1>25", header.read_text())
    assert count == 1
    header.write_text(text)
    with pytest.raises(ToolError, match="PLL settings and clock differ"):
        build(project, board, Tools())
