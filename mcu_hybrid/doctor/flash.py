"""The doctor's look at the flashing tools: which of them can flash which board.

pyOCD knows some chips by itself and others from packs that are installed apart; it is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from mcu_hybrid.board.load import Board, list_boards
from mcu_hybrid.doctor.checks import Check
from mcu_hybrid.errors import McuHybridError, ToolError
from mcu_hybrid.process import INSTALL_HINTS, Tools

# Programs by the name of the flasher in board files.
PROGRAMS = {"openocd": "openocd", "pyocd": "pyocd", "stlink": "st-flash"}
SEGGER = 0x1366


def check_boards(tools: Tools) -> Iterator[Check]:
    """For each real board the tools that can flash it; nothing where no tool is installed."""
    there = [program for program in PROGRAMS.values() if tools.find(program)]
    targets = pyocd_targets(tools) if "pyocd" in there else set()
    for board in _real_boards() if there else []:
        yield _check_board(board, tools, targets)


def pyocd_targets(tools: Tools) -> set[str] | None:
    """The chips that pyOCD can flash now, built in or from a pack; None where it does not tell."""
    try:
        output = tools.run(("pyocd", "json", "--targets"), timeout_s=60.0, check=False).output
        listed = json.loads(output[output.index("{") :])["targets"]
        return {str(target["name"]).lower() for target in listed}
    except (ToolError, ValueError, KeyError, TypeError):
        return None


def _check_board(board: Board, tools: Tools, targets: set[str] | None) -> Check:
    can, fixes = [], []
    for flasher in board.flashers:
        program = PROGRAMS.get(flasher, flasher)
        target = board.chip.debug.get("pyocd", "")
        if tools.find(program) is None:
            fixes.append(INSTALL_HINTS.get(program, f"install {program}"))
        elif program == "pyocd" and targets is not None and target.lower() not in targets:
            fixes.insert(0, f"pyocd pack install {target}")
        else:
            can.append(program + _needs(board, program))
    name = f"flash {board.name}"
    missing = f"; pyocd lacks the pack of {board.chip.debug.get('pyocd', '')}"
    lacks = missing if any(fix.startswith("pyocd pack") for fix in fixes) else ""
    if can:
        return Check(name, True, ", ".join(can) + lacks, "")
    return Check(name, False, f"no tool that is installed can{lacks}", "; or: ".join(fixes))


def _needs(board: Board, program: str) -> str:
    is_jlink = any(vendor == SEGGER for vendor, _ in board.console.usb)
    return " (with SEGGER's J-Link software)" if is_jlink and program == "pyocd" else ""


def _real_boards() -> list[Board]:
    try:
        return [board for board in list_boards() if not board.is_virtual]
    except McuHybridError:  # a broken board file is the business of 'boards', not of the doctor
        return []
