"""A connection to a board that outlives its restarts: what it is, was told, and has counted.

Who talks to a board that has lost its memory gets wrong answers; here that is noticed, and all is
told again. Running the model is client.py's, requests and their repeats are channel.py's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from mcu_hybrid.device.channel import Channel
from mcu_hybrid.device.greeting import greet
from mcu_hybrid.device.inference import Tally
from mcu_hybrid.device.trouble import DeviceError
from mcu_hybrid.errors import LinkError, LinkTimeout, ProtocolError
from mcu_hybrid.link.base import Link
from mcu_hybrid.wire import payloads
from mcu_hybrid.wire.messages import Code, TensorKind, Type
from mcu_hybrid.wire.payloads import Hello, Route, Stats

_T = TypeVar("_T")
_RESTARTS = 3  # in one inference: more are no accident, but its supply or its firmware
_RERUNS = 20  # of one inference whose input or outputs were gone: the link is hopeless then


class Restarted(Exception):
    """The board does not know this session: its memory is gone."""


class AskAgain(Exception):
    """The board no longer has what was asked for; it did not restart."""


class Connection:
    """The board at the other end of a link.

    What the board was told (session, route) is compared with every answer: a board that restarted
    is told again, and asked again. ``restarts`` counts that. ``answered`` is what its answers said
    since ``reset_stats``, ``tally`` since its own counters were zero (a restart clears them).
    """

    def __init__(self, link: Link, *, budget_s: float = 6.0, patience_s: float = 0.25) -> None:
        """On an open link.

        Args:
            budget_s: how long a board may say nothing before it is given up.
            patience_s: when it is asked again, at first (see ``Channel``).
        """
        self.link = link
        self.restarts = 0
        self.tally = Tally()
        self.answered = Tally()
        self._channel = Channel(link, budget_s, patience_s)
        self._hello: Hello | None = None
        self._sizes: dict[TensorKind, tuple[int, ...]] = {}
        self._session = secrets.randbelow(2**32 - 1) + 1
        self._route: Route | None = None

    def connect(self, wait_s: float = 8.0) -> Hello:
        """Wait until the board says hello (it may be starting), and begin a session.

        Raises:
            DeviceFault: its firmware faults while it starts, again and again.
            LinkTimeout: it says nothing, or nothing of ours.
            LinkError: another program holds the port.
        """
        self._hello = None
        self._sizes = {}
        self._route = None
        self._hello = greet(self._channel, wait_s)
        self._begin_session()
        return self._hello

    def _begin_session(self) -> None:
        number = payloads.Session(self._session)
        self._channel.request(Type.SET_SESSION, number.pack())
        self.tally = Tally()

    def close(self) -> None:
        """Close the link."""
        self.link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- what the board is

    def hello(self) -> Hello:
        """What the firmware says about itself; asked once."""
        return self._hello or self.connect()

    def require_build(self, build_id: str) -> None:
        """Raise ProtocolError where the board runs another build."""
        found = self.hello().build_id
        if found != build_id:
            raise ProtocolError(
                f"the board at {self.link.url} runs build {found}, expected {build_id}",
                "flash it again: mcu-hybrid flash DIR --board NAME",
            )

    def input_bytes(self) -> tuple[int, ...]:
        """Bytes of each input."""
        return self._tensor_bytes(TensorKind.INPUT)

    def output_bytes(self) -> tuple[int, ...]:
        """Bytes of each output."""
        return self._tensor_bytes(TensorKind.OUTPUT)

    def _tensor_bytes(self, kind: TensorKind) -> tuple[int, ...]:
        if kind not in self._sizes:
            hello = self.hello()
            count = hello.inputs if kind == TensorKind.INPUT else hello.outputs
            self._sizes[kind] = tuple(self._one_size(kind, index) for index in range(count))
        return self._sizes[kind]

    def _one_size(self, kind: TensorKind, index: int) -> int:
        asked = payloads.TensorInfo(kind, index)
        answer = self._channel.request(Type.TENSOR_INFO, asked.pack())
        return payloads.TensorSize.parse(answer).size_bytes

    # -- restarts

    def _until_done(self, once: Callable[[], _T]) -> _T:
        """Do it again where the board restarted meanwhile, or has lost what was written."""
        restarts = reruns = 0
        while True:
            try:
                return self._tried(once)
            except Restarted:
                restarts += 1
                if restarts > _RESTARTS:
                    raise LinkError(
                        f"the board at {self.link.url} restarted {restarts} times in one inference",
                        "look at its power supply and reset line",
                    ) from None
                self._revive()
            except AskAgain:
                reruns += 1
                if reruns > _RERUNS:
                    raise LinkTimeout(
                        f"{self.link.url}: an inference was lost {reruns} times",
                        "the link loses bytes: try a shorter cable or a lower baud rate",
                    ) from None

    def _tried(self, once: Callable[[], _T]) -> _T:
        """Once; an error that lost bytes or a restart explain becomes AskAgain or Restarted."""
        try:
            return once()
        except DeviceError as error:
            if error.code not in (Code.NO_INPUT, Code.NO_OUTPUT, Code.BAD_OFFSET):
                raise
            if self.stats().session != self._session:
                raise Restarted from error
            if error.code in (Code.NO_INPUT, Code.NO_OUTPUT):
                raise AskAgain from error
            raise

    def _revive(self) -> None:
        """The board restarted: require the same firmware, and tell it all again."""
        before = self.hello()
        self.restarts += 1
        hello = greet(self._channel, wait_s=8.0)
        if (hello.build_id, hello.model_sha256) != (before.build_id, before.model_sha256):
            raise ProtocolError(
                f"the board at {self.link.url} restarted with build {hello.build_id} instead of "
                f"{before.build_id}",
                "another program has flashed it: flash it again",
            )
        self._hello = hello
        self._begin_session()
        self._channel.request(Type.STATS_RESET)  # of the answers that nobody took
        if self._route is not None:
            self._channel.request(Type.SET_ROUTE, self._route.pack())

    # -- what it was told, and what it counted

    def get_route(self) -> Route:
        """The active router and threshold."""
        return Route.parse(self._channel.request(Type.GET_ROUTE))

    def set_route(self, router: int, threshold: int) -> Route:
        """Choose router and threshold until the next reset; DeviceError without such a score."""
        wanted = Route(router, threshold)
        route = Route.parse(self._channel.request(Type.SET_ROUTE, wanted.pack()))
        self._route = wanted
        return route

    def stats(self) -> Stats:
        """Counters since reset or ``reset_stats``."""
        return Stats.parse(self._channel.request(Type.STATS))

    def reset_stats(self) -> None:
        """Set the counters to zero."""
        self._channel.request(Type.STATS_RESET)
        self.tally, self.answered = Tally(), Tally()

    def disagreement(self) -> str:
        """How the board's own counters differ from its answers; "" where they agree."""
        stats = self.stats()
        if stats.session != self._session:
            return "the board has restarted since its last answer, its counters are lost"
        own = (stats.inferences, stats.kept, stats.queried)
        answers = (self.tally.inferences, self.tally.kept, self.tally.queried)
        if own == answers:
            return ""
        return "the board counted {} inferences ({} kept, {} queried)".format(
            *own
        ) + ", its answers are {} ({}, {})".format(*answers)
