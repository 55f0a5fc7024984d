"""The row of headline figures on top of the report: at most six, each with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcu_hybrid import latency


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
    """The tiles that the data has figures for."""
    found: list[Tile] = []
    if routing := data.get("routing"):
        found += _routing_tiles(routing.get("rows") or [])
    if bench := data.get("bench"):
        found += _bench_tiles(bench)
    return found


def _routing_tiles(rows: list[Mapping[str, Any]]) -> list[Tile]:
    by_method = {row["method"]: row for row in rows}
    device = by_method.get("on-device only")
    routed = [row for row in rows if row["method"] == "router"]
    if not device or not routed:
        return []
    # The coverage that the demo deploys; else the one in the middle of the table.
    row = next((r for r in routed if r["coverage_target"] == 0.8), routed[len(routed) // 2])
    gain = 100 * (row["accuracy"] - device["accuracy"])
    return [
        Tile(
            "hybrid accuracy",
            f"{100 * row['accuracy']:.1f}",
            "%",
            f"{gain:+.1f} points on the device alone, {100 * row['coverage']:.0f} % answered there",
        )
    ]


def _bench_tiles(bench: Mapping[str, Any]) -> list[Tile]:
    found: list[Tile] = []
    if bench.get("instructions") is not None:
        per_mac = bench["instructions"] / bench["macs"] if bench.get("macs") else 0.0
        note = f"{per_mac:.2f} per MAC, {bench['macs']:,} MACs"
        found.append(Tile("instructions", f"{bench['instructions']:,}", "", note, "exact"))
    kind = latency.kind_of(bench)
    if bench.get("latency_us") is not None and kind is not None:
        value, unit = _time(bench["latency_us"])
        note = str(bench.get("latency_basis", ""))
        if bench.get("latency_low_us") is not None:
            low, high = bench["latency_low_us"], bench["latency_high_us"]
            note = f"{latency.milliseconds(bench['latency_us'], low, high)}, {note}"
        found.append(Tile("latency", value, unit, note, kind))
    sram = bench["sram_bytes"]
    note = f"arena {bench['arena_bytes']:,} B"
    if bench.get("stack_bytes") is not None:
        note += f", stack {bench['stack_bytes']:,} B"
    found.append(Tile("RAM", f"{sram / 1024:,.1f}", "KiB", note))
    flash = bench["flash"]
    used = flash["code_bytes"] + flash["weights_bytes"]
    note = f"weights {flash['weights_bytes']:,} B, code {flash['code_bytes']:,} B"
    found.append(Tile("flash", f"{used / 1024:,.1f}", "KiB", note))
    return [*found, _exact_tile(bench)]


def _exact_tile(bench: Mapping[str, Any]) -> Tile:
    if bench.get("exact") is None:
        return Tile("bit for bit", "not compared", note="no reference interpreter was installed")
    runs = bench.get("runs")
    inputs = f" on {runs - 1:,} inputs" if runs else ""
    if bench["exact"]:
        note = f"equal to TFLM's interpreter{inputs}"
        return Tile("bit for bit", "exact", note=note, kind="good")
    note = f"output values differ from TFLM's interpreter{inputs}"
    return Tile("bit for bit", f"{bench['differing_outputs']:,}", note=note, kind="bad")


def _time(us: float) -> tuple[str, str]:
    if us < 1000:
        return f"{us:,.1f}", "µs"
    return (f"{us / 1e3:,.2f}", "ms") if us < 1e5 else (f"{us / 1e3:,.0f}", "ms")
