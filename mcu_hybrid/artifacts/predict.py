"""predict: what it prints with --json; it writes no folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from mcu_hybrid.artifacts.codec import Artefact


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One input's answer; ``name`` is the class's, "" where the model does not tell it.

    ``score`` is the class's output as its network gives it, in real numbers: a logit, or a
    probability where the network ends in a softmax. ``origin`` is who answers, ``reason`` why:
    "kept", "queried" or "fallback: ...". The board keeps what has a ``router_score`` of at most
    ``threshold``.
    """

    input: str
    label: int
    name: str
    score: float
    origin: Literal["device", "cloud"]
    reason: str
    router_score: int
    threshold: int
    bytes_sent: int


@dataclass(frozen=True, kw_only=True)
class Predictions(Artefact):
    """All answers; ``device`` says who stood for the board, ``notes`` what was done to images."""

    step: ClassVar[str] = "predict"

    device: str
    router: str
    predictions: tuple[Prediction, ...]
    notes: tuple[str, ...]
