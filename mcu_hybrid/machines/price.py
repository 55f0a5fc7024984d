"""How long an inference takes: what a real board's counter said, or an estimate with its range.

An estimate is instructions times cycles per instruction (``boards/cores.toml``, the chip's flash on
top) at a clock. Where neither is known there is no time, and ``basis`` says why. Nothing is run or
measured here. Who prints a time takes its text from here: no estimate is shown as a measurement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mcu_hybrid.artifacts.times import UNSAID, Kind, Latency, Span
from mcu_hybrid.board.types import Board, Core
from mcu_hybrid.ops.fully_connected import FULLY_CONNECTED

AOT, REF, TFLM = "aot", "ref", "tflm"  # whose code runs: our kernels, reference kernels, CMSIS-NN
MODELLED = "modelled from measured instruction timings, not measured on this board"
DENSE = FULLY_CONNECTED.kind  # reads each weight once, so it runs at the speed of the flash
# Least share by which the time of such a layer may be off: published waits of one flash differ by a
# factor of two (5.6 to 11 cycles per line of 32 bytes; docs/engine.md, "Time").
DENSE_RANGE = 0.25
OLD = "the time is an older version's, whose times were 15 to 45 % too good: make it again"
HOST = "a process on this machine: its time is no board's"


@dataclass(frozen=True)
class Time:
    """Microseconds and what they rest on; ``kind`` is None where no board's time is known.

    ``low_us`` and ``high_us`` are an estimate's range.
    """

    us: float | None
    low_us: float | None
    high_us: float | None
    kind: Kind | None
    basis: str

    @property
    def span(self) -> Span:
        """The microseconds alone."""
        return Span(latency_us=self.us, latency_low_us=self.low_us, latency_high_us=self.high_us)

    def said(self) -> Latency:
        """As bench.json and a build's ``estimate`` say it."""
        return Latency(
            latency_us=self.us,
            latency_low_us=self.low_us,
            latency_high_us=self.high_us,
            latency_kind=self.kind,
            latency_is_estimate=self.kind == "estimate",
            latency_basis=self.basis,
        )

    def board_ms(self) -> tuple[float | None, float | None, float | None]:
        """Milliseconds, and the range of an estimate; all None where they are no board's."""
        if self.kind is None or self.us is None:
            return None, None, None
        low, high = (None if us is None else us / 1e3 for us in (self.low_us, self.high_us))
        return self.us / 1e3, low, high


@dataclass(frozen=True)
class Part:
    """A part of the work; ``dense_bytes`` are the weights that a fully connected layer reads.

    ``m4_cycles`` is its price by the Cortex-M4's instruction table, where its mix was counted.
    """

    instructions: float
    dense_bytes: float | None = None
    m4_cycles: float | None = None


def unknown(basis: str) -> Time:
    """No time, and why."""
    return Time(None, None, None, None, basis)


def measured(us: float, basis: str) -> Time:
    """What a real board's counter said."""
    return Time(us, None, None, "measured", basis)


def time_of(said: Latency | None) -> Time:
    """The time that ``Time.said`` said; none of older versions', which were too good."""
    if said is None or said.latency_kind == UNSAID:
        return unknown("" if said is None else OLD)
    kind = said.latency_kind
    us = said.latency_us if kind else None
    return Time(us, said.latency_low_us, said.latency_high_us, kind, said.latency_basis)


def code_of(engine: str, kernels: str = "") -> str:
    """Whose code a build runs: AOT, REF or TFLM."""
    if engine == TFLM:
        return TFLM
    return REF if kernels == REF else AOT


def cycles_per_instruction(core: Core, code: str = AOT) -> float | None:
    """Without the flash's share; None where the core has no measured instruction timings."""
    return core.cycles.get(code, core.cpi)


def estimate(board: Board, work: Iterable[Part] | float, code: str = AOT) -> Time:
    """The time of so much work (instructions, or parts) on a board; its chip's clock prices it.

    Args:
        code: whose instructions they are: AOT, REF or TFLM.
    """
    parts = [Part(work)] if isinstance(work, int | float) else list(work)
    per = cycles_per_instruction(board.core, code)
    if per is None:
        return unknown(
            f"no cycles per instruction are known for {board.core.name}: instructions only"
        )
    chip = board.priced_chip
    below, above = chip.cycles_range or board.core.cycles_range
    low = middle = high = 0.0
    for part in parts:
        cycles = per * part.instructions if part.m4_cycles is None else part.m4_cycles
        if part.dense_bytes is None:
            cycles += (chip.flash_cycles if code == AOT else 0.0) * part.instructions
        else:
            cycles += chip.flash_byte_cycles * part.dense_bytes
        wide = part.dense_bytes is not None
        low += cycles * (1.0 - (max(below, DENSE_RANGE) if wide else below))
        high += cycles * (1.0 + (max(above, DENSE_RANGE) if wide else above))
        middle += cycles
    us = 1e6 / chip.clock_hz
    total = sum(part.instructions for part in parts)
    basis = _basis(chip.title, chip.clock_hz, (low, middle, high), total)
    return Time(middle * us, low * us, high * us, "estimate", basis)


def _basis(chip: str, clock_hz: int, cycles: tuple[float, float, float], total: float) -> str:
    low, middle, high = cycles
    band = f", {100 * low / middle - 100:+.0f} .. {100 * high / middle - 100:+.0f} %"
    per = f"{middle / total:.2f} cycles per instruction{band}, " if total and middle else ""
    return f"{MODELLED} (estimate: {per}{clock_hz / 1e6:g} MHz, {chip})"


class LayerWork(Protocol):
    """What a layer's price depends on, besides its instructions."""

    @property
    def op(self) -> str:
        """The operator's kind."""

    @property
    def macs(self) -> int:
        """The multiply-accumulates that it executes."""


def parts_of(
    layers: Sequence[LayerWork],
    counts: Sequence[int | None] | None,
    total: float,
    m4_cycles: Sequence[float] | None = None,
) -> list[Part]:
    """``total`` instructions as parts: a layer each, and what is left over.

    Args:
        layers: in the order in which they run.
        counts: each layer's instructions; where one is missing the MACs share the total out.
        m4_cycles: each layer's price by the Cortex-M4's table, where it is known.
    """
    macs = sum(row.macs for row in layers) or 1
    if counts is None or None in counts or len(counts) != len(layers):
        counts, m4_cycles = None, None
    parts = []
    for n, row in enumerate(layers):
        count = total * row.macs / macs if counts is None else counts[n] or 0
        dense = row.macs if row.op == DENSE else None
        parts.append(Part(count, dense, None if m4_cycles is None else m4_cycles[n]))
    return [*parts, Part(total - sum(part.instructions for part in parts))]


# -- for readers


def digits_of(us: float) -> int:
    """With how many decimals a time of this size is written in milliseconds."""
    return next((n for n, ms in ((0, 100), (1, 1), (2, 0.1), (3, 0.01)) if us / 1e3 >= ms), 4)


def milliseconds(
    us: float, low_us: float | None = None, high_us: float | None = None, *, unit: bool = True
) -> str:
    """``5.9 ms (5.4-7.0)``: the range has the digits of the value."""
    digits = digits_of(us)
    text = f"{us / 1e3:,.{digits}f}" + (" ms" if unit else "")
    if low_us is None or high_us is None:
        return text
    return f"{text} ({low_us / 1e3:,.{digits}f}-{high_us / 1e3:,.{digits}f})"


def text_of(said: Latency) -> str:
    """A time's line for readers; "-" and why without one.

    Results of older versions have no kind and no range: they are estimates.
    """
    basis, us, kind = said.latency_basis, said.latency_us, kind_of(said)
    if us is None or kind is None:
        return f"-   {basis}".rstrip()
    if kind == "measured":
        return f"{us / 1e3:,.3f} ms, {basis}"
    known = milliseconds(us, said.latency_low_us, said.latency_high_us)
    return f"about {known}, {basis or 'estimate'}"


def kind_of(said: Latency) -> Kind | None:
    """What a result's time is; version 0.1 wrote no kind, and did not look at the link."""
    if said.latency_kind != UNSAID:
        return said.latency_kind
    basis = said.latency_basis
    if said.latency_is_estimate:
        return "estimate" if basis else None
    return None if basis.startswith(("host process", "measured: ticks at")) else "measured"
