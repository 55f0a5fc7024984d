"""The table of messages as others read it: the firmware's structs, and the tables of the page.

Fields and their order are those of ``payloads.py``; which request has which answer is said here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mcu_hybrid import resources
from mcu_hybrid.templates import source_template
from mcu_hybrid.wire import payloads as p
from mcu_hybrid.wire.fields import Digest, Field, Number, Payload, Rest, fields_of
from mcu_hybrid.wire.messages import Type

Message = type[Payload] | None
# Each request: its payload, and that of its answer; None: empty.
EXCHANGES: dict[Type, tuple[Message, Message]] = {
    Type.HELLO: (None, p.Hello),
    Type.TENSOR_INFO: (p.TensorInfo, p.TensorSize),
    Type.WRITE_INPUT: (p.WriteInput, p.Written),
    Type.INFER: (p.Infer, p.InferResult),
    Type.READ_OUTPUT: (p.ReadOutput, p.Output),
    Type.PROFILE: (p.LayerLimit, p.ProfileEnd),
    Type.GET_ROUTE: (None, p.Route),
    Type.SET_ROUTE: (p.Route, p.Route),
    Type.STATS: (None, p.Stats),
    Type.STATS_RESET: (None, None),
    Type.SELF_TEST: (p.LayerLimit, p.SelfTest),
    Type.RESET: (None, None),
    Type.SET_SESSION: (p.Session, p.Session),
    Type.IMAGE_CRC: (p.ImagePart, p.ImageCrc),
}
# Unasked or extra frames from the board.
FRAMES: dict[Type, type[Payload]] = {
    Type.PROFILE_ROW: p.ProfileRow,
    Type.ACK: p.Ack,
    Type.FAULT: p.FaultFrame,
    Type.ERROR: p.ErrorFrame,
}


@dataclass(frozen=True)
class Member:
    """A member of a struct; ``array`` is "[16]" or nothing."""

    ctype: str
    name: str
    array: str
    offset: int


@dataclass(frozen=True)
class Struct:
    """Fields of fixed size that lie side by side, as C has them."""

    name: str
    doc: str
    members: tuple[Member, ...]
    size_bytes: int


def c_header() -> str:
    """The text of mh_payloads.h."""
    template = source_template(resources.root("firmware_templates") / "app" / "mh_payloads.h.j2")
    return template.render(structs=[s for message in messages() for s in structs_of(message)])


def messages() -> list[type[Payload]]:
    """Every message once, in the order of the types."""
    found = [m for pair in EXCHANGES.values() for m in pair if m is not None]
    return list(dict.fromkeys([*found, *FRAMES.values()]))


def structs_of(message: type[Payload]) -> Iterator[Struct]:
    """A message's structs: one, or _head and _tail where fields of varying size lie between."""
    runs: list[list[Field]] = [[]]
    for field in fields_of(message):
        if field.kind.size_bytes is not None:
            runs[-1].append(field)
        elif runs[-1]:
            runs.append([])
    runs = [run for run in runs if run]
    assert len(runs) <= 2, f"{message.__name__}: fields of varying size in two places"
    name = "mh_wire_" + re.sub(r"(?<!^)(?=[A-Z])", "_", message.__name__).lower()
    doc = (message.__doc__ or "").splitlines()[0]
    for run, end in zip(runs, ("_head", "_tail") if len(runs) == 2 else ("",), strict=False):
        yield _struct(name + end, doc, run)


def _struct(name: str, doc: str, run: list[Field]) -> Struct:
    members: list[Member] = []
    at = 0
    for field in run:
        kind = field.kind
        if isinstance(kind, Number):
            members.append(Member(kind.c_type, field.name, "", at))
        else:
            assert isinstance(kind, Digest)
            members.append(Member("uint8_t", field.name, f"[{kind.size_bytes}]", at))
        at += kind.size_bytes
    return Struct(name, doc, tuple(members), at)


def requests_table() -> str:
    """The page's table of requests and answers."""
    rows = [
        f"| 0x{kind:02X} {kind.name} | {_said(asked)} | "
        f"{'the same' if asked and asked is told else _said(told)} |"
        for kind, (asked, told) in EXCHANGES.items()
    ]
    return "\n".join(["| type | payload | payload of the answer |", "|---|---|---|", *rows])


def frames_table() -> str:
    """The page's table of the other frames."""
    rows = [f"| 0x{kind:02X} {kind.name} | {_said(frame)} |" for kind, frame in FRAMES.items()]
    return "\n".join(["| type | payload |", "|---|---|", *rows])


def _said(message: Message) -> str:
    return ", ".join(map(_field_said, fields_of(message))) if message else "–"


def _field_said(field: Field) -> str:
    label, _, note = field.says.partition(" (")
    known = [f"{number} {name}" for number, name in field.known().items()]
    if known:
        note = f"{', '.join(known)})"
    kind = "" if isinstance(field.kind, Rest) else f" {field.kind.name}"
    return f"{label}{kind}" + (f" ({note}" if note else "")
