"""What the flashing tools say where they fail, and the next step: nothing is started here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcu_hybrid.board.types import Board
from mcu_hybrid.errors import ToolError
from mcu_hybrid.flashers._attach import Attach

LOOK = "mcu-hybrid doctor lists probes, ports, boards and who may open them"


@dataclass(frozen=True)
class Fault:
    """Texts of the tools (lower case) that mean the same; what to say, and what to do."""

    texts: tuple[str, ...]
    says: Callable[[Board, Attach], str]
    hint: Callable[[Board, Attach], str]


def _no_probe(board: Board, attach: Attach) -> str:
    if attach.probe:
        return f"no debug probe with serial number {attach.probe} is plugged in"
    return f"no debug probe of {board.name} is plugged in"


def _plug_in(board: Board, attach: Attach) -> str:
    return f"plug the board in at its debugger's USB socket; {LOOK}"


def _install_pack(board: Board, attach: Attach) -> str:
    return f"pyocd pack install {board.chip.debug.get('pyocd', '')}"


def _recover(board: Board, attach: Attach) -> str:
    if attach.recover:
        return "switch the board off and on, then flash it again with --recover"
    if "recover" not in board.chip.debug:
        return "unlock it with the vendor's tool, which erases it"
    return (
        "add --recover to unlock it; that erases all of the chip: its flash (firmware, bootloader, "
        "stored data) and UICR (pin reset, supply voltage, keys)"
    )


# The first that matches is taken: a probe that may not be opened also "is not there".
FAULTS = (
    Fault(
        ("libusb_error_access", "insufficient permissions", "access denied", "permission denied"),
        lambda board, attach: "no permission to open the debug probe",
        lambda board, attach: "mcu-hybrid doctor prints the udev rule that gives it",
    ),
    Fault(
        ("libusb_error_busy", "resource busy", "unable to claim interface"),
        lambda board, attach: "another program holds the debug probe",
        lambda board, attach: "close it (a debugger, openocd, pyocd gdbserver, an IDE)",
    ),
    Fault(
        ("ap lock engaged", "approtect enabled"),
        lambda board, attach: (
            f"the debug port of {board.name} is {'still ' * attach.recover}locked (APPROTECT)"
        ),
        _recover,
    ),
    Fault(
        ("more than one debug probe", "multiple devices", "multiple j-link", "multiple probes"),
        lambda board, attach: "several debug probes are plugged in",
        lambda board, attach: f"choose: --probe SERIAL; {LOOK}",
    ),
    Fault(
        (
            *("open failed", "no j-link device found", "unable to find a matching cmsis-dap"),
            *("no connected debug probe", "no available debug probe", "waiting for a debug probe"),
            *("couldn't find any st-link", "no st-link device", "no device found"),
            *("libusb_error_no_device", "libusb_error_not_found", "device not found"),
        ),
        _no_probe,
        _plug_in,
    ),
    Fault(
        ("not recognized",),
        lambda board, attach: (
            f"pyocd does not know the chip {board.chip.debug.get('pyocd', board.chip.name)} yet"
        ),
        _install_pack,
    ),
)


def explain(error: ToolError, board: Board, attach: Attach) -> ToolError:
    """The same failure with its next step; the error itself where its words are not known."""
    words = error.tail.lower()
    for fault in FAULTS:
        if any(text in words for text in fault.texts):
            return _told(error, fault.says(board, attach), fault.hint(board, attach))
    return error


def twice(first: ToolError, second: ToolError, board: Board, attach: Attach) -> ToolError:
    """The chip was not reached, running nor held in reset: both times' words."""
    told = explain(second, board, attach)
    if told is not second:
        return told
    return ToolError(
        f"{second.argv[0]} did not reach {board.name}, neither running nor held in reset",
        "is the board powered, and is it this board? its jumpers to the debugger set? " + LOOK,
        argv=second.argv,
        code=second.code,
        tail=f"{first.tail}\n-- held in reset:\n{second.tail}",
    )


def _told(error: ToolError, message: str, hint: str) -> ToolError:
    tool = error.argv[0] if error.argv else "the tool"
    return ToolError(f"{tool}: {message}", hint, argv=error.argv, code=error.code, tail=error.tail)
