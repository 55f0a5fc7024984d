"""HybridSession: the board answers first, and a policy where it would rather not answer alone.

The decision is the board's; here it is carried out and counted. A board that fails is an error, a
cloud that fails is not (policy.py). No tables, no files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from mcu_hybrid.routing.policy import Policy
from mcu_hybrid.routing.query import (
    Answer,
    Decision,
    DeviceInference,
    Latency,
    OnDevice,
    Query,
    fallback_of,
)


class Device(Protocol):
    """What of device.client.Device is needed."""

    def infer(self, inputs: Sequence[np.ndarray]) -> DeviceInference:
        """Run the model on the board."""


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

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        if answer.is_fallback:
            self.fallbacks[fallback_of(answer.reason)] += 1
        elif answer.origin == "cloud":
            self.queried += 1
        else:
            self.kept += 1
        self.bytes_sent += answer.bytes_sent

    def to_json(self) -> dict[str, object]:
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
    """One board, and the policy that knows of a cloud model with the same class order."""

    def __init__(
        self, device: Device, policy: Policy, *, clock: DeviceClock, logits: int = 0
    ) -> None:
        """``logits`` is the board's output with the class scores (``Device.hello().logits``)."""
        self.counters = Counters()
        self._device, self._policy = device, policy
        self._clock, self._logits = clock, logits

    def ask(self, query: Query) -> Answer:
        """The answer of the board or of the cloud; raises LinkError where the board fails."""
        own = self._own(query)
        answer = self._policy.ask(query, own) if own.decision.escalate else own
        self.counters.add(answer)
        return answer

    def _own(self, query: Query) -> Answer:
        ran = self._device.infer([query.tensor])
        scores = ran.int8(self._logits)
        label = int(np.argmax(scores))
        decision = Decision(ran.escalate, ran.score or 0, ran.threshold)
        return Answer(
            id=query.id,
            label=label,
            scores=scores,
            origin="device",
            latency=Latency(self._clock.us(ran.ticks), 0.0, self._clock.is_estimate),
            reason="kept",
            device=OnDevice(label, scores, decision, ran),
        )
