"""Entropy of the softmax of the logits: low where the base is sure."""

from __future__ import annotations

from mcu_hybrid.mechanisms.base import Mechanism, Style

MECHANISM = Mechanism(
    name="entropy",
    id=2,
    title="entropy",
    style=Style("orange", "square"),
    doc="entropy of the softmax, nats in Q16",
    source="Teerapittayanon et al., BranchyNet, ICPR 2016",
    score=lambda logits: logits.entropy,
)
