"""The protocol's numbers, once: ``c_header()`` renders them for the firmware.

Here belong sizes, message types and codes. Payloads are in payloads.py, frames in frames.py;
no I/O anywhere in this package. docs/protocol.md is the page for people.
"""

from __future__ import annotations

from enum import IntEnum

from mcu_hybrid import mechanisms, resources
from mcu_hybrid.mechanisms.base import FIRST_OF_LOGITS
from mcu_hybrid.templates import source_template

PROTOCOL_VERSION = 3  # of docs/protocol.md; a host refuses a board with another
# The frame buffer of a board is this and a head; larger ones save little (overhead is 2 % already)
# and cost more where one is lost.
MAX_PAYLOAD = 512
HEAD_BYTES = 2  # type, seq
CRC_BYTES = 4
MAX_FRAME = HEAD_BYTES + MAX_PAYLOAD + CRC_BYTES  # decoded, before COBS
CRC_RESIDUE = 0x2144DF1C  # crc32 over a frame and its own little-endian crc32
NO_OUTPUT = 0xFF  # index of an output that the model does not have
NO_LAYER = 0xFFFF  # fault frame: no layer was running
NO_SCORE = -(2**31)  # no router is set


class Type(IntEnum):
    """Frame types. A response has the request's type with bit 7 set and the request's seq."""

    HELLO = 0x01
    TENSOR_INFO = 0x02
    WRITE_INPUT = 0x03
    INFER = 0x04
    READ_OUTPUT = 0x05
    PROFILE = 0x06
    GET_ROUTE = 0x08
    SET_ROUTE = 0x09
    STATS = 0x0A
    STATS_RESET = 0x0B
    SELF_TEST = 0x0C
    RESET = 0x0D
    SET_SESSION = 0x10
    IMAGE_CRC = 0x11
    PROFILE_ROW = 0x8E  # one per layer, ahead of PROFILE's response
    ACK = 0x8F  # a request that takes its time has begun, or goes on
    FAULT = 0xFE
    ERROR = 0xFF


RESPONSE = 0x80


class Code(IntEnum):
    """Codes of error frames; what ``detail`` holds is in the comment."""

    BAD_CRC = 1  # crc32 as computed over the frame
    TOO_LONG = 2  # decoded bytes that fit the buffer
    TRUNCATED = 3  # decoded bytes
    UNKNOWN_TYPE = 4  # the type
    BAD_LENGTH = 5  # payload bytes that were received
    BAD_INDEX = 6  # the index (tensor, kind, or router without its output)
    BAD_OFFSET = 7  # the offset that is expected next, or the tensor's bytes
    NO_INPUT = 8  # index of the first input that is not complete
    MODEL_ERROR = 9  # mh_status of the engine
    NO_OUTPUT = 10  # the index: there is no result, or an input was written over it
    ARENA_OVERRUN = 11  # the layer that wrote past the arena, or NO_LAYER


class Decision(IntEnum):
    """What the device decided about an input."""

    KEEP = 0
    QUERY = 1
    NONE = 2  # no router is set: the device answers everything


class Engine(IntEnum):
    """What runs the network on the device."""

    AOT = 0
    TFLM = 1


class Fault(IntEnum):
    """Codes of fault frames, as handed to mh_fault."""

    HARD = 0
    MEMORY = 1
    BUS = 2
    USAGE = 3
    WATCHDOG = 4  # a layer took longer than the host allowed; its address is milliseconds


class TensorKind(IntEnum):
    """Which list of tensors an index addresses."""

    INPUT = 0
    OUTPUT = 1


MEANING = {
    Code.BAD_CRC: "a frame arrived damaged (checksum)",
    Code.TOO_LONG: "a frame arrived that is longer than the device's buffer",
    Code.TRUNCATED: "a frame arrived incomplete",
    Code.UNKNOWN_TYPE: "the firmware does not know this request",
    Code.BAD_LENGTH: "the request's payload has a wrong length",
    Code.BAD_INDEX: "the model has no such tensor or router",
    Code.BAD_OFFSET: "the offset is not the next one expected",
    Code.NO_INPUT: "the input has not been written completely since the last inference",
    Code.MODEL_ERROR: "the engine could not run the model",
    Code.NO_OUTPUT: "there is no inference result to read",
    Code.ARENA_OVERRUN: "the model wrote outside its arena",
}
# Errors of the link, not of the request: sending again helps.
LINK_CODES = frozenset({Code.BAD_CRC, Code.TOO_LONG, Code.TRUNCATED})


def c_header() -> str:
    """Return the text of mh_messages.h, rendered from the numbers above."""
    template = source_template(resources.root("firmware_templates") / "app" / "mh_messages.h.j2")
    constants = {
        "MH_PROTOCOL_VERSION": PROTOCOL_VERSION,
        "MH_MAX_PAYLOAD": MAX_PAYLOAD,
        "MH_HEAD_BYTES": HEAD_BYTES,
        "MH_CRC_BYTES": CRC_BYTES,
        "MH_MAX_FRAME": MAX_FRAME,
        "MH_RESPONSE": f"0x{RESPONSE:02X}",
        "MH_CRC_RESIDUE": f"0x{CRC_RESIDUE:08X}",
        "MH_NO_LAYER": f"0x{NO_LAYER:04X}",
        "MH_FIRST_SCORED_ROUTER": FIRST_OF_LOGITS,
        "MH_LAST_ROUTER": mechanisms.every()[-1].id,
    }
    enums: dict[str, type[IntEnum]] = {
        "MH_MSG": Type,
        "MH_E": Code,
        "MH_DECISION": Decision,
        "MH_ENGINE": Engine,
        "MH_KIND": TensorKind,
        "MH_FAULT": Fault,
    }
    groups = [
        (kind.__doc__, [(f"{prefix}_{item.name}", _c(item)) for item in kind])
        for prefix, kind in enums.items()
    ]
    groups.insert(list(enums).index("MH_ENGINE"), _routers())
    return template.render(constants=constants, groups=groups)


def _routers() -> tuple[str, list[tuple[str, str]]]:
    """Routers are the registered mechanisms, and none."""
    named = [(one.c_name, str(one.id)) for one in mechanisms.every()]
    return (
        "Which score the device compares with the threshold.",
        [("MH_ROUTER_NONE", str(mechanisms.NONE_ID)), *named],
    )


def _c(item: IntEnum) -> str:
    return f"0x{item:02X}" if isinstance(item, Type) else str(int(item))
