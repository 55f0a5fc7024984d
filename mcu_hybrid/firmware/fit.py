"""Does a model fit a board: an estimate before compiling, a check of the linked ELF after it.

The gate must not turn away what would fit, so its estimates of code and statics are on the low
side; what it lets through by mistake, the linker and ``check_elf`` find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcu_hybrid.board.load import Board
from mcu_hybrid.errors import CapacityError, McuHybridError
from mcu_hybrid.image.firmware import FirmwareImage, Footprint

# Measured on cortex-m4 and -m7 (harness -Os, reference kernels -O2), rounded down.
CODE_BYTES = 5_000  # harness, platform, C library
KERNEL_BYTES = 250  # the smallest kernel; larger ones come on top
LAYER_BYTES = 60  # parameters and the call
STATICS_BYTES = 1_788  # frame buffer, receive ring and counters
NAMES = {"code": "code and weights", "data": "statics", "stack": "stack", "arena": "arena"}


@dataclass(frozen=True)
class Need:
    """What one region must hold; bytes."""

    region: str
    need: int
    have: int
    parts: tuple[tuple[str, int], ...]

    @property
    def fits(self) -> bool:
        """True where the region is large enough."""
        return self.need <= self.have


def needs(board: Board, model: Footprint) -> tuple[Need, ...]:
    """What each region of the board must hold; nothing for a host."""
    if board.is_host:
        return ()
    code = CODE_BYTES + KERNEL_BYTES * len(model.kernels) + LAYER_BYTES * model.layers
    parts = {
        "code": code + model.weights_bytes,
        "data": STATICS_BYTES,
        "stack": board.stack_bytes,
        "arena": model.arena_bytes,
    }
    found = []
    for kind in dict.fromkeys(board.placement.values()):
        inside = {NAMES[what]: parts[what] for what in parts if board.placement[what] == kind}
        need = sum(inside.values())
        found.append(Need(kind, need, board.region(kind).size, tuple(inside.items())))
    return tuple(found)


def arena_room(board: Board) -> int | None:
    """Bytes that the arena may have on a board; None for a host, which has enough."""
    if board.is_host:
        return None
    region = board.placement["arena"]
    others = {"data": STATICS_BYTES, "stack": board.stack_bytes}
    inside = sum(size for what, size in others.items() if board.placement[what] == region)
    return board.region(region).size - inside


def fit_gate(board: Board, model: Footprint, candidates: Sequence[Board] = ()) -> tuple[Need, ...]:
    """Return the needs, all met; raises CapacityError with what weighs most and who could hold it.

    Args:
        candidates: boards to look through for ones that fit.
    """
    found = needs(board, model)
    short = [need for need in found if not need.fits]
    if not short:
        return found
    worst = max(short, key=lambda need: need.need - need.have)
    is_code = worst.region == board.placement["code"]
    what = "flash" if is_code else "RAM" if worst.region == "ram" else f"RAM in {worst.region}"
    largest = ", ".join(model.largest_flash if is_code else model.largest_ram)
    others = [b.name for b in candidates if not b.is_host and _holds(b, model)]
    parts = " + ".join(f"{name} {size:,}" for name, size in worst.parts)
    raise CapacityError(
        f"needs {worst.need:,} B {what}, {board.name} has {worst.have:,} B ({parts}); "
        f"largest: {largest}",
        f"boards that fit: {', '.join(others) or 'none'}; or a smaller input or network",
        need=worst.need,
        have=worst.have,
    )


def check_elf(image: FirmwareImage, model: Footprint, board: Board) -> None:
    """Compare the linked firmware with the board's regions and with the plan.

    Raises:
        CapacityError: a section lies outside the board's memories.
        McuHybridError: arena or weights differ from the plan (our bug, or a changed source).
    """
    image.check_fits(board)
    arena = image.symbols.get("arena", (0, 0))
    facts = [
        ("arena", arena[1], model.arena_bytes),
        ("weights", image.weights_bytes, model.weights_bytes),
        ("stack", image.stack_bytes, 0 if board.is_host else board.stack_bytes),
    ]
    if not board.is_host:
        inside = board.placed("arena").holds(*arena)
        facts.append(("arena inside its region", int(inside), 1))
    for name, got, planned in facts:
        if got != planned:
            raise McuHybridError(
                f"{image.elf.name}: {name} is {got:,}, planned was {planned:,}",
                "build again; if it stays, report it with the model",
            )


def check_limit(image: FirmwareImage, limit: int | None) -> None:
    """Raise CapacityError where the linked firmware's arena and statics exceed a limit."""
    if limit is not None and image.ram_used > limit:
        raise CapacityError(
            f"{image.elf.name}: arena and statics take {image.ram_used:,} B, the limit is "
            f"{limit:,} B",
            f"give --ram-limit {image.ram_used} or more, or a smaller input or network",
            need=image.ram_used,
            have=limit,
        )


def _holds(board: Board, model: Footprint) -> bool:
    return all(need.fits for need in needs(board, model))
