"""docs/device.svg: executed instructions per inference, ours beside the peers', one panel a core.

    .venv/bin/python -m benchmarks device_figure     again from docs/device.json

Instructions are not time: device.md has estimated cycles. Models differ by four orders of
magnitude, so a bar's length is the share of what TFLM with CMSIS-NN needs; the count stands behind
the bar.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import recorded
from benchmarks.device_table import Rows, label, peer_of

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
CORES = {"cortex-m7": "Cortex-M7", "cortex-m55": "Cortex-M55 (Helium)"}
# Okabe and Ito's palette, as in the HTML report.
SERIES = (
    ("this engine, int8 exact", "ours", "#0072B2"),
    ("TinyEngine, default mode", "tinyengine_fp", "#E69F00"),
    ("TFLM with CMSIS-NN", "tflm_cmsis_nn", "#c9ced6"),
)
BAR = 0.26  # of the distance between two models


def draw(results: Rows, peers: Mapping[str, Any]) -> Figure:
    """One panel for each core that was measured."""
    cores = [core for core in CORES if any(row["core"] == core for row in results.values())]
    most = max(sum(row["core"] == core for row in results.values()) for core in cores)
    figure = Figure(figsize=(5.6 * len(cores), 1.3 + 0.72 * most), layout="constrained")
    panels = figure.subplots(1, len(cores), squeeze=False)[0]
    for core, panel in zip(cores, panels, strict=True):
        _panel(panel, core, {k: row for k, row in results.items() if row["core"] == core}, peers)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    note = "Instructions, not time: in estimated cycles the distances are smaller (device.md)."
    source = note + "\n" + textwrap.fill(f"Peers: {peers['source']}", 95 * len(cores))
    figure.supxlabel(source, x=0.01, ha="left", fontsize=7, color="#5b6470")
    return figure


def write(results: Rows, peers: Mapping[str, Any], path: Path) -> None:
    """Write the figure; the same results give the same bytes. The suffix names the format."""
    with matplotlib.rc_context({"svg.hashsalt": "device", "font.family": "DejaVu Sans"}):
        metadata = {"Date": None} if path.suffix == ".svg" else None
        draw(results, peers).savefig(path, metadata=metadata, dpi=110)


def _panel(panel: Axes, core: str, rows: Rows, peers: Mapping[str, Any]) -> None:
    for name, color, points in _series(core, rows, peers):
        at, shares, counts = zip(*points, strict=True)
        bars = panel.barh(at, [100 * share for share in shares], BAR, label=name, color=color)
        panel.bar_label(bars, [_short(count) for count in counts], padding=3, fontsize=8)
    panel.set_title(CORES[core], loc="left", fontsize=11)
    panel.set_yticks(range(len(rows)), [label(key) for key in rows], fontsize=9)
    panel.set_ylim(len(rows) - 0.45, -0.6)
    panel.set_xlim(0, 118)  # room for the count behind the longest bar
    panel.set_xlabel("instructions per inference, % of TFLM with CMSIS-NN", fontsize=9)
    panel.tick_params(axis="x", labelsize=8)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color="#e6e9ed")
    panel.set_axisbelow(True)
    panel.spines[["top", "right", "left"]].set_visible(False)


def _series(
    core: str, rows: Rows, peers: Mapping[str, Any]
) -> Iterator[tuple[str, str, list[tuple[float, float, int]]]]:
    """Name, colour and bars (place, share, count); without gaps where a peer has no figure."""
    counts = []
    for key, row in rows.items():
        peer = peer_of(key, core, peers)
        found = {"ours": row["instructions"]} | {f: peer[f] for _, f, _ in SERIES[1:] if f in peer}
        counts.append(found if "tflm_cmsis_nn" in found else {})
    for name, field, color in SERIES:
        points = [
            (
                n + (list(found).index(field) - (len(found) - 1) / 2) * BAR,
                found[field] / found["tflm_cmsis_nn"],
                found[field],
            )
            for n, found in enumerate(counts)
            if field in found
        ]
        if points:
            yield name, color, points


def _short(count: int) -> str:
    if count >= 1_000_000:
        return f"{count / 1e6:.1f} M"
    return f"{count / 1e3:.0f} k" if count >= 10_000 else f"{count:,}"


def main() -> None:
    """Draw what was measured last."""
    write(recorded.values(recorded.COUNTED), recorded.peers(), DOCS / "device.svg")
