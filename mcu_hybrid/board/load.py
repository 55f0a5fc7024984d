"""The strict reader of ``boards/``: boards, chips and cores as frozen types (``board_types.py``).

A board is wiring, console and flasher; a chip is memories and clock; a core is an instruction set
and compiler flags. Nothing here compiles, flashes or opens a port. Every error names file and key.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mcu_hybrid import plugins, resources
from mcu_hybrid.board.chips import NAME, find, load_chip
from mcu_hybrid.board.clock_tree import ClockTree, Request, clock_tree
from mcu_hybrid.board.strict_toml import Table, read
from mcu_hybrid.board.types import Board, Chip, Console, Core, Qemu, Region, Tick
from mcu_hybrid.errors import BoardError

__all__ = [
    "Board",
    "Chip",
    "Console",
    "Core",
    "Qemu",
    "Region",
    "Tick",
    "board_name",
    "board_names",
    "list_boards",
    "load_board",
]

CONSOLE_KINDS = ("uart", "socket", "pipe")
_CONFIG_KEY = re.compile(r"[A-Z][A-Z0-9_]*")
_CONFIG_TEXT = re.compile(r'[\w\s()"|<>+*.-]+')


def list_boards(extra_dirs: Sequence[Path] = ()) -> list[Board]:
    """All boards by name; one in an earlier folder of ``extra_dirs`` hides its namesakes."""
    return [load_board(name, extra_dirs) for name in board_names(extra_dirs)]


def board_names(extra_dirs: Sequence[Path] = ()) -> list[str]:
    """Names of all board files, sorted."""
    files = [path for folder in _folders(extra_dirs) for path in folder.glob("*.toml")]
    return sorted({path.stem for path in files} - {"cores"})


def board_name(text: str, extra_dirs: Sequence[Path] = ()) -> str:
    """The name of the board that is called so: its file's name, or one of its aliases.

    Raises:
        BoardError: none is; names those that look like it.
    """
    names = board_names(extra_dirs)
    if text in names:
        return text
    called = {_plain(name): name for name in names}
    for alias, name in board_aliases(extra_dirs).items():
        called.setdefault(_plain(alias), name)
    if _plain(text) in called:
        return called[_plain(text)]
    near = difflib.get_close_matches(_plain(text), called, 3)
    guess = f"did you mean {' or '.join(dict.fromkeys(called[n] for n in near))}? " if near else ""
    raise BoardError(
        f"board '{text}' is unknown",
        f"{guess}known boards: {', '.join(names)}; or --boards DIR",
    )


def board_aliases(extra_dirs: Sequence[Path] = ()) -> dict[str, str]:
    """Other names of boards; where two boards claim one, the first by name has it."""
    folders, found = _folders(extra_dirs), dict[str, str]()
    for name in board_names(extra_dirs):
        path = find(folders, f"{name}.toml")
        with contextlib.suppress(BoardError):  # a broken file is told to who asks for that board
            for alias in _aliases(read(path)) if path else ():
                found.setdefault(alias, name)
    return found


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", "-", text.strip().lower())


def _aliases(table: Table) -> tuple[str, ...]:
    found = table.take("aliases", list, [])
    for n, alias in enumerate(found):
        if not isinstance(alias, str) or not NAME.fullmatch(alias):
            raise table.error(f"aliases[{n}]", f"{alias!r} is no name", 'give "nucleo-h743zi2"')
    return tuple(found)


def load_board(name: str, extra_dirs: Sequence[Path] = ()) -> Board:
    """Read ``<name>.toml``, its chip and its core; own folders are searched first.

    Args:
        name: a board's file name or one of its ``aliases``, in any case and with any dashes.
    """
    folders = _folders(extra_dirs)
    name = board_name(name, extra_dirs)
    path = find(folders, f"{name}.toml")
    assert path is not None  # board_name looked it up
    table = read(path)
    aliases = _aliases(table)
    virtual = table.take("virtual", bool, False)
    estimate = table.table("estimate", {})
    board = Board(
        name=name,
        title=table.take("title", str),
        chip=load_chip(table, "chip", folders),
        platform=table.choice("platform", _platforms()),
        flashers=_flashers(table),
        console=_console(table.table("console")),
        virtual=virtual,
        qemu=_qemu(table.table("qemu")) if "qemu" in table.data else None,
        estimate_chip=load_chip(estimate, "chip", folders) if estimate.data else None,
        config=_config(table.table("config", {})),
        path=path,
        aliases=aliases,
    )
    table.seen += ["qemu"]
    estimate.finish()
    table.finish()
    return replace(board, clock=_clock(board))


def _clock(board: Board) -> ClockTree | None:
    chip = board.chip
    return clock_tree(
        Request(
            platform=board.platform,
            clock_hz=chip.clock_hz,
            baud=board.console.baud,
            config=board.config,
            limits=chip.limits,
            board_path=board.path,
            chip_path=chip.path,
        )
    )


def _flashers(table: Table) -> tuple[str, ...]:
    names = table.strings("flashers")
    known = _flasher_names()
    for n, name in enumerate(names):
        if name not in known:
            raise table.error(
                f"flashers[{n}]", f"'{name}' is unknown", f"one of: {', '.join(known)}"
            )
    return names


def _console(table: Table) -> Console:
    console = Console(
        kind=table.choice("kind", CONSOLE_KINDS, "uart"),
        uart=table.take("uart", str, ""),
        baud=table.positive("baud", 115200),
        usb=tuple(_usb(entry) for entry in table.tables("usb")),
        interface=table.positive("interface", 0),
    )
    table.finish()
    return console


def _usb(table: Table) -> tuple[int, int]:
    ids = (table.take("vid", int), table.take("pid", int))
    table.finish()
    return ids


def _qemu(table: Table) -> Qemu:
    qemu = Qemu(table.take("machine", str), table.strings("args", []))
    table.finish()
    return qemu


def _config(table: Table) -> Mapping[str, int | str]:
    for key, value in table.data.items():
        if not _CONFIG_KEY.fullmatch(key):
            raise table.error(key, "must be an upper-case C name")
        text_ok = isinstance(value, str) and _CONFIG_TEXT.fullmatch(value) and "\n" not in value
        if not text_ok and type(value) is not int:
            raise table.error(key, f"must be an integer or a C constant, is {value!r}")
    return dict(table.data)


def _platforms() -> list[str]:
    folder = resources.root("firmware_templates") / "platforms"
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name != "common")


def _flasher_names() -> list[str]:
    # The file names, not the modules: boards are read below the flashers and the machines.
    files = (Path(__file__).parent.parent / "flashers").glob("[!_]*.py")
    return sorted({*(p.stem for p in files), *plugins.names("machines")} - {"base"})


def _folders(extra_dirs: Sequence[Path]) -> list[Path]:
    for folder in extra_dirs:
        if not Path(folder).is_dir():
            raise BoardError(
                "the board folder does not exist", "check the path of --boards", path=folder
            )
    return [*map(Path, extra_dirs), resources.root("boards")]
