"""A board that runs our firmware: requests as methods. Only ``Device.open`` opens a port."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from mcu_hybrid.errors import InputError, LinkTimeout, ProtocolError
from mcu_hybrid.harness.channel import Channel, DeviceError, DeviceFault
from mcu_hybrid.harness.transfer import read_tensor, write_tensor
from mcu_hybrid.link import open_link
from mcu_hybrid.link.base import Link
from mcu_hybrid.wire import payloads
from mcu_hybrid.wire.messages import (
    NO_OUTPUT,
    NO_SCORE,
    Decision,
    Router,
    TensorKind,
    Type,
)
from mcu_hybrid.wire.payloads import Hello, ProfileRow, Route, SelfTest, Stats
from mcu_hybrid.wire.reader import Reader

__all__ = ["Device", "DeviceError", "DeviceFault", "Inference", "Profile"]


@dataclass(frozen=True)
class Inference:
    """One inference on the board.

    ``score`` is what the board compared with ``threshold``, None where no router is set;
    ``scores`` has those of every router that the model has.
    """

    outputs: tuple[bytes, ...]
    ticks: int
    instructions: int
    decision: Decision
    router: Router
    threshold: int
    score: int | None
    scores: Mapping[Router, int]

    @property
    def escalate(self) -> bool:
        """True where the device decided to ask the cloud."""
        return self.decision == Decision.QUERY

    def int8(self, index: int) -> np.ndarray:
        """An output as int8, flat."""
        return np.frombuffer(self.outputs[index], np.int8)


@dataclass(frozen=True)
class Profile:
    """One inference layer by layer; ``ticks`` and ``instructions`` are the sums over the layers."""

    rows: tuple[ProfileRow, ...]
    ticks: int
    instructions: int


class Device:
    """The board at the other end of a link.

    Args:
        link: An open link.
        timeout_s: For requests that only move bytes.
        run_timeout_s: For requests that run the model.
        attempts: How often a request is sent where frames are lost or damaged.
    """

    def __init__(
        self,
        link: Link,
        *,
        timeout_s: float = 3.0,
        run_timeout_s: float = 120.0,
        attempts: int = 3,
    ) -> None:
        self.link = link
        self._channel = Channel(link, timeout_s, attempts)
        self._run_timeout_s = run_timeout_s
        self._hello: Hello | None = None
        self._sizes: dict[TensorKind, tuple[int, ...]] = {}

    @classmethod
    def open(
        cls, url: str, *, build_id: str | None = None, wait_s: float = 8.0, **limits: float
    ) -> Device:
        """Open the link and wait up to ``wait_s`` for a board; check its build id where given."""
        device = cls(open_link(url), **limits)  # type: ignore[arg-type]
        try:
            device.connect(wait_s)
            if build_id is not None:
                device.require_build(build_id)
        except BaseException:
            device.close()
            raise
        return device

    def connect(self, wait_s: float = 8.0) -> Hello:
        """Ask for HELLO until the board answers (it may be starting); raises LinkTimeout."""
        end = time.monotonic() + wait_s
        pause_s = 0.1
        self._hello = None
        self._sizes = {}
        while True:
            try:
                self._channel.resync()
                self._hello = Hello.parse(self._channel.once(Type.HELLO, timeout_s=pause_s))
                return self._hello
            except LinkTimeout:
                pause_s = min(2 * pause_s, 1.0)
                if time.monotonic() >= end:
                    raise LinkTimeout(
                        f"no firmware of ours answers at {self.link.url}",
                        "flash the board: mcu-hybrid flash DIR --board NAME",
                    ) from None

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

    def name_layers(self, names: Sequence[str]) -> None:
        """Layer names for the text of faults."""
        self._channel.layer_names = tuple(names)

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
        answer = self._channel.request(Type.TENSOR_INFO, payloads.tensor_info(kind, index))
        reader = Reader(answer, "TENSOR_INFO answer")
        size = reader.one("I")
        reader.end()
        return size

    # -- inference

    def infer(
        self, inputs: Sequence[np.ndarray], before_run: Callable[[], None] | None = None
    ) -> Inference:
        """Write the inputs (int8, in order), call ``before_run``, run, and read all outputs."""
        data = self._checked(inputs)
        for attempt in range(self._channel.attempts):
            try:
                self._write_all(data)
                if before_run is not None:
                    before_run()
                answer = self._channel.once(Type.INFER, timeout_s=self._run_timeout_s)
                return self._inference(payloads.InferResult.parse(answer))
            except LinkTimeout:
                # Whether the board ran it or not, its input is gone: from the start.
                if attempt + 1 == self._channel.attempts:
                    raise
                self._channel.resync()
        raise AssertionError("unreachable")

    def profile(self, inputs: Sequence[np.ndarray]) -> Profile:
        """Write the inputs and run once with a clock and a checksum per layer."""
        data = self._checked(inputs)
        for attempt in range(self._channel.attempts):
            try:
                self._write_all(data)
                return self._profile()
            except LinkTimeout:
                if attempt + 1 == self._channel.attempts:
                    raise
                self._channel.resync()
        raise AssertionError("unreachable")

    def _profile(self) -> Profile:
        seq = self._channel.send(Type.PROFILE)
        rows: list[ProfileRow] = []
        while True:
            frame = self._channel.wait(seq, self._run_timeout_s)
            if frame.type != Type.PROFILE_ROW:
                break
            rows.append(ProfileRow.parse(frame.payload))
        end = payloads.ProfileEnd.parse(frame.payload)
        if len(rows) != end.layers:
            raise LinkTimeout(f"{end.layers - len(rows)} of {end.layers} profile rows were lost")
        return Profile(tuple(rows), end.ticks, end.instructions)

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
        return Inference(
            tuple(outputs),
            result.ticks,
            result.instructions,
            result.decision,
            result.router,
            result.threshold,
            None if result.score == NO_SCORE else result.score,
            _scores(outputs, self.hello()),
        )

    # -- the rest

    def get_route(self) -> Route:
        """The active router and threshold."""
        return Route.parse(self._channel.request(Type.GET_ROUTE))

    def set_route(self, router: Router, threshold: int) -> Route:
        """Choose router and threshold until the next reset; DeviceError without such a score."""
        return Route.parse(self._channel.request(Type.SET_ROUTE, Route(router, threshold).pack()))

    def stats(self) -> Stats:
        """Counters since reset or ``reset_stats``."""
        return Stats.parse(self._channel.request(Type.STATS))

    def reset_stats(self) -> None:
        """Set the counters to zero."""
        self._channel.request(Type.STATS_RESET)

    def self_test(self) -> SelfTest:
        """Run the known-answer vectors that were built into the firmware."""
        return SelfTest.parse(self._channel.request(Type.SELF_TEST, timeout_s=self._run_timeout_s))

    def reset(self, wait_s: float = 8.0) -> Hello:
        """Restart the firmware and wait until it answers again."""
        self._channel.request(Type.RESET)
        return self.connect(wait_s)


def _scores(outputs: Sequence[bytes], hello: Hello) -> dict[Router, int]:
    """The score of each router that the model has, from its outputs."""
    scores: dict[Router, int] = {}
    if hello.route != NO_OUTPUT:
        scores[Router.LEARNED] = int(np.frombuffer(outputs[hello.route], np.int8)[0])
    if hello.scores != NO_OUTPUT:
        simple = (router for router in Router if router >= Router.ENTROPY)
        values = np.frombuffer(outputs[hello.scores], "<i4")
        scores |= {router: int(v) for router, v in zip(simple, values, strict=True)}
    return scores


def _bytes(sizes: tuple[int, ...]) -> str:
    return " + ".join(f"{size:,}" for size in sizes) + " bytes"
