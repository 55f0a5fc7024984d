"""What runs a board's image without the board, what it counts, and what the counts cost.

Choosing a machine is here; one machine a file beside it, or a user's own (``plugins.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

from mcu_hybrid import plugins
from mcu_hybrid.board.load import Board, list_boards
from mcu_hybrid.errors import BoardError, InputError
from mcu_hybrid.machines.base import Machine
from mcu_hybrid.process import Tools

ROOM = "machines"


def names() -> tuple[str, ...]:
    """The machines by name, our own first."""
    return plugins.names(ROOM)


def named(name: str) -> Machine:
    """The machine of this name.

    Raises:
        BoardError: there is none.
        InputError: the user's file of this name sets no machine.
    """
    if name not in names():
        raise BoardError(f"machine '{name}' is unknown", f"one of: {', '.join(names())}")
    found = plugins.load(ROOM, name, "MACHINE")
    if not isinstance(found, Machine) or found.name != name:
        raise InputError(
            f"MACHINE of {name}.py is no machine called '{name}'",
            "see machines/base.py of mcu-hybrid for what a machine has",
        )
    return found


def all_for(board: Board) -> Iterator[Machine]:
    """The machines that run this board's images; those that its file names come first."""
    first = [name for name in board.flashers if name in names()]
    for name in (*first, *(name for name in names() if name not in first)):
        machine = named(name)
        if machine.can_run(board) is None:
            yield machine


def machine_of(board: Board, tools: Tools | None = None, name: str = "") -> Machine:
    """What runs this board's images: the machine of this name, else the first that is installed.

    Raises:
        BoardError: none does, or the one that is named does not; says why.
    """
    if name:
        machine = named(name)
        reason = machine.can_run(board)
        if reason is not None:
            raise _none(board, f"{name} does not run {board.name}: {reason}")
        return machine
    found = list(all_for(board))
    if not found:
        reasons = "; ".join(f"{n}: {named(n).can_run(board)}" for n in names())
        raise _none(board, f"no machine runs {board.name} ({reasons})")
    here = tools or Tools()
    return next((m for m in found if not m.tool or here.find(m.tool)), found[0])


def tracer_of(board: Board) -> Machine | None:
    """The machine that runs this board's images and tells which code runs; None without one."""
    return next((m for m in all_for(board) if m.capabilities.trace), None)


def counter_of(board: Board) -> Machine | None:
    """The machine that runs this board's images and counts instructions; None without one."""
    return next((m for m in all_for(board) if m.capabilities.count), None)


def _none(board: Board, fact: str) -> BoardError:
    runnable = [each.name for each in list_boards() if any(all_for(each))]
    return BoardError(
        fact,
        f"boards with a machine: {', '.join(runnable)}; or flash {board.name} itself",
        path=board.path,
    )
