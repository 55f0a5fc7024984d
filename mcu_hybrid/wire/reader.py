"""Takes the fields of a payload one after the other, little-endian."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TypeVar

from mcu_hybrid.errors import ProtocolError

FLASH_AGAIN = "flash the board again with this version of mcu-hybrid"
_E = TypeVar("_E", bound=IntEnum)


class Reader:
    """Takes fields off a payload; raises ProtocolError where they are not there."""

    def __init__(self, payload: bytes, what: str) -> None:
        self._payload = payload
        self._what = what
        self._at = 0

    def take(self, layout: str) -> tuple[int, ...]:
        """Fields in ``struct`` notation."""
        return struct.unpack("<" + layout, self.raw(struct.calcsize("<" + layout)))

    def one(self, layout: str) -> int:
        """A single field."""
        return self.take(layout)[0]

    def raw(self, size: int) -> bytes:
        """This many bytes."""
        chunk = self._payload[self._at : self._at + size]
        if len(chunk) != size:
            raise self.wrong()
        self._at += size
        return chunk

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.raw(len(self._payload) - self._at)

    def text(self) -> str:
        """A string behind its length."""
        return self.raw(self.one("B")).decode("utf-8", "replace")

    def enum(self, kind: type[_E]) -> _E:
        """One byte that must be a member of ``kind``."""
        value = self.one("B")
        try:
            return kind(value)
        except ValueError as error:
            raise self.wrong() from error

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._payload):
            raise self.wrong()

    def wrong(self) -> ProtocolError:
        """The error of a payload without the expected layout."""
        return ProtocolError(
            f"the board's {self._what} of {len(self._payload)} bytes does not have the expected "
            f"layout: {self._payload[:32].hex()}",
            FLASH_AGAIN,
        )
