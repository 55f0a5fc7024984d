"""HybridSession: the board answers, or asks the cloud through us; a failing cloud fails no query.

The decision is the board's. Here it is carried out: the payload is sent, the answer taken, and
where none comes the board's own answer stands and the reason is counted. No tables, no files.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from mcu_hybrid.cloud.scores import class_scores
from mcu_hybrid.errors import CloudError
from mcu_hybrid.routing.query import Answer, Decision, Latency, Query


class DeviceInference(Protocol):
    """What of device.client.Inference is needed."""

    @property
    def ticks(self) -> int: ...
    @property
    def escalate(self) -> bool: ...
    @property
    def threshold(self) -> int: ...
    @property
    def score(self) -> int | None: ...
    def int8(self, index: int) -> np.ndarray:
        """An output, flat."""


class Device(Protocol):
    """What of device.client.Device is needed."""

    def infer(self, inputs: Sequence[np.ndarray]) -> DeviceInference:
        """Run the model on the board."""


class CloudResult(Protocol):
    """What of cloud.client.CloudResult is needed."""

    @property
    def bytes_sent(self) -> int: ...
    def scores(self, output: str | None = None) -> np.ndarray:
        """The class scores."""


class Cloud(Protocol):
    """What of cloud.client.CloudClient is needed."""

    def infer(self, inputs: np.ndarray) -> CloudResult:
        """Run the global model; raises CloudError."""


@dataclass(frozen=True)
class DeviceClock:
    """Turns a board's ticks into microseconds; an estimate on virtual boards.

    ``us_per_tick`` is None where the board's ticks have no time.
    """

    us_per_tick: float | None
    is_estimate: bool = False

    def us(self, ticks: int) -> float | None:
        """The time of so many ticks."""
        return None if self.us_per_tick is None else ticks * self.us_per_tick


@dataclass
class Counters:
    """What happened to the queries so far."""

    kept: int = 0
    queried: int = 0
    fallbacks: Counter[str] = field(default_factory=Counter)
    bytes_sent: int = 0

    @property
    def asked(self) -> int:
        """All queries."""
        return self.kept + self.queried + sum(self.fallbacks.values())

    @property
    def coverage(self) -> float:
        """Share that the board decided to keep (a fallback was not kept by decision)."""
        return self.kept / self.asked if self.asked else 1.0

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "asked": self.asked,
            "kept": self.kept,
            "queried": self.queried,
            "fallbacks": dict(sorted(self.fallbacks.items())),
            "coverage": self.coverage,
            "bytes_sent": self.bytes_sent,
        }


class HybridSession:
    """One board and (where there is one) one cloud model with the same class order.

    After ``break_after`` failures in a row the cloud is left alone for ``rest_s`` seconds, so that
    a dead server costs a few deadlines and not one per query; those answers count as "resting".
    """

    def __init__(
        self,
        device: Device,
        cloud: Cloud | None,
        *,
        clock: DeviceClock,
        logits: int = 0,
        cloud_output: str | None = None,
        break_after: int = 3,
        rest_s: float = 5.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``logits`` is the board's output with the class scores (``Device.hello().logits``)."""
        self.counters = Counters()
        self._device = device
        self._cloud = cloud
        self._clock = clock
        self._logits = logits
        self._cloud_output = cloud_output
        self._break_after = break_after
        self._rest_s = rest_s
        self._now = now
        self._failures = 0
        self._rest_until = 0.0

    def ask(self, query: Query) -> Answer:
        """The answer of the board or of the cloud; raises LinkError where the board fails."""
        ran = self._device.infer([query.tensor])
        scores = ran.int8(self._logits)
        decision = Decision(ran.escalate, ran.score or 0, ran.threshold)
        device_us = self._clock.us(ran.ticks)
        own = Answer(
            id=query.id,
            label=int(np.argmax(scores)),
            scores=scores,
            origin="device",
            latency=Latency(device_us, 0.0, self._clock.is_estimate),
            reason="kept",
            decision=decision,
        )
        if not decision.escalate:
            self.counters.kept += 1
            return own
        return self._from_cloud(query, own)

    def _from_cloud(self, query: Query, own: Answer) -> Answer:
        if self._cloud is None:
            return self._fallback(own, "no_cloud", 0.0)
        if query.payload is None:
            return self._fallback(own, "no_payload", 0.0)
        started = self._now()
        if self._failures >= self._break_after and started < self._rest_until:
            return self._fallback(own, "resting", 0.0)
        try:
            result = self._cloud.infer(query.payload)
            scores = class_scores(result.scores(self._cloud_output), len(own.scores))
        except CloudError as error:
            self._failures += 1
            self._rest_until = self._now() + self._rest_s
            return self._fallback(own, error.reason, (self._now() - started) * 1e6)
        self._failures = 0
        self.counters.queried += 1
        self.counters.bytes_sent += result.bytes_sent
        return Answer(
            id=query.id,
            label=int(np.argmax(scores)),
            scores=scores,
            origin="cloud",
            latency=_with_cloud(own.latency, (self._now() - started) * 1e6),
            reason="queried",
            decision=own.decision,
            bytes_sent=result.bytes_sent,
        )

    def _fallback(self, own: Answer, reason: str, cloud_us: float) -> Answer:
        self.counters.fallbacks[reason] += 1
        return Answer(
            id=own.id,
            label=own.label,
            scores=own.scores,
            origin="device",
            latency=_with_cloud(own.latency, cloud_us),
            reason=f"fallback: {reason}",
            decision=own.decision,
        )


def _with_cloud(latency: Latency, cloud_us: float) -> Latency:
    return Latency(latency.device_us, cloud_us, latency.device_is_estimate)
