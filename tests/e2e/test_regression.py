"""The gate on instruction counts: exact figures, so a model that gets 1 % worse is a regression.

Intended changes are recorded with: python -m benchmarks device --update-baseline
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import recorded
from tests.support.measured import measured

TOLERANCE = 1.01
BASELINE = recorded.values(recorded.BASELINE)
GATED = [key for key in BASELINE if key.endswith("@mps2-an500")]


@pytest.mark.parametrize("key", GATED)
def test_instructions_do_not_grow(key: str, shared: Path) -> None:
    name, board = key.split("@")
    _, result = measured(shared / "models" / f"{name}.tflite", board)
    assert result.exact, f"{name}: {result.differing_outputs} values differ from TFLM"
    recorded = BASELINE[key]
    before = dict(recorded["layers"])
    worse = [
        f"{layer.name}: {before[layer.name]:,} -> {layer.instructions:,}"
        for layer in result.layers
        if layer.name in before and (layer.instructions or 0) > before[layer.name] * TOLERANCE
    ]
    assert result.instructions is not None
    assert result.instructions <= recorded["instructions"] * TOLERANCE, (
        f"{name}: {recorded['instructions']:,} -> {result.instructions:,} instructions; "
        f"layers that grew: {'; '.join(worse) or 'none by itself'}"
    )
    assert result.arena_bytes <= recorded["arena_bytes"], "the arena grew"
