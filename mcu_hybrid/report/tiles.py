"""The row of headline figures of a build: at most seven, each with what it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.artifacts.build import BuildFacts, Estimate
from mcu_hybrid.artifacts.table import Row
from mcu_hybrid.report.data import BoardFacts, Operating, ReportPart, Routing
from mcu_hybrid.report.times import Time, latency_of


@dataclass(frozen=True)
class Tile:
    """One figure; ``kind`` is "good", "bad" or "", ``badge`` e.g. "estimate"."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
    badge: str = ""
    kind: str = ""


def tiles(data: ReportPart) -> list[Tile]:
    """The tiles that the data of one build has figures for."""
    found: list[Tile] = []
    if data.routing:
        found += _routing_tiles(data.routing)
    if data.bench:
        found += _bench_tiles(data.bench, is_virtual(data))
    elif data.built:
        found += _build_tiles(data.built)
    exact = _exact_tile(data)
    return [*found, exact] if exact else found


def is_virtual(data: ReportPart) -> bool:
    """Whether the firmware ran in an emulator or as a process; what is unknown is no board."""
    return data.board is not None and data.board.is_virtual


def where(data: ReportPart) -> str:
    """Where the firmware ran, in words."""
    board, ran = data.board or BoardFacts(name=""), data.bench or data.routing
    name = board.name or (ran.board if ran else "")
    if board.is_host:
        return f"as {name}, a process of the host"
    if board.is_virtual:
        return f"on {name}, emulated"
    return f"on {name}, the board itself" if board.is_known else f"on {name}" * bool(name)


def bench_time(data: ReportPart) -> Time | None:
    """The time of an inference: of the bench, else the build's estimate."""
    if data.bench is not None:
        return latency_of(data.bench.time, is_virtual=is_virtual(data))
    estimate = _estimate(data.built)
    return latency_of(estimate.time, is_virtual=True) if estimate else None


def _estimate(built: BuildFacts | None) -> Estimate | None:
    return built.aot.estimate if built is not None and built.aot is not None else None


def _routing_tiles(routing: Routing) -> list[Tile]:
    rows = routing.rows
    device = next((row for row in rows if row.method == "on-device only"), None)
    if device is None:
        return []
    row: Operating | Row | None = routing.operating
    if row is None:
        routed = [r for r in rows if r.method == "router"]
        if not routed:
            return []
        # What is deployed is not told: the usual coverage, else the middle of the table.
        row = next((r for r in routed if r.coverage_target == 0.8), routed[len(routed) // 2])
    gain = 100 * ((row.accuracy or 0.0) - (device.accuracy or 0.0))
    note = f"{gain:+.1f} points on the device alone, {100 * row.coverage:.0f} % answered there"
    return [Tile("hybrid accuracy", f"{100 * (row.accuracy or 0.0):.1f}", "%", note)]


def _bench_tiles(bench: BenchResult, virtual: bool) -> list[Tile]:
    found: list[Tile] = []
    if bench.instructions is not None:
        per_mac = bench.instructions / bench.macs if bench.macs else 0.0
        note = f"{per_mac:.2f} per MAC of the model, which has {bench.macs:,}"
        executed = bench.macs if bench.macs_executed is None else bench.macs_executed
        note += f"; {executed:,} are executed" if executed != bench.macs else ""
        found.append(Tile("instructions", f"{bench.instructions:,}", "", note, "exact"))
    found += _time_tiles(latency_of(bench.time, is_virtual=virtual))
    note = f"arena {bench.arena_bytes:,} B, stack used {bench.stack_bytes:,} B"
    found.append(Tile("RAM in use", f"{bench.sram_bytes / 1024:,.1f}", "KiB", note))
    flash = bench.flash
    return [*found, _flash_tile(flash.code_bytes, flash.weights_bytes)]


def _build_tiles(built: BuildFacts) -> list[Tile]:
    """What is known of firmware that did not run: predictions, and what the linker says."""
    found: list[Tile] = []
    estimate = _estimate(built)
    if estimate is not None:
        note = f"predicted; {built.macs:,} MACs"
        found.append(Tile("instructions", f"{estimate.instructions:,}", "", note, "estimate"))
        found += _time_tiles(latency_of(estimate.time, is_virtual=True))
    ram = built.static_ram_bytes + built.stack_bytes
    note = f"arena {built.arena_bytes:,} B, stack reserved {built.stack_bytes:,} B"
    found.append(Tile("RAM reserved", f"{ram / 1024:,.1f}", "KiB", note))
    return [*found, _flash_tile(built.code_bytes, built.weights_bytes)]


def _time_tiles(time: Time | None) -> list[Tile]:
    if time is None:
        return []
    about = "" if time.kind == "measured" else "about "
    note = f"({time.range} {time.unit}) {time.basis}" if time.range else time.basis
    return [Tile("latency", about + time.value, time.unit, note, time.kind)]


def _flash_tile(code: int, weights: int) -> Tile:
    note = f"weights {weights:,} B, code {code:,} B"
    return Tile("flash", f"{(code + weights) / 1024:,.1f}", "KiB", note)


def _exact_tile(data: ReportPart) -> Tile | None:
    """Whether outputs equal TFLM's: of firmware that ran, and where it ran; never of another."""
    bench, routing = data.bench, data.routing
    ran = [found for found in (bench, routing) if found is not None and found.exact is not None]
    if not ran:
        if bench:
            return Tile("bit for bit", "not compared", note=_why_not(bench))
        if data.built and not routing:
            return Tile("bit for bit", "not run", note="no bench or run of this firmware is here")
        return None
    place = where(data)
    place = f", {place}" if place else ""
    inputs = sum(map(_inputs, ran))
    on = f" on {inputs:,} inputs" if inputs else ""
    if all(found.exact for found in ran):
        note = f"equal to TFLM's interpreter{on}{place}"
        return Tile("bit for bit", "exact", note=note, kind="good")
    differing = sum(found.differing_outputs or 0 for found in ran)
    note = f"output values differ from TFLM's interpreter{on}{place}"
    return Tile("bit for bit", f"{differing:,}", note=note, kind="bad")


def _why_not(bench: BenchResult) -> str:
    return bench.not_compared or "no reference interpreter was there"


def _inputs(found: BenchResult | Routing) -> int:
    """How many inputs were compared; a bench's first inference repeats its second's input."""
    return max(0, found.runs - 1) if isinstance(found, BenchResult) else found.samples
