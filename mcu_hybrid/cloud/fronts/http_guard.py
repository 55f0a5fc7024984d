"""Connections that do not get on with their request are closed: they must not shut others out.

uvicorn has no deadline for a request's head, and counts every open connection against its limit.
Here a head has a deadline, and one client may hold only so many unfinished requests: past that, or
when all places are taken, the one that has been unfinished longest goes. The body has a deadline of
its own (http_app.py). No routes and no tensors here.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# Bounds against clients that open and do not finish; each connection may hold a body in memory
# (MAX_CONNECTIONS x MAX_BODY_BYTES is 2 GiB). Well above what boards of one site need; not tuned.
MAX_CONNECTIONS = 128  # beyond: 503
MAX_UNFINISHED_PER_CLIENT = 32  # a quarter: no client takes all places
HEAD_TIMEOUT_S = 10.0  # a head is one packet: the slowest of links has sent it in seconds
# A request on its way is not a slow one: what arrives in bursts is younger than this.
PATIENCE_S = 1.0


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 connection with a deadline for heads and a limit per client."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unfinished_since: float | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._work: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the head's deadline; make room where there is none."""
        super().connection_made(transport)
        self._begin()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; keeps account of whether the request is complete."""
        if self.unfinished_since is None:
            self._begin()
        before = self.tasks.copy()
        super().data_received(data)
        self._work |= self.tasks - before
        if self.conn.their_state is not h11.IDLE:
            self._stop_deadline()  # the head is here
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self.unfinished_since = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._stop_deadline()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """A kept connection owes nothing until the next request's first byte."""
        super().on_response_complete()
        self.unfinished_since = None

    def _begin(self) -> None:
        self.unfinished_since = self.loop.time()
        self._stop_deadline()
        self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self._close)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        """End it at once; its place is free from now on.

        So is that of its request, which ends a little later: uvicorn counts both against the limit.
        """
        self.connections.discard(self)
        self.tasks.difference_update(self._work)
        self.unfinished_since = None
        if self.transport is not None:
            self.transport.abort()

    def _make_room(self) -> None:
        waiting = [
            other
            for other in self.connections
            if isinstance(other, GuardedProtocol)
            and other is not self
            and other.unfinished_since is not None
        ]
        late = self.loop.time() - PATIENCE_S
        own = [each for each in waiting if _host(each) == _host(self) and _since(each) < late]
        if len(own) >= MAX_UNFINISHED_PER_CLIENT:
            min(own, key=_since)._close()
        elif waiting and len(self.connections) >= MAX_CONNECTIONS:
            min(waiting, key=_since)._close()


def _host(connection: GuardedProtocol) -> str:
    return connection.client[0] if connection.client else ""


def _since(connection: GuardedProtocol) -> float:
    return connection.unfinished_since or 0.0
