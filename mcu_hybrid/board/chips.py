"""Reads a chip's TOML file and its cores: memories, clock, instruction sets and their prices.

A board's own file is load.py's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcu_hybrid import resources
from mcu_hybrid.board.clock_tree import LIMITS
from mcu_hybrid.board.strict_toml import Table, read
from mcu_hybrid.board.types import Chip, Core, Region, Tick

CODES = ("aot", "ref", "tflm")  # whose instructions a core's cycles price (latency.py)
TICK_KINDS = ("cycles", "timer", "ns")
DEBUG_TOOLS = ("openocd", "pyocd", "recover")
DEFAULT_PLACEMENT = {"code": "flash", "data": "ram", "stack": "ram", "arena": "ram"}
DEFAULT_STACK_BYTES = 8192  # bench says how much of it was used; a guard tells of an overflow
# VTOR takes a multiple of the table's size, rounded up to a power of two (Armv7-M B3.2.5).
VECTORS_ALIGN = 1024
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def load_chip(table: Table, key: str, folders: Sequence[Path]) -> Chip:
    name = table.take(key, str)
    path = find(folders, f"chips/{name}.toml") if NAME.fullmatch(name) else None
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
        kernel_dirs=_kernel_dirs(table),
        **_cycles(table),
    )
    table.finish()
    return core


def _kernel_dirs(table: Table) -> tuple[str, ...]:
    """The folders of kernels; one that is misspelt would be exact, and slow, without a word."""
    named = table.strings("kernel_dirs", ["ref"])
    known = [p.name for p in resources.kernels().iterdir() if p.is_dir() and p.name != "include"]
    for name in named:
        if name not in known:
            fact = f"there is no folder '{name}' of kernels"
            raise table.error("kernel_dirs", fact, f"one of: {', '.join(sorted(known))}")
    return named


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
        if not NAME.fullmatch(region.kind):
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


def find(folders: Sequence[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
