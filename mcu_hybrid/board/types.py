"""Frozen types of boards, chips and cores. The reader of their TOML files is ``board.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from mcu_hybrid.board.clock_tree import ClockTree
from mcu_hybrid.errors import BoardError


@dataclass(frozen=True)
class Region:
    """One memory of a chip; ``start`` and ``size`` in bytes."""

    kind: str
    start: int
    size: int

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.start + self.size

    def holds(self, address: int, size: int = 0) -> bool:
        """True where [address, address + size) lies inside."""
        return self.start <= address and address + size <= self.end


@dataclass(frozen=True)
class Core:
    """Instruction set and compiler flags; ``cycles`` prices instructions where none are counted.

    ``kernel_dirs`` are the folders of ``kernels/`` searched for a kernel, fastest first. ``cycles``
    is per instruction, by whose code it is (latency.py); ``cycles_range`` the shares of it by which
    the truth may lie below and above.
    """

    name: str
    title: str
    cflags: tuple[str, ...]
    prefix: str
    kernel_dirs: tuple[str, ...]
    cycles: Mapping[str, float] = field(default_factory=dict)
    cycles_range: tuple[float, float] = (0.0, 0.0)

    @property
    def cpi(self) -> float | None:
        """Cycles per instruction of our own kernels; None where instructions have no price."""
        return self.cycles.get("aot")


@dataclass(frozen=True)
class Tick:
    """The board's free-running counter; ``instructions`` per tick on emulators, else 0."""

    kind: str
    hz: int
    instructions: int


@dataclass(frozen=True)
class Chip:
    """Memories, clock and cores; ``placement`` maps code, data, stack and arena to region kinds.

    The first of ``cores`` is the one that boots; firmware is built for it.

    ``debug`` holds what the flashing tools call the chip, by tool (``openocd``, ``pyocd``), and as
    ``recover`` OpenOCD's command that erases and opens a locked one;
    ``limits`` what it bears less than its port's family, in Hz. What weights in its flash add to
    the core's price: ``flash_cycles`` to each instruction of our kernels, ``flash_byte_cycles`` to
    each byte of a fully connected layer; ``cycles_range`` is then its own.
    """

    name: str
    title: str
    cores: tuple[Core, ...]
    clock_hz: int
    tick: Tick
    regions: tuple[Region, ...]
    placement: Mapping[str, str]
    stack_bytes: int
    debug: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    path: Path = Path()
    flash_cycles: float = 0.0
    flash_byte_cycles: float = 0.0
    cycles_range: tuple[float, float] | None = None

    def region(self, kind: str) -> Region:
        """The region of this kind; raises BoardError where the chip has none."""
        for region in self.regions:
            if region.kind == kind:
                return region
        kinds = ", ".join(r.kind for r in self.regions) or "none"
        raise BoardError(f"chip {self.name} has no region '{kind}'", f"its regions: {kinds}")


@dataclass(frozen=True)
class Console:
    """How the host talks to the board; ``usb``: (vendor, product) ids of its serial adapter.

    ``interface`` says which of the adapter's serial ports is the console, counted from 0.
    """

    kind: str
    uart: str
    baud: int
    usb: tuple[tuple[int, int], ...]
    interface: int = 0


@dataclass(frozen=True)
class Qemu:
    """Machine and extra arguments of qemu-system-arm."""

    machine: str
    args: tuple[str, ...]


@dataclass(frozen=True)
class Board:
    """One board; the clock of ``estimate_chip`` prices a virtual board's instructions.

    ``clock`` holds the PLL settings where the platform sets a PLL; ``aliases`` are other names
    that people have for the board.
    """

    name: str
    title: str
    chip: Chip
    platform: str
    flashers: tuple[str, ...]
    console: Console
    virtual: bool
    qemu: Qemu | None
    estimate_chip: Chip | None
    config: Mapping[str, int | str]
    path: Path
    clock: ClockTree | None = None
    aliases: tuple[str, ...] = ()

    @property
    def core(self) -> Core:
        """The core that firmware is built for: the first of the board's chip."""
        return self.chip.cores[0]

    @property
    def is_virtual(self) -> bool:
        """True for an emulated board or a host process."""
        return self.virtual

    @property
    def is_host(self) -> bool:
        """True where the firmware is a program of this machine (no linker script, no regions)."""
        return self.core.prefix == ""

    @property
    def placement(self) -> Mapping[str, str]:
        """Region kind of code, data, stack and arena."""
        return self.chip.placement

    @property
    def stack_bytes(self) -> int:
        """Bytes that the linker keeps for the stack."""
        return self.chip.stack_bytes

    @property
    def estimate_clock_hz(self) -> int:
        """The clock that prices instructions: that of ``estimate_chip``, else the chip's own."""
        return self.priced_chip.clock_hz

    @property
    def priced_chip(self) -> Chip:
        """The chip whose clock and flash price instructions."""
        return self.estimate_chip or self.chip

    def region(self, kind: str) -> Region:
        """The chip's region of this kind."""
        return self.chip.region(kind)

    def placed(self, what: str) -> Region:
        """The region that holds ``what``: code, data, stack or arena."""
        return self.region(self.placement[what])

    @cached_property
    def ram_bytes(self) -> int:
        """RAM of the regions that data, stack and arena use (0 on a host)."""
        kinds = {self.placement[what] for what in ("data", "stack", "arena")}
        return sum(r.size for r in self.chip.regions if r.kind in kinds)

    @cached_property
    def flash_bytes(self) -> int:
        """Size of the region that holds code and weights (0 on a host)."""
        return self.placed("code").size if self.chip.regions else 0

    def to_json(self) -> dict[str, object]:
        """Plain data for ``boards --json`` and manifests; sizes in bytes, clocks in Hz."""
        return {
            "name": self.name,
            "title": self.title,
            "aliases": list(self.aliases),
            "chip": self.chip.name,
            "core": self.core.name,
            **({"cores": [core.name for core in self.chip.cores]} if self.chip.cores[1:] else {}),
            "clock_hz": self.chip.clock_hz,
            "estimate_chip": self.estimate_chip.name if self.estimate_chip else None,
            "estimate_clock_hz": self.estimate_clock_hz,
            "ram_bytes": self.ram_bytes,
            "flash_bytes": self.flash_bytes,
            "regions": [asdict(region) for region in self.chip.regions],
            "platform": self.platform,
            "flashers": list(self.flashers),
            "console": asdict(self.console),
            "virtual": self.virtual,
        }
