"""Payload layouts: fields <-> bytes, little-endian. No frames, no I/O.

Answers are frozen dataclasses with ``parse(payload)``, which raises ProtocolError where the bytes
do not have the layout. Requests are plain functions that return the payload.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from mcu_hybrid.errors import ProtocolError
from mcu_hybrid.wire.messages import (
    NO_LAYER,
    PROTOCOL_VERSION,
    Decision,
    Engine,
    Fault,
    Router,
    TensorKind,
)
from mcu_hybrid.wire.reader import FLASH_AGAIN, Reader


def tensor_info(kind: TensorKind, index: int) -> bytes:
    """Request payload of TENSOR_INFO."""
    return struct.pack("<BB", kind, index)


def write_input(index: int, offset: int, data: bytes) -> bytes:
    """Request payload of WRITE_INPUT."""
    return struct.pack("<BI", index, offset) + data


WRITE_INPUT_HEAD = 5  # bytes of write_input ahead of the data


def infer(run: int, layer_limit_ms: int, head_bytes: int) -> bytes:
    """Request payload of INFER.

    Args:
        run: number of the inference; asked for again, it is answered again. 0: no number.
        layer_limit_ms: a layer that takes longer is reported as a fault; 0: nothing is watched.
        head_bytes: of the outputs, at most so many in the answer.
    """
    return struct.pack("<IIH", run, layer_limit_ms, head_bytes)


def layer_limit(limit_ms: int) -> bytes:
    """Request payload of PROFILE and SELF_TEST."""
    return struct.pack("<I", limit_ms)


def session(number: int) -> bytes:
    """Request payload of SET_SESSION."""
    return struct.pack("<I", number)


def image_part(address: int, size: int) -> bytes:
    """Request payload of IMAGE_CRC."""
    return struct.pack("<II", address, size)


def number(payload: bytes, what: str) -> int:
    """An answer that is one u32 (TENSOR_INFO, SET_SESSION, IMAGE_CRC)."""
    reader = Reader(payload, f"{what} answer")
    value = reader.one("I")
    reader.end()
    return value


def ack_layer(payload: bytes) -> int | None:
    """The layer that an ACK names; None before the first."""
    reader = Reader(payload, "ACK")
    layer = reader.one("H")
    reader.end()
    return None if layer == NO_LAYER else layer


def read_output(index: int, offset: int, count: int) -> bytes:
    """Request payload of READ_OUTPUT."""
    return struct.pack("<BIH", index, offset, count)


@dataclass(frozen=True)
class Hello:
    """What the firmware says about itself.

    ``init_status`` is the engine's status (0 = ready); ``session`` is what a host set since the
    firmware started (0 = none did).
    """

    protocol: int
    max_payload: int
    build_id: str
    model_sha256: str
    board: str
    chip: str
    core: str
    clock_hz: int
    tick_hz: int
    tick_instructions: int
    arena_bytes: int
    static_ram_bytes: int
    inputs: int
    outputs: int
    layers: int
    logits: int
    route: int
    scores: int
    engine: Engine
    init_status: int
    rx_window: int
    session: int

    _NUMBERS: ClassVar = (
        *("clock_hz", "tick_hz", "tick_instructions", "arena_bytes", "static_ram_bytes"),
        *("inputs", "outputs", "layers", "logits", "route", "scores"),
    )

    @classmethod
    def parse(cls, payload: bytes) -> Hello:
        """Read the payload; raises ProtocolError where another protocol version answers."""
        reader = Reader(payload, "HELLO")
        protocol = reader.one("B")
        if protocol != PROTOCOL_VERSION:
            raise ProtocolError(
                f"the board speaks protocol version {protocol}, this host {PROTOCOL_VERSION}",
                FLASH_AGAIN,
            )
        max_payload = reader.one("H")
        build_id, model_sha256 = reader.raw(16).hex(), reader.raw(32).hex()
        board, chip, core = reader.text(), reader.text(), reader.text()
        numbers = dict(zip(cls._NUMBERS, reader.take("IIHIIBBHBBB"), strict=True))
        engine = reader.enum(Engine)
        init_status, rx_window, session = reader.take("BHI")
        reader.end()
        return cls(
            protocol=protocol,
            max_payload=max_payload,
            build_id=build_id,
            model_sha256=model_sha256,
            board=board,
            chip=chip,
            core=core,
            engine=engine,
            init_status=init_status,
            rx_window=rx_window,
            session=session,
            **numbers,
        )


@dataclass(frozen=True)
class InferResult:
    """Answer to INFER; ``head`` holds the first bytes of all outputs, in order.

    ``score`` is the active router's; those of the others are among the outputs. ``session`` is 0
    where the board has restarted since the host set it.
    """

    session: int
    ticks: int
    instructions: int
    decision: Decision
    router: Router
    threshold: int
    score: int
    output_bytes: int
    head: bytes

    @classmethod
    def parse(cls, payload: bytes) -> InferResult:
        """Read the payload."""
        reader = Reader(payload, "INFER answer")
        session, ticks, instructions = reader.take("IQQ")
        decision, router = reader.enum(Decision), reader.enum(Router)
        threshold, score, total = reader.take("iiI")
        head = reader.rest()
        return cls(session, ticks, instructions, decision, router, threshold, score, total, head)


@dataclass(frozen=True)
class ProfileRow:
    """One layer: ``crc32`` is over the bytes of its first output."""

    layer: int
    ticks: int
    instructions: int
    out_bytes: int
    crc32: int

    @classmethod
    def parse(cls, payload: bytes) -> ProfileRow:
        """Read the payload of PROFILE_ROW."""
        reader = Reader(payload, "PROFILE row")
        row = cls(*reader.take("HQQII"))
        reader.end()
        return row


@dataclass(frozen=True)
class ProfileEnd:
    """Answer to PROFILE: how many rows went ahead, and their sums."""

    layers: int
    ticks: int
    instructions: int

    @classmethod
    def parse(cls, payload: bytes) -> ProfileEnd:
        """Read the payload."""
        reader = Reader(payload, "PROFILE answer")
        end = cls(*reader.take("HQQ"))
        reader.end()
        return end


@dataclass(frozen=True)
class Route:
    """The active router and its threshold: an input is queried where its score > threshold."""

    router: Router
    threshold: int

    def pack(self) -> bytes:
        """Request payload of SET_ROUTE."""
        return struct.pack("<Bi", self.router, self.threshold)

    @classmethod
    def parse(cls, payload: bytes) -> Route:
        """Read the answer to GET_ROUTE or SET_ROUTE."""
        reader = Reader(payload, "route")
        route = cls(reader.enum(Router), reader.one("i"))
        reader.end()
        return route


@dataclass(frozen=True)
class Stats:
    """Counters since reset or STATS_RESET; ``stack_used_bytes`` is since reset.

    ``repeats`` are inferences that ran again because their answer was lost; no other counter has
    them.
    """

    inferences: int
    kept: int
    queried: int
    frame_errors: int
    stack_used_bytes: int
    repeats: int
    session: int

    @classmethod
    def parse(cls, payload: bytes) -> Stats:
        """Read the payload."""
        reader = Reader(payload, "STATS answer")
        stats = cls(*reader.take("IIIIIII"))
        reader.end()
        return stats


@dataclass(frozen=True)
class SelfTest:
    """Known-answer vectors that passed; ``first_failing`` is None where all did."""

    passed: int
    total: int
    first_failing: int | None

    @classmethod
    def parse(cls, payload: bytes) -> SelfTest:
        """Read the payload."""
        reader = Reader(payload, "SELF_TEST answer")
        passed, total, first = reader.take("HHh")
        reader.end()
        return cls(passed, total, None if first < 0 else first)


@dataclass(frozen=True)
class ErrorFrame:
    """Why a request was refused; ``code`` is a Code, or an unknown number."""

    code: int
    detail: int

    @classmethod
    def parse(cls, payload: bytes) -> ErrorFrame:
        """Read the payload."""
        reader = Reader(payload, "error frame")
        error = cls(*reader.take("BI"))
        reader.end()
        return error


@dataclass(frozen=True)
class FaultFrame:
    """A processor fault: what kind, in which layer (None: outside the model), where."""

    code: int
    layer: int | None
    pc: int
    address: int

    @classmethod
    def parse(cls, payload: bytes) -> FaultFrame:
        """Read the payload."""
        reader = Reader(payload, "fault frame")
        code, layer, pc, address = reader.take("BHII")
        reader.end()
        return cls(code, None if layer == NO_LAYER else layer, pc, address)

    @property
    def kind(self) -> str:
        """The fault in words."""
        known = {Fault.HARD: "hard fault", Fault.MEMORY: "memory fault", Fault.BUS: "bus fault"}
        known |= {Fault.USAGE: "usage fault", Fault.WATCHDOG: "watchdog: endless loop"}
        return known[Fault(self.code)] if self.code in set(Fault) else f"fault {self.code}"
