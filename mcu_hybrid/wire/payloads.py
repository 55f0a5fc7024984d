"""The messages of the protocol: the one table of their payloads, for Python, C and the page.

Each is a dataclass whose fields are annotated as they lie on the wire (``fields.py``); beside a
kind may stand what docs/protocol.md says of the field, its name otherwise. Which request has which
answer is in ``layouts.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from mcu_hybrid import mechanisms
from mcu_hybrid.errors import ProtocolError
from mcu_hybrid.wire.fields import (
    FLASH_AGAIN,
    I32,
    REST,
    STR,
    U8,
    U16,
    U32,
    U64,
    Digest,
    Number,
    Payload,
)
from mcu_hybrid.wire.messages import (
    NO_LAYER,
    PROTOCOL_VERSION,
    Decision,
    Engine,
    Fault,
    TensorKind,
)

_BYTE = Number("u8", "B")  # of an enumeration's members
_LAYER = Number("u16", "H", none=NO_LAYER)
_ROUTER = Annotated[int, Number("u8", "B", known=mechanisms.names_by_id)]


@dataclass(frozen=True)
class Hello(Payload):
    """What the firmware says about itself.

    ``init_status`` is the engine's status (0 = ready); ``session`` is what a host set since the
    firmware started (0 = none did).
    """

    WHAT: ClassVar = "HELLO"
    protocol: U8
    max_payload: U16
    build_id: Annotated[str, Digest(16)]
    model_sha256: Annotated[str, Digest(32)]
    board: STR
    chip: STR
    core: STR
    clock_hz: Annotated[U32, "clock Hz"]
    tick_hz: Annotated[U32, "tick Hz"]
    tick_instructions: Annotated[U16, "instructions per tick (0: ticks do not count instructions)"]
    arena_bytes: Annotated[U32, "arena bytes"]
    static_ram_bytes: Annotated[U32, "static RAM bytes"]
    inputs: U8
    outputs: U8
    layers: U16
    logits: Annotated[U8, "index of the logits output (255: none)"]
    route: Annotated[U8, "of the route score (255: none)"]
    scores: Annotated[U8, "of the simple scores (255: none)"]
    engine: Annotated[Engine, _BYTE]
    init_status: Annotated[U8, "engine status (0: ready)"]
    rx_window: Annotated[U16, "receive window"]
    session: Annotated[U32, "session (0: none was set since the start)"]

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the payload; raises ProtocolError where another protocol version answers."""
        if payload and payload[0] != PROTOCOL_VERSION:
            raise ProtocolError(
                f"the board speaks protocol version {payload[0]}, this host {PROTOCOL_VERSION}",
                FLASH_AGAIN,
            )
        return super().parse(payload)


@dataclass(frozen=True)
class TensorInfo(Payload):
    """Asks for a tensor's size."""

    kind: Annotated[TensorKind, _BYTE]
    index: U8


@dataclass(frozen=True)
class TensorSize(Payload):
    """How many bytes a tensor has."""

    WHAT: ClassVar = "TENSOR_INFO answer"
    size_bytes: Annotated[U32, "bytes"]


@dataclass(frozen=True)
class WriteInput(Payload):
    """A piece of an input."""

    index: U8
    offset: U32
    data: Annotated[REST, "data (at least 1 B)"]


@dataclass(frozen=True)
class Written(Payload):
    """How far an input is written."""

    WHAT: ClassVar = "WRITE_INPUT answer"
    reached: Annotated[U32, "bytes written without a gap"]


@dataclass(frozen=True)
class Infer(Payload):
    """Runs the model.

    ``run`` is the number of the inference; asked for again, it is answered again (0: no number). A
    layer that takes longer than ``layer_limit_ms`` is reported as a fault (0: nothing is watched).
    ``head_bytes``: of the outputs, at most so many in the answer.
    """

    run: U32
    layer_limit_ms: U32
    head_bytes: Annotated[U16, "most output bytes"]


@dataclass(frozen=True)
class InferResult(Payload):
    """Answer to INFER; ``head`` holds the first bytes of all outputs, in order.

    ``score`` is the active router's; those of the others are among the outputs. ``session`` is 0
    where the board has restarted since the host set it. ``router`` is a mechanism's number or 0.
    """

    WHAT: ClassVar = "INFER answer"
    session: U32
    ticks: U64
    instructions: U64
    decision: Annotated[Decision, _BYTE]
    router: _ROUTER
    threshold: I32
    score: Annotated[I32, "the router's score (-2^31: no router)"]
    output_bytes: Annotated[U32, "bytes of all outputs"]
    head: Annotated[REST, "the outputs in order as far as they fit"]


@dataclass(frozen=True)
class ReadOutput(Payload):
    """Asks for a piece of an output."""

    index: U8
    offset: U32
    count: U16


@dataclass(frozen=True)
class Output(Payload):
    """The piece."""

    WHAT: ClassVar = "READ_OUTPUT answer"
    data: REST


@dataclass(frozen=True)
class LayerLimit(Payload):
    """Runs the model in another way than INFER, watched as there."""

    layer_limit_ms: U32


@dataclass(frozen=True)
class ProfileRow(Payload):
    """One layer: ``crc32`` is over the bytes of its first output."""

    WHAT: ClassVar = "PROFILE row"
    layer: U16
    ticks: U64
    instructions: U64
    out_bytes: Annotated[U32, "bytes of its first output"]
    crc32: Annotated[U32, "their crc32"]


@dataclass(frozen=True)
class ProfileEnd(Payload):
    """Answer to PROFILE: how many rows went ahead, and their sums."""

    WHAT: ClassVar = "PROFILE answer"
    layers: Annotated[U16, "layers (ahead of it one PROFILE_ROW each)"]
    ticks: Annotated[U64, "sum of the ticks"]
    instructions: Annotated[U64, "sum of the instructions"]


@dataclass(frozen=True)
class Route(Payload):
    """The active router and its threshold: an input is queried where its score > threshold."""

    WHAT: ClassVar = "route"
    router: _ROUTER
    threshold: I32

    def __str__(self) -> str:
        return f"{mechanisms.router_name(self.router)} at {self.threshold}"


@dataclass(frozen=True)
class Stats(Payload):
    """Counters since reset or STATS_RESET; ``stack_used_bytes`` is since reset.

    ``repeats`` are inferences that ran again because their answer was lost; no other counter has
    them.
    """

    WHAT: ClassVar = "STATS answer"
    inferences: U32
    kept: U32
    queried: U32
    frame_errors: Annotated[U32, "bad frames"]
    stack_used_bytes: Annotated[U32, "stack high-water mark in bytes"]
    repeats: Annotated[U32, "repeated inferences"]
    session: U32


@dataclass(frozen=True)
class SelfTest(Payload):
    """Known-answer vectors that passed; ``first_failing`` is None where all did."""

    WHAT: ClassVar = "SELF_TEST answer"
    passed: U16
    total: Annotated[U16, "vectors"]
    first_failing: Annotated[int | None, Number("i16", "h", none=-1), "first that fails (-1: none)"]


@dataclass(frozen=True)
class Session(Payload):
    """A number of the host's; gone after a restart."""

    WHAT: ClassVar = "SET_SESSION answer"
    session: U32


@dataclass(frozen=True)
class ImagePart(Payload):
    """Asks for the checksum of a part of code and constants."""

    address: U32
    size_bytes: Annotated[U32, "bytes"]


@dataclass(frozen=True)
class ImageCrc(Payload):
    """The checksum."""

    WHAT: ClassVar = "IMAGE_CRC answer"
    crc32: U32


@dataclass(frozen=True)
class Ack(Payload):
    """A request is being worked on, in this layer (None: before the first)."""

    WHAT: ClassVar = "ACK"
    layer: Annotated[int | None, _LAYER, "layer (0xFFFF: before the first; seq: of the request)"]


@dataclass(frozen=True)
class FaultFrame(Payload):
    """A processor fault: what kind, in which layer (None: outside the model), where."""

    WHAT: ClassVar = "fault frame"
    code: Annotated[
        U8, f"code ({', '.join(f'{f:d} {f.name.lower()}' for f in Fault)}: address is the ms)"
    ]
    layer: Annotated[int | None, _LAYER, "layer (0xFFFF: none)"]
    pc: U32
    address: Annotated[U32, "address (then the board restarts)"]

    @property
    def kind(self) -> str:
        """The fault in words."""
        known = {Fault.HARD: "hard fault", Fault.MEMORY: "memory fault", Fault.BUS: "bus fault"}
        known |= {Fault.USAGE: "usage fault", Fault.WATCHDOG: "watchdog: endless loop"}
        return known[Fault(self.code)] if self.code in set(Fault) else f"fault {self.code}"


@dataclass(frozen=True)
class ErrorFrame(Payload):
    """Why a request was refused; ``code`` is a Code, or an unknown number."""

    WHAT: ClassVar = "error frame"
    code: U8
    detail: Annotated[U32, "detail (seq: of the request, or 0 where the frame itself is bad)"]
