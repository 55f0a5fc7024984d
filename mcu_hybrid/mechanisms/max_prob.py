"""Least confidence: 1 - p of the likeliest class."""

from __future__ import annotations

from mcu_hybrid.mechanisms.base import PROBABILITY_ONE, Mechanism, Style

MECHANISM = Mechanism(
    name="max-prob",
    id=3,
    title="max-prob",
    style=Style("pink", "cross", "dashed"),
    doc="1 - p of the likeliest class, Q15",
    source="Hendrycks and Gimpel, A Baseline for Detecting Misclassified Examples, ICLR 2017",
    score=lambda logits: PROBABILITY_ONE - logits.top[:, 0],
)
