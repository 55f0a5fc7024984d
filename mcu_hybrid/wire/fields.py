"""How a field lies in a payload: kinds of fields, and messages that are made of them.

A message is a frozen dataclass whose fields are annotated with their kind, in their order on the
wire: ``ticks: U64``. From that, and nothing else, its bytes are read and written here, and
``layouts.py`` makes the firmware's structs and the page's tables. No frames, no I/O.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar, Protocol, Self, get_type_hints

from mcu_hybrid import plugins
from mcu_hybrid.errors import ProtocolError

FLASH_AGAIN = "flash the board again with this version of mcu-hybrid"


class Kind(Protocol):
    """How a value lies in bytes; ``size_bytes`` is None where it varies."""

    name: str
    size_bytes: int | None

    def read(self, data: bytes, at: int) -> tuple[object, int]:
        """The value at ``at``, and where the next one begins; ValueError where there is none."""

    def write(self, value: object) -> bytes:
        """The value's bytes."""


@dataclass(frozen=True)
class Number:
    """A little-endian integer; ``code`` as in ``struct``, ``none`` is the number for None.

    ``known`` gives the names of those that are allowed, where not all are.
    """

    name: str
    code: str
    none: int | None = None
    known: Callable[[], Mapping[int, str]] | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes on the wire."""
        return struct.calcsize("<" + self.code)

    @property
    def c_type(self) -> str:
        """The type of C."""
        sign = "int" if self.code.islower() else "uint"
        return f"{sign}{8 * self.size_bytes}_t"

    def read(self, data: bytes, at: int) -> tuple[object, int]:
        """An int, or None; ProtocolError where it is none of the known ones."""
        chunk = _chunk(data, at, self.size_bytes)
        value = int(struct.unpack("<" + self.code, chunk)[0])
        if self.known is not None and value not in self.known():
            names = ", ".join(f"{number} {name}" for number, name in self.known().items())
            raise ProtocolError(
                f"the board answers with number {value}, known here are {names}",
                f"load the plug-in that it was built with ({plugins.VARIABLE}), or {FLASH_AGAIN}",
            )
        return (None if value == self.none else value), at + len(chunk)

    def write(self, value: object) -> bytes:
        """Of an int, or None."""
        return struct.pack("<" + self.code, self.none if value is None else value)


@dataclass(frozen=True)
class Digest:
    """So many bytes; hexadecimal in Python."""

    size_bytes: int

    @property
    def name(self) -> str:
        """As the page calls it."""
        return f"{self.size_bytes} B"

    def read(self, data: bytes, at: int) -> tuple[object, int]:
        """A str of twice as many digits."""
        return _chunk(data, at, self.size_bytes).hex(), at + self.size_bytes

    def write(self, value: object) -> bytes:
        """Of such a str."""
        return bytes.fromhex(str(value))


@dataclass(frozen=True)
class Text:
    """A length byte and UTF-8."""

    name: str = "str"
    size_bytes: None = None

    def read(self, data: bytes, at: int) -> tuple[object, int]:
        """A str."""
        (length,) = _chunk(data, at, 1)
        return _chunk(data, at + 1, length).decode("utf-8", "replace"), at + 1 + length

    def write(self, value: object) -> bytes:
        """Of a str."""
        data = str(value).encode()
        return bytes((len(data),)) + data


@dataclass(frozen=True)
class Rest:
    """All bytes that are left: the last field only."""

    name: str = "bytes"
    size_bytes: None = None

    def read(self, data: bytes, at: int) -> tuple[object, int]:
        """Bytes, perhaps none."""
        return data[at:], len(data)

    def write(self, value: object) -> bytes:
        """The bytes themselves."""
        assert isinstance(value, bytes)
        return value


U8 = Annotated[int, Number("u8", "B")]
U16 = Annotated[int, Number("u16", "H")]
U32 = Annotated[int, Number("u32", "I")]
U64 = Annotated[int, Number("u64", "Q")]
I32 = Annotated[int, Number("i32", "i")]
STR = Annotated[str, Text()]
REST = Annotated[bytes, Rest()]


@dataclass(frozen=True)
class Field:
    """One field: what it is called, how it lies there, its values' names, what the page says."""

    name: str
    kind: Kind
    names: type[IntEnum] | None
    says: str

    def known(self) -> Mapping[int, str]:
        """The numbers that have a name."""
        if self.names is not None:
            return {int(n): n.name.lower().replace("_", "-") for n in self.names}
        known = self.kind.known if isinstance(self.kind, Number) else None
        return known() if known is not None else {}

    def read(self, data: bytes, at: int) -> tuple[object, int]:
        """As its kind does; ValueError too for a number that has no name."""
        value, end = self.kind.read(data, at)
        if self.names is None:
            return value, end
        assert isinstance(value, int)
        return self.names(value), end


@dataclass(frozen=True)
class Payload:
    """A message's payload; ``WHAT`` is what an error calls it."""

    WHAT: ClassVar[str]

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read it; raises ProtocolError where the bytes do not have the layout."""
        values: dict[str, object] = {}
        at = 0
        try:
            for field in fields_of(cls):
                values[field.name], at = field.read(payload, at)
            if at != len(payload):
                raise ValueError("bytes are left over")
        except ValueError as error:
            raise ProtocolError(
                f"the board's {cls.WHAT} of {len(payload)} bytes does not have the expected "
                f"layout: {payload[:32].hex()}",
                FLASH_AGAIN,
            ) from error
        return cls(**values)

    def pack(self) -> bytes:
        """Its bytes."""
        return b"".join(f.kind.write(getattr(self, f.name)) for f in fields_of(type(self)))


_FIELDS: dict[type[Payload], tuple[Field, ...]] = {}  # looked at once, not for each frame


def fields_of(message: type[Payload]) -> tuple[Field, ...]:
    """The fields of a message, in their order on the wire."""
    if message not in _FIELDS:
        _FIELDS[message] = _look(message)
    return _FIELDS[message]


def _look(message: type[Payload]) -> tuple[Field, ...]:
    hints = get_type_hints(message, include_extras=True)
    found = []
    for own in dataclasses.fields(message):
        python, (kind, *said) = hints[own.name].__origin__, hints[own.name].__metadata__
        names = python if isinstance(python, type) and issubclass(python, IntEnum) else None
        says = said[0] if said else own.name.removesuffix("_bytes").replace("_", " ")
        found.append(Field(own.name, kind, names, says))
    return tuple(found)


def fixed_bytes(message: type[Payload]) -> int:
    """Bytes of the fields ahead of the first whose size varies."""
    total = 0
    for field in fields_of(message):
        if field.kind.size_bytes is None:
            break
        total += field.kind.size_bytes
    return total


def _chunk(data: bytes, at: int, size: int) -> bytes:
    chunk = data[at : at + size]
    if len(chunk) != size:
        raise ValueError("bytes are missing")
    return chunk
