"""Policies: whom to ask where the board would rather not answer alone, and when to let it be.

A policy gets the query and the board's own answer, and returns the answer that counts; it never
fails a query. Those that bound how often the cloud is asked wrap another one. Whether the cloud is
wanted at all is the board's decision (session.py); how a request travels, and whether the same one
is sent again, is the transport's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from mcu_hybrid.cloud.scores import class_scores
from mcu_hybrid.errors import CloudError
from mcu_hybrid.routing.query import Answer, Query

Now = Callable[[], float]
# Failures in a row after which the cloud is left alone, and for how long: a server that is gone
# costs three deadlines, one that is back is found within seconds. Not tuned.
BREAK_AFTER, REST_S = 3, 5.0


class Policy(Protocol):
    """Decides what becomes of a query that the board wants to escalate."""

    def ask(self, query: Query, own: Answer) -> Answer:
        """The answer that counts: the cloud's, or ``own`` with the reason why not."""


class CloudResult(Protocol):
    """What of cloud.transports.base.CloudResult is needed."""

    @property
    def bytes_sent(self) -> int: ...
    @property
    def bytes_received(self) -> int: ...
    def scores(self, output: str | None = None) -> np.ndarray:
        """The class scores."""


class Cloud(Protocol):
    """What of cloud.client.CloudClient is needed."""

    def infer(self, inputs: np.ndarray) -> CloudResult:
        """Run the global model; raises CloudError."""


class NoCloud:
    """There is no cloud: the board's answer stands."""

    def ask(self, query: Query, own: Answer) -> Answer:
        """``own``: "no_cloud"."""
        return own.without_cloud("no_cloud")


class Direct:
    """Asks the cloud once, at once; without a usable answer the board's stands."""

    def __init__(
        self, cloud: Cloud, *, output: str | None = None, now: Now = time.monotonic
    ) -> None:
        """``output`` has the class scores; None: the first float one."""
        self._cloud, self._output, self._now = cloud, output, now

    def ask(self, query: Query, own: Answer) -> Answer:
        """The cloud's answer, or ``own`` with the failure's reason and the time it cost."""
        if query.payload is None:
            return own.without_cloud("no_payload")
        started = self._now()
        try:
            result = self._cloud.infer(query.payload)
            scores = class_scores(result.scores(self._output), len(own.scores))
        except CloudError as error:
            return own.without_cloud(error.reason, (self._now() - started) * 1e6)
        return replace(
            own,
            label=int(np.argmax(scores)),
            scores=scores,
            origin="cloud",
            latency=replace(own.latency, cloud_us=(self._now() - started) * 1e6),
            reason="queried",
            bytes_sent=result.bytes_sent,
            bytes_received=result.bytes_received,
        )


class Resting:
    """After ``break_after`` failures in a row nobody is asked for ``rest_s`` seconds: "resting".

    So a dead server costs a few deadlines and not one per query.
    """

    def __init__(
        self,
        then: Policy,
        *,
        break_after: int = BREAK_AFTER,
        rest_s: float = REST_S,
        now: Now = time.monotonic,
    ) -> None:
        """``then`` is asked while there is no rest."""
        self._then, self._break_after, self._rest_s, self._now = then, break_after, rest_s, now
        self._failures = 0
        self._rest_until = 0.0

    def ask(self, query: Query, own: Answer) -> Answer:
        """``then``'s answer; ``own`` while it rests."""
        if query.payload is None:  # nothing will be sent: no failure, and no sign of life
            return self._then.ask(query, own)
        if self._failures >= self._break_after and self._now() < self._rest_until:
            return own.without_cloud("resting")
        answer = self._then.ask(query, own)
        self._failures = self._failures + 1 if answer.is_fallback else 0
        if answer.is_fallback:
            self._rest_until = self._now() + self._rest_s
        return answer


class GivingUp:
    """When a cloud is not worth a list of questions any more, whose answers can be asked for later.

    After ``most`` failures in a row, each with its retries; after ``most_slow`` where these have
    taken longer than ``slow_s`` together.
    """

    def __init__(
        self, slow_s: float, *, most: int = 10, most_slow: int = 3, now: Now = time.monotonic
    ) -> None:
        self._slow_s, self._most, self._most_slow, self._now = slow_s, most, most_slow, now
        self._failures, self._since = 0, now()

    def answered(self) -> None:
        """It lives: from here on failures count anew."""
        self._failures, self._since = 0, self._now()

    def failed(self) -> bool:
        """True where this failure is the last that is waited for."""
        self._failures += 1
        most = self._most_slow if self._now() - self._since > self._slow_s else self._most
        return self._failures >= most
