"""A board that runs our firmware: requests as methods. Only ``Device.open`` opens a port."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import numpy as np

from mcu_hybrid.device.connection import AskAgain, Connection, Restarted
from mcu_hybrid.device.inference import Inference, Profile, inference_of
from mcu_hybrid.device.transfer import read_tensor, write_tensor
from mcu_hybrid.device.trouble import DeviceError, TooLarge
from mcu_hybrid.errors import InputError, ProtocolError
from mcu_hybrid.link import open_link
from mcu_hybrid.link.base import Link
from mcu_hybrid.wire import payloads
from mcu_hybrid.wire.messages import NO_LAYER, Code, Type
from mcu_hybrid.wire.payloads import Hello, ProfileRow, Route, SelfTest

_UNDISTURBED = 3  # tries to time a run that no byte of ours interrupts
# The slowest that a layer may be before it counts as an endless loop: seconds of a board; of an
# emulated one less of its own time, which is many times slower to wait for.
_LIMIT_MS, _EMULATED_LIMIT_MS = 5_000, 300
_INSTRUCTIONS_PER_MAC = 100  # several times what the reference kernels take


class Device(Connection):
    """A board that runs the model: inferences, profiles, and tests of what lies on it.

    ``is_watched``: a layer that takes far too long is reported by the board itself.
    """

    def __init__(self, link: Link, *, budget_s: float = 6.0, patience_s: float = 0.25) -> None:
        """As a Connection's."""
        super().__init__(link, budget_s=budget_s, patience_s=patience_s)
        self.is_watched = True
        self._run = 0
        self._layer_macs = 0
        self._disturbed = False

    @classmethod
    def open(
        cls, url: str, *, build_id: str | None = None, wait_s: float = 8.0, **limits: float
    ) -> Self:
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
            with self._overrun_named(data):
                return self._inference(self._ask_to_run())

        found = self._until_done(once)
        for _ in range(_UNDISTURBED):
            if not (self._disturbed and self.hello().tick_instructions):
                break
            # Bytes of ours arrived while the run was timed, and were timed with it.
            found = self._until_done(once)
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
                raise AskAgain
            ordered = tuple(rows[layer] for layer in sorted(rows))
            ticks = sum(row.ticks for row in ordered)
            return Profile(ordered, ticks, sum(row.instructions for row in ordered))

        return self._until_done(once)

    @contextmanager
    def _overrun_named(self, data: Sequence[bytes]) -> Iterator[None]:
        """Memory that was overrun in no layer known gets its layer, by the same once more."""
        try:
            yield
        except DeviceError as error:
            if error.code == Code.ARENA_OVERRUN and error.detail == NO_LAYER:
                self._name_overrun(data)
            raise

    def _name_overrun(self, data: Sequence[bytes]) -> None:
        """The same once more, layer by layer: raises DeviceError with the layer."""
        self._write_all(data)
        limit = payloads.LayerLimit(self._layer_limit_ms())
        self._channel.request(Type.PROFILE, limit.pack())

    def _ask_to_run(self) -> payloads.InferResult:
        """Run what was written; the answer is this session's, by the route that was set."""
        result = payloads.InferResult.parse(self._run_answer())
        self._disturbed = self._channel.disturbed
        if result.session != self._session:
            raise Restarted
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

    # -- what lies on it

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
