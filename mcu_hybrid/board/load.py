"""The strict reader of ``boards/``: boards, chips and cores as frozen types (``board_types.py``).

A board is wiring, console and flasher; a chip is memories and clock; a core is an instruction set
and compiler flags. Nothing here compiles, flashes or opens a port. Every error names file and key.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcu_hybrid import plugins, resources
from mcu_hybrid.board.clock_tree import LIMITS, ClockTree, Request, clock_tree
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

CODES = ("aot", "ref", "tflm")  # whose instructions a core's cycles price (latency.py)
TICK_KINDS = ("cycles", "timer", "ns")
CONSOLE_KINDS = ("uart", "socket", "pipe")
DEBUG_TOOLS = ("openocd", "pyocd", "recover")
DEFAULT_PLACEMENT = {"code": "flash", "data": "ram", "stack": "ram", "arena": "ram"}
DEFAULT_STACK_BYTES = 8192  # bench says how much of it was used; a guard tells of an overflow
# VTOR takes a multiple of the table's size, rounded up to a power of two (Armv7-M B3.2.5).
VECTORS_ALIGN = 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
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
        path = _find(folders, f"{name}.toml")
        with contextlib.suppress(BoardError):  # a broken file is told to who asks for that board
            for alias in _aliases(read(path)) if path else ():
                found.setdefault(alias, name)
    return found


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", "-", text.strip().lower())


def _aliases(table: Table) -> tuple[str, ...]:
    found = table.take("aliases", list, [])
    for n, alias in enumerate(found):
        if not isinstance(alias, str) or not _NAME.fullmatch(alias):
            raise table.error(f"aliases[{n}]", f"{alias!r} is no name", 'give "nucleo-h743zi2"')
    return tuple(found)


def load_board(name: str, extra_dirs: Sequence[Path] = ()) -> Board:
    """Read ``<name>.toml``, its chip and its core; own folders are searched first.

    Args:
        name: a board's file name or one of its ``aliases``, in any case and with any dashes.
    """
    folders = _folders(extra_dirs)
    name = board_name(name, extra_dirs)
    path = _find(folders, f"{name}.toml")
    assert path is not None  # board_name looked it up
    table = read(path)
    aliases = _aliases(table)
    virtual = table.take("virtual", bool, False)
    estimate = table.table("estimate", {})
    board = Board(
        name=name,
        title=table.take("title", str),
        chip=_load_chip(table, "chip", folders),
        platform=table.choice("platform", _platforms()),
        flashers=_flashers(table),
        console=_console(table.table("console")),
        virtual=virtual,
        qemu=_qemu(table.table("qemu")) if "qemu" in table.data else None,
        estimate_chip=_load_chip(estimate, "chip", folders) if estimate.data else None,
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


def _load_chip(table: Table, key: str, folders: Sequence[Path]) -> Chip:
    name = table.take(key, str)
    path = _find(folders, f"chips/{name}.toml") if _NAME.fullmatch(name) else None
    if path is None:
        raise table.error(key, f"chip '{name}' is unknown", f"add boards/chips/{name}.toml")
    chip_table = read(path)
    tick = chip_table.table("tick")
    chip = Chip(
        name=name,
        title=chip_table.take("title", str),
        cores=_load_cores(chip_table, folders),
        clock_hz=chip_table.positive("clock_hz"),
        tick=Tick(
            tick.choice("kind", TICK_KINDS), tick.positive("hz"), tick.positive("instructions", 0)
        ),
        regions=_regions(chip_table),
        placement=_placement(chip_table),
        stack_bytes=chip_table.positive("stack_bytes", DEFAULT_STACK_BYTES),
        debug=_debug(chip_table.table("debug", {})),
        limits=_limits(chip_table.table("limits", {})),
        path=path,
        **_flash(chip_table),
    )
    tick.finish()
    chip_table.finish()
    if not chip.regions and chip.cores[0].prefix:
        raise chip_table.error("region", "a chip needs at least one region")
    _check_chip(chip, chip_table)
    return chip


def _check_chip(chip: Chip, table: Table) -> None:
    if chip.tick.kind == "cycles" and chip.tick.hz != chip.clock_hz:
        raise table.error(
            "tick.hz", f"cycles are counted at clock_hz, {chip.clock_hz:,} Hz, not {chip.tick.hz:,}"
        )
    code = next((r for r in chip.regions if r.kind == chip.placement["code"]), None)
    if code is not None and code.start % VECTORS_ALIGN:
        raise table.error(
            "region",
            f"'{code.kind}' starts at 0x{code.start:x}: the vector table there must lie on a "
            f"multiple of {VECTORS_ALIGN}",
            "behind a bootloader, start at the next multiple",
        )


def _load_cores(chip_table: Table, folders: Sequence[Path]) -> tuple[Core, ...]:
    """``core = "x"``, or ``cores = ["x", "y"]`` for a chip of several, the one that boots first."""
    if "cores" not in chip_table.data:
        name = chip_table.take("core", str)
        return (_load_core(chip_table, "core", name, folders),)
    if "core" in chip_table.data:
        raise chip_table.error("cores", "core is there too", "give one of the two")
    names = chip_table.strings("cores")
    if not names:
        raise chip_table.error("cores", "names no core", 'cores = ["cortex-m7", "cortex-m4"]')
    return tuple(_load_core(chip_table, "cores", name, folders) for name in names)


def _load_core(chip_table: Table, key: str, name: str, folders: Sequence[Path]) -> Core:
    for folder in folders:
        path = folder / "cores.toml"
        if path.is_file() and name in (cores := read(path)).data:
            break
    else:
        raise chip_table.error(key, f"core '{name}' is unknown", "add it to boards/cores.toml")
    table = cores.table(name)
    core = Core(
        name=name,
        title=table.take("title", str),
        cflags=table.strings("cflags"),
        prefix=table.take("prefix", str),
        kernel_dirs=table.strings("kernel_dirs", ["ref"]),
        **_cycles(table),
    )
    table.finish()
    return core


def _cycles(table: Table) -> dict[str, Any]:
    """A core's price per instruction; both keys or none."""
    if "cycles" not in table.data and "cycles_range" not in table.data:
        return {}
    cycles = table.table("cycles")
    found = {code: cycles.take(code, float) for code in CODES if code in cycles.data}
    cycles.finish()
    if "aot" not in found or not all(0 < value < math.inf for value in found.values()):
        raise table.error("cycles", "needs aot, and numbers above 0", "for example aot = 1.13")
    return {"cycles": found, "cycles_range": _range(table)}


def _flash(table: Table) -> dict[str, Any]:
    """What a chip's flash adds to the core's price."""
    flash = table.table("flash_cycles", {})
    each, byte = flash.take("instruction", float, 0.0), flash.take("dense_byte", float, 0.0)
    flash.finish()
    if not (0 <= each < math.inf and 0 <= byte < math.inf):
        raise table.error("flash_cycles", "must be 0 or more", "cycles that the flash adds")
    own = _range(table) if "cycles_range" in table.data else None
    return {"flash_cycles": each, "flash_byte_cycles": byte, "cycles_range": own}


def _range(table: Table) -> tuple[float, float]:
    """[-8, 20], percent below and above, as shares."""
    table.seen += ["cycles_range"]
    pair = table.data.get("cycles_range")
    if isinstance(pair, list) and len(pair) == 2 and {type(n) for n in pair} <= {int, float}:
        low, high = pair
        if -100 < low <= 0 <= high:
            return -low / 100.0, high / 100.0
    raise table.error("cycles_range", "must be percent below and above", "for example [-8, 20]")


def _regions(table: Table) -> tuple[Region, ...]:
    regions: list[Region] = []
    for entry in table.tables("region"):
        region = Region(entry.take("kind", str), entry.take("start", int), entry.positive("size"))
        entry.finish()
        if not _NAME.fullmatch(region.kind):
            raise entry.error("kind", f"'{region.kind}' is not a lower-case name")
        if region.start < 0 or region.end > 1 << 32:
            raise entry.error("start", f"0x{region.start:x} + size leaves the 32-bit address space")
        for other in regions:
            if other.kind == region.kind:
                raise entry.error("kind", f"'{region.kind}' is there twice")
            if region.start < other.end and other.start < region.end:
                raise entry.error(
                    "start", f"overlaps region '{other.kind}'", "see the chip's memory map"
                )
        regions.append(region)
    return tuple(regions)


def _placement(table: Table) -> Mapping[str, str]:
    kinds = [entry.get("kind") for entry in table.data.get("region", [])]
    placement = table.table("placement", {})
    placed = {what: placement.take(what, str, kind) for what, kind in DEFAULT_PLACEMENT.items()}
    placement.finish()
    for what, kind in placed.items():
        if kinds and kind not in kinds:
            raise placement.error(what, f"the chip has no region '{kind}'")
    return placed


def _debug(table: Table) -> Mapping[str, str]:
    names = {tool: table.take(tool, str, "") for tool in DEBUG_TOOLS}
    table.finish()
    return {tool: name for tool, name in names.items() if name}


def _limits(table: Table) -> Mapping[str, int]:
    limits = {name: table.positive(name, 0) for name in LIMITS}
    table.finish()
    return {name: hz for name, hz in limits.items() if hz}


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


def _find(folders: Sequence[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
