"""Boards by name: that of a build, all there are and which run on a machine, and ending those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcu_hybrid.board.load import Board, list_boards, load_board
from mcu_hybrid.errors import BoardError, InputError
from mcu_hybrid.machines import state
from mcu_hybrid.steps.build import Build, open_build


def open_for(folder: Path, board_name: str | None, board_dirs: Sequence[Path] = ()) -> Build:
    """Open a build folder; raises InputError where it is for another board than ``board_name``."""
    build = open_build(folder, board_dirs)
    if board_name and load_board(board_name, board_dirs).name != build.board.name:
        raise InputError(
            f"was built for {build.board.name}, not for {board_name}",
            f"mcu-hybrid build MODEL --board {board_name}",
            path=folder,
        )
    return build


def board_to_stop(folder: Path, board_name: str | None, board_dirs: Sequence[Path] = ()) -> str:
    """The board named, else that of the build; raises InputError where there is neither."""
    if board_name is not None:
        return board_name
    if not (folder / "manifest.json").is_file():
        raise InputError(
            "is no build folder, and no board is named",
            "mcu-hybrid flash BUILD --stop, or: mcu-hybrid flash --board NAME --stop",
            path=folder,
        )
    return open_build(folder, board_dirs).board.name


def stop_board(name: str, board_dirs: Sequence[Path] = ()) -> bool:
    """Stop what runs as this board on a machine; False where nothing does.

    Raises:
        BoardError: it is a real board, and no machine runs it.
    """
    board = load_board(name, board_dirs)
    stopped = state.stop(board.name)
    if not stopped and not board.is_virtual:
        raise BoardError(
            f"{name} is a real board: only virtual ones can be stopped", "see: mcu-hybrid boards"
        )
    return stopped


@dataclass(frozen=True)
class ListedBoard:
    """A board, and the machine's console where one runs it."""

    board: Board
    url: str = ""
    build_id: str = ""

    def to_json(self) -> dict[str, object]:
        """Plain data: the board's, and ``running``."""
        console = {"url": self.url, "build_id": self.build_id} if self.url else None
        return self.board.to_json() | {"running": console}


def board_list(board_dirs: Sequence[Path] = ()) -> list[ListedBoard]:
    """All boards, each with what runs it now."""
    rows = []
    for board in list_boards(board_dirs):
        found = state.running(board.name)
        rows.append(ListedBoard(board, found.url, found.build_id) if found else ListedBoard(board))
    return rows
