"""Tables whose cells draw bars: cost of each layer, its precision, room on the boards.

Text stays text at every width, so a phone can read them; the page's style sheet draws the bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcu_hybrid.artifacts.bench import BenchResult, LayerTime
from mcu_hybrid.artifacts.build import BuildFacts
from mcu_hybrid.report.data import BoardMemory, Quantisation
from mcu_hybrid.report.figures import csv_text, csv_uri, finite
from mcu_hybrid.report.times import ESTIMATE, MEASURED, Time, time_of


@dataclass(frozen=True)
class Bar:
    """A cell: its text, the bar's length in % of the column, and what stands under the pointer."""

    text: str
    width: float
    color: str
    tip: str = ""
    extra: str = ""


@dataclass(frozen=True)
class BarTable:
    """``rows`` are (heading, detail, cells); every cell is a Bar."""

    name: str
    caption: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, str, tuple[Bar, ...]]]
    csv: str

    @property
    def csv_uri(self) -> str:
        """The data, for a download link."""
        return csv_uri(self.csv)


def layers_table(layers: Sequence[LayerTime], kind: str = ESTIMATE) -> BarTable:
    """Per layer: what it costs (instructions, else ticks), its time, its MACs, and their ratio.

    ``kind`` is that of the whole inference's time: the layers' rows do not repeat it.
    """
    unit = "instructions" if all(row.instructions is not None for row in layers) else "ticks"
    cost = [row.ticks if unit == "ticks" else row.instructions or 0 for row in layers]
    macs = [row.macs for row in layers]
    times = [time_of(row.time, kind) for row in layers]
    ratio = [c / m if m else None for c, m in zip(cost, macs, strict=True)]
    has_times = any(time is not None for time in times)
    rows = []
    for i, row in enumerate(layers):
        share = cost[i] / (sum(cost) or 1)
        parts = [
            _bar(cost[i], max(cost), "blue", _share(share)),
            *([_time_bar(times, i)] if has_times else []),
            _bar(macs[i], max(macs), "sky"),
            _ratio(ratio, i),
        ]
        rows.append((row.name, f"{i} · {row.op.lower()}", tuple(parts)))
    time_head = ("ms, measured" if kind == MEASURED else "ms, estimate",) if has_times else ()
    return BarTable(
        "layers",
        f"Cost of each layer: {unit}, multiply-accumulates, and {unit} per MAC",
        (unit, *time_head, "MACs", f"{unit} per MAC"),
        rows,
        csv_text(
            ("layer", "name", "op", unit, "macs", f"{unit}_per_mac", "ms", "ms_low", "ms_high"),
            [
                (i, row.name, row.op, c, m, r, *_csv_time(time))
                for i, (row, c, m, r, time) in enumerate(
                    zip(layers, cost, macs, ratio, times, strict=True)
                )
            ],
        ),
    )


def _csv_time(time: Time | None) -> tuple[float | None, ...]:
    if time is None:
        return (None, None, None)
    return tuple(None if us is None else us / 1e3 for us in (time.us, time.low_us, time.high_us))


def _share(share: float) -> str:
    return f"{share:.1%}".replace("%", " %") if share >= 0.001 else "<0.1 %"


def _bar(value: int, most: int, color: str, extra: str = "") -> Bar:
    return Bar(f"{value:,}", 100 * value / (most or 1), color, extra=extra)


def _time_bar(times: Sequence[Time | None], i: int) -> Bar:
    time = times[i]
    if time is None:
        return Bar("", 0.0, "green")
    most = max(t.us for t in times if t is not None) or 1.0
    return Bar(time.value, 100 * time.us / most, "green", time.text(), time.range)


def _ratio(ratios: Sequence[float | None], i: int) -> Bar:
    value, most = ratios[i], max((r for r in ratios if r is not None), default=1.0)
    return (
        Bar("", 0.0, "orange")
        if value is None
        else Bar(f"{value:.2f}", 100 * value / most, "orange")
    )


def sqnr_table(quantisation: Quantisation) -> BarTable:
    """Signal to quantisation noise of each layer's output; the first layer that hurts is marked.

    A layer without any noise has sqnr_db None or infinity.
    """
    layers = quantisation.layers
    value = [finite(row.sqnr_db) for row in layers]
    most = max([1.0, *(v for v in value if v is not None)])
    rows = []
    for i, (row, db) in enumerate(zip(layers, value, strict=True)):
        hurts = row.name == quantisation.first_hurt
        bar = Bar(
            "no noise" if db is None else f"{db:.1f}",
            100.0 if db is None else max(0.0, 100 * db / most),
            "red" if hurts else "sky",
            extra="first layer that hurts" if hurts else "",
        )
        rows.append((row.name, f"{i} · {row.op.lower()}", (bar,)))
    return BarTable(
        "sqnr",
        "Signal to quantisation noise of each layer's int8 output against float, dB",
        ("dB, higher is better",),
        rows,
        csv_text(
            ("layer", "name", "sqnr_db"),
            [(i, row.name, db) for i, (row, db) in enumerate(zip(layers, value, strict=True))],
        ),
    )


@dataclass(frozen=True)
class Usage:
    """Bytes in use by part, of one build: (name, memory, bytes, colour)."""

    board: str
    parts: tuple[tuple[str, str, int, str], ...]

    def used(self, memory: str) -> int:
        """Bytes in use of ``flash`` or ``ram``."""
        return sum(size for _, kind, size, _ in self.parts if kind == memory)


def usage_of_bench(bench: BenchResult) -> Usage:
    """What a measured build takes: the stack is what was used of it."""
    stack = bench.stack_bytes
    other = max(0, bench.sram_bytes - bench.arena_bytes - stack)
    flash = bench.flash
    return Usage(
        bench.board,
        (
            ("weights", "flash", flash.weights_bytes, "blue"),
            ("code", "flash", flash.code_bytes, "sky"),
            ("arena", "ram", bench.arena_bytes, "green"),
            ("other statics", "ram", other, "pink"),
            ("stack used", "ram", stack, "orange"),
        ),
    )


def usage_of_build(facts: BuildFacts) -> Usage:
    """What a build takes that did not run: the stack is what the linker reserves."""
    other = max(0, facts.static_ram_bytes - facts.arena_bytes)
    return Usage(
        facts.board,
        (
            ("weights", "flash", facts.weights_bytes, "blue"),
            ("code", "flash", facts.code_bytes, "sky"),
            ("arena", "ram", facts.arena_bytes, "green"),
            ("other statics", "ram", other, "pink"),
            ("stack reserved", "ram", facts.stack_bytes, "orange"),
        ),
    )


@dataclass(frozen=True)
class Room:
    """One memory of one board: the parts as (name, bytes, % of it, colour)."""

    board: str
    memory: str
    is_estimate: bool
    used_bytes: int
    capacity_bytes: int
    parts: tuple[tuple[str, int, float, str], ...]

    @property
    def share(self) -> float:
        """The share in use; above 1 where it does not fit."""
        return self.used_bytes / self.capacity_bytes


def rooms(usage: Usage, boards: Sequence[BoardMemory]) -> list[Room]:
    """Flash and RAM of each board; only the board that it was built for is not an estimate."""
    found = []
    for board in boards:
        for memory, capacity in (("flash", board.flash_bytes), ("ram", board.ram_bytes)):
            if not capacity:
                continue
            used = usage.used(memory)
            widest = max(capacity, used)
            parts = tuple(
                (name, size, 100 * size / widest, color)
                for name, kind, size, color in usage.parts
                if kind == memory
            )
            own = board.name == usage.board
            found.append(Room(board.name, memory, not own, used, capacity, parts))
    return found


def rooms_csv(found: Sequence[Room]) -> str:
    """The rooms as a data URI of a CSV."""
    rows = [
        (r.board, r.memory, name, size, r.capacity_bytes, "estimate" if r.is_estimate else "built")
        for r in found
        for name, size, _, _ in r.parts
    ]
    head = ("board", "memory", "part", "bytes", "capacity_bytes", "is")
    return csv_uri(csv_text(head, rows))
