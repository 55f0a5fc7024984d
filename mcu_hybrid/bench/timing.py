"""How the time of an inference is known: by a real board's counter, as an estimate, or not at all.

Only the counter of a real board, reached over a serial port, is a measurement. QEMU's clock counts
instructions; what answers over a socket (or a pseudo-terminal) may be an emulator, whatever board
it says that it is. What the estimates are made of is in price.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mcu_hybrid.artifacts.bench import BenchResult, ModelMix
from mcu_hybrid.artifacts.build import LayerRow
from mcu_hybrid.board.load import Board
from mcu_hybrid.link import is_serial_port
from mcu_hybrid.machines import price
from mcu_hybrid.machines.price import Time
from mcu_hybrid.wire.payloads import Hello

Source = Literal["counter", "instructions", "host", "unproved"]


@dataclass(frozen=True)
class Work:
    """The layers of a build, the instructions predicted for each, and whose code it is."""

    layers: Sequence[LayerRow]
    predicted: Sequence[int | None] | None = None
    code: str = price.AOT


@dataclass(frozen=True)
class Timer:
    """Turns what a board counts into time; ``url`` is the link that it was reached by."""

    board: Board
    hello: Hello
    url: str
    work: Work

    @property
    def source(self) -> Source:
        """Where times come from."""
        if self.hello.tick_instructions > 0:
            return "instructions"
        if self.board.is_host:
            return "host"
        return "counter" if not self.board.is_virtual and is_serial_port(self.url) else "unproved"

    def total(self, ticks: float, instructions: float) -> Time:
        """The time of one whole inference."""
        if self.source in ("counter", "host"):
            return self._counted(ticks)
        known = self.work.predicted
        if self.source == "instructions":
            parts = price.parts_of(self.work.layers, known, instructions)
        elif known is None or None in known:
            return price.unknown(self._unproved)
        else:
            parts = price.parts_of(self.work.layers, known, sum(n or 0 for n in known))
        time = price.estimate(self.board, parts, self.work.code)
        if self.source == "instructions" or time.us is None:
            return time
        return replace(time, basis=f"{time.basis}; instructions as predicted: {self._unproved}")

    def layer(self, number: int, ticks: int, instructions: int) -> Time:
        """The time of one layer."""
        if self.source in ("counter", "host"):
            return self._counted(ticks)
        row = self.work.layers[number]
        count: int | None = instructions
        if self.source == "unproved":
            count = self.work.predicted[number] if self.work.predicted else None
        if count is None:
            return price.unknown(self._unproved)
        part = price.Part(count, row.macs if row.op == price.DENSE else None)
        return price.estimate(self.board, [part], self.work.code)

    def _counted(self, ticks: float) -> Time:
        hz = self.hello.tick_hz
        us = 1e6 * ticks / hz
        if self.source == "host":
            return Time(us, None, None, None, price.HOST)
        return price.measured(us, f"measured: the board's counter at {hz:,} Hz")

    @property
    def _unproved(self) -> str:
        if self.board.is_virtual:
            return "the counter is an emulator's"
        return f"{self.url} is no serial port, and its counter may be an emulator's"


def with_mix(result: BenchResult, board: Board, mix: ModelMix, code: str) -> BenchResult:
    """The result with its mix; on a Cortex-M4 the times are then priced by the mix."""
    result = replace(result, mix=mix)
    total = mix.total.m4_cycles
    if total is None or board.core.cpi is None:
        return result
    layers = list(result.layers)
    parts: list[price.Part] = []
    for n, row in enumerate(mix.layers or ()):
        cycles = (row.mix.m4_cycles or total).estimate
        dense = layers[n].macs if row.op == price.DENSE else None
        parts.append(price.Part(row.mix.instructions, dense, cycles))
        time = price.estimate(board, parts[-1:], code)
        layers[n] = replace(layers[n], time=time.span)
    rest = price.Part(
        mix.total.instructions - sum(part.instructions for part in parts),
        None,
        total.estimate - sum(part.m4_cycles or 0.0 for part in parts),
    )
    time = price.estimate(board, [*parts, rest], code)
    return replace(result, layers=tuple(layers), time=time.said())
