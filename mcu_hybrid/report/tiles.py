"""The row of headline figures of a build: at most seven, each with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcu_hybrid.report.times import Time, time_of


@dataclass(frozen=True)
class Tile:
    """One figure; ``kind`` is "good", "bad" or "", ``badge`` e.g. "estimate"."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
    badge: str = ""
    kind: str = ""


def tiles(data: Mapping[str, Any]) -> list[Tile]:
    """The tiles that the data of one build has figures for."""
    found: list[Tile] = []
    bench, built, routing = data.get("bench"), data.get("built"), data.get("routing")
    if routing:
        found += _routing_tiles(routing)
    if bench:
        found += _bench_tiles(bench, is_virtual(data))
    elif built:
        found += _build_tiles(built)
    exact = _exact_tile(data)
    return [*found, exact] if exact else found


def is_virtual(data: Mapping[str, Any]) -> bool:
    """Whether the firmware ran in an emulator or as a process; what is unknown is no board."""
    return bool((data.get("board") or {}).get("is_virtual", False))


def where(data: Mapping[str, Any]) -> str:
    """Where the firmware ran, in words."""
    board = data.get("board") or {}
    name = board.get("name") or (data.get("bench") or data.get("routing") or {}).get("board", "")
    if board.get("is_host"):
        return f"as {name}, a process of the host"
    if board.get("is_virtual"):
        return f"on {name}, emulated"
    return f"on {name}, the board itself" if board.get("is_known") else f"on {name}" * bool(name)


def bench_time(data: Mapping[str, Any]) -> Time | None:
    """The time of an inference: of the bench, else the build's estimate."""
    if data.get("bench"):
        return time_of(data["bench"], is_virtual=is_virtual(data))
    return time_of((data.get("built") or {}).get("estimate") or {}, is_virtual=True)


def _routing_tiles(routing: Mapping[str, Any]) -> list[Tile]:
    rows = list(routing.get("rows") or [])
    device = next((row for row in rows if row["method"] == "on-device only"), None)
    if device is None:
        return []
    row: Mapping[str, Any] | None = routing.get("operating")
    if row is None:
        routed = [r for r in rows if r["method"] == "router"]
        if not routed:
            return []
        # What is deployed is not told: the usual coverage, else the middle of the table.
        row = next((r for r in routed if r["coverage_target"] == 0.8), routed[len(routed) // 2])
    gain = 100 * (row["accuracy"] - device["accuracy"])
    note = f"{gain:+.1f} points on the device alone, {100 * row['coverage']:.0f} % answered there"
    return [Tile("hybrid accuracy", f"{100 * row['accuracy']:.1f}", "%", note)]


def _bench_tiles(bench: Mapping[str, Any], virtual: bool) -> list[Tile]:
    found: list[Tile] = []
    if bench.get("instructions") is not None:
        per_mac = bench["instructions"] / bench["macs"] if bench.get("macs") else 0.0
        note = f"{per_mac:.2f} per MAC of the model, which has {bench['macs']:,}"
        executed = bench.get("macs_executed", bench["macs"])
        note += f"; {executed:,} are executed" if executed != bench["macs"] else ""
        found.append(Tile("instructions", f"{bench['instructions']:,}", "", note, "exact"))
    found += _time_tiles(time_of(bench, is_virtual=virtual))
    note = f"arena {bench['arena_bytes']:,} B"
    if bench.get("stack_bytes") is not None:
        note += f", stack used {bench['stack_bytes']:,} B"
    found.append(Tile("RAM in use", f"{bench['sram_bytes'] / 1024:,.1f}", "KiB", note))
    flash = bench["flash"]
    return [*found, _flash_tile(flash["code_bytes"], flash["weights_bytes"])]


def _build_tiles(built: Mapping[str, Any]) -> list[Tile]:
    """What is known of firmware that did not run: predictions, and what the linker says."""
    found: list[Tile] = []
    estimate = built.get("estimate") or {}
    if estimate.get("instructions") is not None:
        note = f"predicted; {built['macs']:,} MACs"
        found.append(Tile("instructions", f"{estimate['instructions']:,}", "", note, "estimate"))
    found += _time_tiles(time_of(estimate, is_virtual=True))
    ram = built["static_ram_bytes"] + built["stack_bytes"]
    note = f"arena {built['arena_bytes']:,} B, stack reserved {built['stack_bytes']:,} B"
    found.append(Tile("RAM reserved", f"{ram / 1024:,.1f}", "KiB", note))
    return [*found, _flash_tile(built["code_bytes"], built["weights_bytes"])]


def _time_tiles(time: Time | None) -> list[Tile]:
    if time is None:
        return []
    about = "" if time.kind == "measured" else "about "
    note = f"({time.range} {time.unit}) {time.basis}" if time.range else time.basis
    return [Tile("latency", about + time.value, time.unit, note, time.kind)]


def _flash_tile(code: int, weights: int) -> Tile:
    note = f"weights {weights:,} B, code {code:,} B"
    return Tile("flash", f"{(code + weights) / 1024:,.1f}", "KiB", note)


def _exact_tile(data: Mapping[str, Any]) -> Tile | None:
    """Whether outputs equal TFLM's: of firmware that ran, and where it ran; never of another."""
    bench, routing = data.get("bench") or {}, data.get("routing") or {}
    ran = [found for found in (bench, routing) if found.get("exact") is not None]
    if not ran:
        if bench:
            return Tile("bit for bit", "not compared", note=_why_not(bench))
        if data.get("built") and not routing:
            return Tile("bit for bit", "not run", note="no bench or run of this firmware is here")
        return None
    place = where(data)
    place = f", {place}" if place else ""
    inputs = sum(_inputs(found, bench) for found in ran)
    on = f" on {inputs:,} inputs" if inputs else ""
    if all(found["exact"] for found in ran):
        note = f"equal to TFLM's interpreter{on}{place}"
        return Tile("bit for bit", "exact", note=note, kind="good")
    differing = sum(found.get("differing_outputs") or 0 for found in ran)
    note = f"output values differ from TFLM's interpreter{on}{place}"
    return Tile("bit for bit", f"{differing:,}", note=note, kind="bad")


def _why_not(bench: Mapping[str, Any]) -> str:
    return str(bench.get("not_compared") or "no reference interpreter was there")


def _inputs(found: Mapping[str, Any], bench: Mapping[str, Any]) -> int:
    """How many inputs were compared; a bench's first inference repeats its second's input."""
    if found is bench:
        return max(0, int(found.get("runs") or 0) - 1)
    return int(found.get("samples") or 0)
