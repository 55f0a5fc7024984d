"""What is asked and what is answered: Query, Decision, Answer. No transport and no policy here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Origin = Literal["device", "cloud"]


@dataclass(frozen=True)
class Query:
    """One input: ``tensor`` is int8 for the device, ``payload`` is what the cloud model takes.

    Without a payload the device's answer stands, whatever the router says.
    """

    id: str
    tensor: np.ndarray
    payload: np.ndarray | None = None


@dataclass(frozen=True)
class Decision:
    """The router's word: ``escalate`` is score > threshold (higher = more in need of the cloud)."""

    escalate: bool
    score: int
    threshold: int


@dataclass(frozen=True)
class Latency:
    """Where the time of an answer went, in microseconds; ``cloud_us`` includes retries.

    ``device_us`` is None where the board's time is not known; there is no total then.
    """

    device_us: float | None
    cloud_us: float = 0.0
    device_is_estimate: bool = False

    @property
    def total_us(self) -> float | None:
        """Device and cloud one after the other."""
        return None if self.device_us is None else self.device_us + self.cloud_us


@dataclass(frozen=True)
class Answer:
    """The result of a query; ``reason`` is "kept", "queried" or "fallback: <why>".

    ``scores`` are the logits of the origin: int8 values from the device, floats from the cloud.
    """

    id: str
    label: int
    scores: np.ndarray
    origin: Origin
    latency: Latency
    reason: str
    decision: Decision
    bytes_sent: int = 0

    @property
    def is_fallback(self) -> bool:
        """True where the cloud was wanted and did not answer."""
        return self.reason.startswith("fallback")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "id": self.id,
            "label": self.label,
            "scores": np.asarray(self.scores).tolist(),
            "origin": self.origin,
            "reason": self.reason,
            "latency_us": self.latency.total_us,
            "device_us": self.latency.device_us,
            "cloud_us": self.latency.cloud_us,
            "latency_is_estimate": self.latency.device_is_estimate,
            "score": self.decision.score,
            "threshold": self.decision.threshold,
            "bytes_sent": self.bytes_sent,
        }
