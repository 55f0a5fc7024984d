"""Margin: 1 - (p of the likeliest class - p of the second)."""

from __future__ import annotations

from mcu_hybrid.mechanisms.base import PROBABILITY_ONE, Mechanism, Style

MECHANISM = Mechanism(
    name="margin",
    id=4,
    title="margin",
    style=Style("sky", "x", "dashdot"),
    doc="1 - (p of the likeliest class - p of the second), Q15",
    source="Scheffer et al., Active Hidden Markov Models, IDA 2001",
    score=lambda logits: PROBABILITY_ONE - (logits.top[:, 0] - logits.top[:, 1]),
)
