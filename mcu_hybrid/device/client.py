"""A board that runs our firmware: requests as methods. Only ``Device.open`` opens a port."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeVar

import numpy as np

from mcu_hybrid.device.channel import Channel, DeviceError, DeviceFault, TooLarge
from mcu_hybrid.device.greeting import greet
from mcu_hybrid.device.inference import Inference, Profile, Tally, inference_of
from mcu_hybrid.device.transfer import read_tensor, write_tensor
from mcu_hybrid.errors import InputError, LinkError, LinkTimeout, ProtocolError
from mcu_hybrid.link import open_link
from mcu_hybrid.link.base import Link
from mcu_hybrid.wire import payloads
from mcu_hybrid.wire.messages import NO_LAYER, Code, TensorKind, Type
from mcu_hybrid.wire.payloads import Hello, ProfileRow, Route, SelfTest, Stats

__all__ = ["Device", "DeviceError", "DeviceFault", "Inference", "Profile", "Tally"]

_T = TypeVar("_T")
_RESTARTS = 3  # in one inference
_RERUNS = 20  # of one inference whose input or outputs were gone
_UNDISTURBED = 3  # tries to time a run that no byte of ours interrupts
# The slowest that a layer may be before it counts as an endless loop.
_LIMIT_MS, _EMULATED_LIMIT_MS = 5_000, 300
_INSTRUCTIONS_PER_MAC = 100


class _Restarted(Exception):
    """The board does not know this session: its memory is gone."""


class _AskAgain(Exception):
    """The board no longer has what was asked for; it did not restart."""


class Device:
    """The board at the other end of a link.

    What the board was told (session, route) is compared with every answer: a board that restarted
    is told again, and asked again. ``restarts`` counts that. ``answered`` is what its answers said
    since ``reset_stats``, ``tally`` since its own counters were zero (a restart clears them).

    Args:
        link: An open link.
        budget_s: How long a board may say nothing before it is given up.
        patience_s: When it is asked again, at first (see ``Channel``).
    """

    def __init__(self, link: Link, *, budget_s: float = 6.0, patience_s: float = 0.25) -> None:
        self.link = link
        self.restarts = 0
        self.is_watched = True
        self._channel = Channel(link, budget_s, patience_s)
        self._hello: Hello | None = None
        self._sizes: dict[TensorKind, tuple[int, ...]] = {}
        self._session = secrets.randbelow(2**32 - 1) + 1
        self._route: Route | None = None
        self._run = 0
        self._layer_macs = 0
        self._disturbed = False
        self.tally = Tally()
        self.answered = Tally()

    @classmethod
    def open(
        cls, url: str, *, build_id: str | None = None, wait_s: float = 8.0, **limits: float
    ) -> Device:
        """Open the link and wait up to ``wait_s`` for a board; check its build id where given."""
        device = cls(open_link(url), **limits)
        try:
            device.connect(wait_s)
            if build_id is not None:
                device.require_build(build_id)
        except BaseException:
            device.close()
            raise
        return device

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

    def __enter__(self) -> Device:
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

    def name_layers(self, names: Sequence[str], macs: Sequence[int] = ()) -> None:
        """Layer names for the text of faults, and their work: it says when one takes too long."""
        self._channel.layer_names = tuple(names)
        self._layer_macs = max(macs, default=0)

    def _layer_limit_ms(self) -> int:
        """Milliseconds of the board's own time; 0 where nothing shall interrupt a run."""
        if not self.is_watched:
            return 0
        hello = self.hello()
        per_s = hello.tick_hz * hello.tick_instructions or hello.clock_hz
        least = _EMULATED_LIMIT_MS if hello.tick_instructions else _LIMIT_MS
        return max(least, 1000 * _INSTRUCTIONS_PER_MAC * self._layer_macs // per_s)

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

    # -- inference

    def infer(
        self, inputs: Sequence[np.ndarray], before_run: Callable[[], None] | None = None
    ) -> Inference:
        """Write the inputs (int8, in order), call ``before_run``, run, and read all outputs.

        Raises:
            DeviceError: ARENA_OVERRUN among others, which names the layer.
            DeviceFault: the processor faulted, or a layer did not end.
            LinkTimeout: the board is hung.
            LinkError: it restarts again and again.
        """
        data = self._checked(inputs)
        self._run = self._run % (2**32 - 1) + 1

        def once() -> Inference:
            self._write_all(data)
            if before_run is not None:
                before_run()
            return self._inference(self._ask_to_run())

        found = self._until_done(once, data)
        for _ in range(_UNDISTURBED):
            if not (self._disturbed and self.hello().tick_instructions):
                break
            # Bytes of ours arrived while the run was timed, and were timed with it.
            found = self._until_done(once, data)
        self.tally.add(found.decision)
        self.answered.add(found.decision)
        return found

    def profile(self, inputs: Sequence[np.ndarray]) -> Profile:
        """Write the inputs and run with a clock and a checksum per layer.

        Where a layer's row is lost the model runs again for it, so a row's times are always those
        of one run.
        """
        data = self._checked(inputs)
        rows: dict[int, ProfileRow] = {}

        def take(payload: bytes) -> None:
            row = ProfileRow.parse(payload)
            rows[row.layer] = row

        def once() -> Profile:
            self._write_all(data)
            limit = payloads.LayerLimit(self._layer_limit_ms()).pack()
            answer = self._channel.finish(self._channel.begin(Type.PROFILE, limit), take)
            end = payloads.ProfileEnd.parse(answer)
            if len(rows) != end.layers:
                raise _AskAgain
            ordered = tuple(rows[layer] for layer in sorted(rows))
            ticks = sum(row.ticks for row in ordered)
            return Profile(ordered, ticks, sum(row.instructions for row in ordered))

        return self._until_done(once, None)

    def _until_done(self, once: Callable[[], _T], data: Sequence[bytes] | None) -> _T:
        """Do it again where the board restarted meanwhile, or has lost what was written."""
        restarts = reruns = 0
        while True:
            try:
                return self._tried(once, data)
            except _Restarted:
                restarts += 1
                if restarts > _RESTARTS:
                    raise LinkError(
                        f"the board at {self.link.url} restarted {restarts} times in one inference",
                        "look at its power supply and reset line",
                    ) from None
                self._revive()
            except _AskAgain:
                reruns += 1
                if reruns > _RERUNS:
                    raise LinkTimeout(
                        f"{self.link.url}: an inference was lost {reruns} times",
                        "the link loses bytes: try a shorter cable or a lower baud rate",
                    ) from None

    def _tried(self, once: Callable[[], _T], data: Sequence[bytes] | None) -> _T:
        """Once; an error that lost bytes or a restart explain becomes _AskAgain or _Restarted."""
        try:
            return once()
        except DeviceError as error:
            if error.code == Code.ARENA_OVERRUN and error.detail == NO_LAYER and data is not None:
                self._name_overrun(data)
            if error.code not in (Code.NO_INPUT, Code.NO_OUTPUT, Code.BAD_OFFSET):
                raise
            if self.stats().session != self._session:
                raise _Restarted from error
            if error.code in (Code.NO_INPUT, Code.NO_OUTPUT):
                raise _AskAgain from error
            raise

    def _name_overrun(self, data: Sequence[bytes]) -> None:
        """The same once more, layer by layer: raises DeviceError with the layer."""
        self._write_all(data)
        limit = payloads.LayerLimit(self._layer_limit_ms())
        self._channel.request(Type.PROFILE, limit.pack())

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

    def _ask_to_run(self) -> payloads.InferResult:
        """Run what was written; the answer is this session's, by the route that was set."""
        result = payloads.InferResult.parse(self._run_answer())
        self._disturbed = self._channel.disturbed
        if result.session != self._session:
            raise _Restarted
        route = Route(result.router, result.threshold)
        if self._route not in (None, route):
            raise ProtocolError(
                f"the board at {self.link.url} decided by {route}, and was told {self._route}",
                "does another program use the same board? flash it again otherwise",
            )
        return result

    def _run_answer(self) -> bytes:
        """With as much of the outputs as fits; less where long frames do not get through."""
        while True:
            room = self._channel.piece_bytes
            asked = payloads.Infer(self._run, self._layer_limit_ms(), room)
            try:
                return self._channel.request(Type.INFER, asked.pack(), can_shrink=True)
            except TooLarge:
                continue

    def _checked(self, inputs: Sequence[np.ndarray]) -> list[bytes]:
        sizes = self.input_bytes()
        data = [np.ascontiguousarray(array).tobytes() for array in inputs]
        given = tuple(len(item) for item in data)
        if given != sizes:
            raise InputError(
                f"the model on the board takes inputs of {_bytes(sizes)}, given {_bytes(given)}",
                "give int8 tensors of the model's input shapes, in its order",
            )
        return data

    def _write_all(self, data: Sequence[bytes]) -> None:
        for index, item in enumerate(data):
            write_tensor(self._channel, index, item, self.hello().rx_window)

    def _inference(self, result: payloads.InferResult) -> Inference:
        outputs: list[bytes] = []
        head = result.head
        for index, size in enumerate(self.output_bytes()):
            part = head[:size]
            head = head[size:]
            outputs.append(part + read_tensor(self._channel, index, len(part), size))
        return inference_of(result, outputs, self.hello())

    # -- the rest

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

    def self_test(self) -> SelfTest:
        """Run the known-answer vectors that were built into the firmware."""
        limit = payloads.LayerLimit(self._layer_limit_ms())
        try:
            return SelfTest.parse(self._channel.request(Type.SELF_TEST, limit.pack()))
        except DeviceError as error:
            if error.code == Code.ARENA_OVERRUN:
                self._name_overrun([bytes(size) for size in self.input_bytes()])
            raise

    def image_crc(self, address: int, size: int) -> int:
        """crc32 of a part of the image as it lies on the board; DeviceError where it is no part."""
        part = payloads.ImagePart(address, size)
        answer = self._channel.request(Type.IMAGE_CRC, part.pack())
        return payloads.ImageCrc.parse(answer).crc32

    def reset(self, wait_s: float = 8.0) -> Hello:
        """Restart the firmware and wait until it answers again."""
        self._channel.request(Type.RESET)
        return self.connect(wait_s)


def _bytes(sizes: tuple[int, ...]) -> str:
    return " + ".join(f"{size:,}" for size in sizes) + " bytes"
