"""What is asked and what is answered: Query, Answer, and what the board itself came to.

No transport here, and no policy of whom to ask (policy.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from mcu_hybrid.wire import messages

Origin = Literal["device", "cloud"]
_FALLBACK = "fallback: "


@dataclass(frozen=True)
class Query:
    """One input: ``tensor`` is int8 for the device, ``payload`` is what the cloud model takes.

    Without a payload the device's answer stands, whatever the router says.
    """

    id: str
    tensor: np.ndarray
    payload: np.ndarray | None = None


class DeviceInference(Protocol):
    """An inference on the board: what of device.inference.Inference is needed."""

    @property
    def outputs(self) -> tuple[bytes, ...]: ...
    @property
    def ticks(self) -> int: ...
    @property
    def instructions(self) -> int: ...
    @property
    def decision(self) -> messages.Decision: ...
    @property
    def escalate(self) -> bool: ...
    @property
    def threshold(self) -> int: ...
    @property
    def score(self) -> int | None: ...
    @property
    def scores(self) -> Mapping[int, int]: ...
    def int8(self, index: int) -> np.ndarray:
        """An output, flat."""


@dataclass(frozen=True)
class Decision:
    """The router's word: ``escalate`` is score > threshold (higher = more in need of the cloud)."""

    escalate: bool
    score: int
    threshold: int


@dataclass(frozen=True)
class OnDevice:
    """What the board itself came to, whoever answers: its class, the logits [classes] behind it.

    ``ran`` is the inference: all outputs, the scores of all routers, ticks and instructions.
    """

    label: int
    scores: np.ndarray
    decision: Decision
    ran: DeviceInference


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
    ``device`` is the board's own result, also where the cloud's counts. Bytes are the cloud's.
    """

    id: str
    label: int
    scores: np.ndarray
    origin: Origin
    latency: Latency
    reason: str
    device: OnDevice
    bytes_sent: int = 0
    bytes_received: int = 0

    @property
    def decision(self) -> Decision:
        """The board's."""
        return self.device.decision

    @property
    def is_fallback(self) -> bool:
        """True where the cloud was wanted and did not answer."""
        return self.reason.startswith(_FALLBACK)

    def without_cloud(self, why: str, cloud_us: float = 0.0) -> Answer:
        """The board's own answer, as it stands where the cloud gave none."""
        latency = replace(self.latency, cloud_us=cloud_us)
        return replace(self, reason=_FALLBACK + why, latency=latency)

    def to_json(self) -> dict[str, object]:
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


def fallback_of(reason: str) -> str:
    """Why the cloud did not answer, by an answer's ``reason``; "" for all other reasons."""
    return reason.removeprefix(_FALLBACK) if reason.startswith(_FALLBACK) else ""
