"""The device benchmark's tables and figure, from recorded numbers: no emulator, no models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from benchmarks import device, device_figure, device_table, recorded

PEERS: dict[str, Any] = {
    "source": "some peers",
    "net": {
        "cortex-m7": {"tflm_cmsis_nn": 4000, "tinyengine_fp": 3000},
        "cortex-m55": {"tflm_cmsis_nn": 2000},
        "tflm_ram_bytes": 700,
    },
}
TARGETS: dict[str, Any] = {
    "source": "some goals",
    "cortex-m7": {
        "net": {"instructions": 1000, "ram_bytes": 299},
        "net/all": {"instructions": 999},
    },
}


def row(core: str, instructions: int) -> dict[str, Any]:
    return {
        "core": core,
        "instructions": instructions,
        "model_macs": 1500,
        "exact": True,
        "sram_bytes": 300,
        "arena_bytes": 200,
        "flash": {"code_bytes": 40, "weights_bytes": 50},
    }


RESULTS = {
    "net@m7": row("cortex-m7", 1000),
    "net/all@m7": row("cortex-m7", 1000),
    "net@m4": row("cortex-m4", 1000),
    "net@m55": row("cortex-m55", 500),
    "other@m7": row("cortex-m7", 3000),
}


def test_both_tables() -> None:
    text = device_table.markdown(RESULTS, PEERS, TARGETS)
    speed, memory = (part.splitlines()[2:] for part in text.split("\n\n"))
    assert speed == [
        "| net | cortex-m7 | 1,000 | 1,000 yes | 1.50 | 4,000 | 4.0x | 3,000 | yes |",
        "| net, all channels | cortex-m7 | 1,000 | 999 NO | 1.50 | 4,000 | 4.0x | 3,000 | yes |",
        "| net | cortex-m4 | 1,000 | - | 1.50 | 4,000 | 4.0x | 3,000 | yes |",
        "| net | cortex-m55 | 500 | - | 3.00 | 2,000 | 4.0x | - | yes |",
        "| other | cortex-m7 | 3,000 | - | 0.50 | - | - | - | yes |",
    ]
    assert memory[0] == "| net | cortex-m7 | 300 | 299 NO | 40 | - | 50 | - | 200 | 700 | - |"


def test_the_figure_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        device_figure.write(RESULTS, PEERS, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    # Panels: two of the three cores. Bars of net, net/all: ours and two peers; on the M55 one peer.
    panels = device_figure.draw(RESULTS, PEERS).axes
    assert [len(panel.patches) for panel in panels] == [2 + 2 + 2, 1 + 1]
    widths = sorted(bar.get_width() for bar in panels[0].patches)
    assert widths == pytest.approx([25, 25, 75, 75, 100, 100])


def test_goals_name_models_and_cores_that_are_measured() -> None:
    targets = recorded.targets()
    fields = {"instructions", *(name for _, name, _ in device_table.MEMORY)}
    for core in set(targets) - {"source"}:
        assert core in device_figure.CORES
        for model, goals in targets[core].items():
            assert model in device.NAMES
            assert set(goals) <= fields
