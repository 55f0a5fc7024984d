"""Frames: 0x00, COBS(type, seq, payload, crc32), 0x00. Bytes in, frames out; no I/O, no messages.

The firmware's own decoder (mh_frames.c) does the same byte by byte; tests feed both the same bytes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cobs import cobs

from mcu_hybrid.wire.messages import CRC_BYTES, HEAD_BYTES, MAX_FRAME, Code

# COBS adds one byte, and one more per 254.
_MAX_ENCODED = MAX_FRAME + MAX_FRAME // 254 + 1


@dataclass(frozen=True)
class Frame:
    """A good frame."""

    type: int
    seq: int
    payload: bytes = b""


@dataclass(frozen=True)
class BadFrame:
    """Bytes between two delimiters that are no good frame: BAD_CRC, TOO_LONG or TRUNCATED."""

    code: Code
    data: bytes


def encode(frame: Frame) -> bytes:
    """The frame's bytes on the wire.

    The delimiter ahead ends whatever noise or half a frame came before.
    """
    body = bytes((frame.type, frame.seq)) + frame.payload
    if len(body) > MAX_FRAME - CRC_BYTES:
        raise ValueError(f"payload of {len(frame.payload)} bytes is longer than the protocol's")
    return b"\0" + cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"


class Decoder:
    """Turns a stream of bytes into frames; after any error the next delimiter is a fresh start."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame | BadFrame]:
        """Take bytes in pieces of any size; return the frames that they complete, in order."""
        frames: list[Frame | BadFrame] = []
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._append(piece)
            if self._buffer:
                frames.append(_decode(bytes(self._buffer)))
                self._buffer.clear()
        self._append(rest)
        return frames

    def flush(self) -> Frame | None:
        """The frame whose last delimiter was lost: whole and good, where nothing else comes."""
        if not self._buffer:
            return None
        frame = _decode(bytes(self._buffer))
        if isinstance(frame, BadFrame):
            return None
        self._buffer.clear()
        return frame

    def _append(self, piece: bytes) -> None:
        # One byte over the limit is enough to know; an endless stream must not fill the memory.
        self._buffer += piece[: _MAX_ENCODED + 1 - len(self._buffer)]


def _decode(encoded: bytes) -> Frame | BadFrame:
    if len(encoded) > _MAX_ENCODED:
        return BadFrame(Code.TOO_LONG, encoded)
    try:
        body = cobs.decode(encoded)
    except cobs.DecodeError:
        return BadFrame(Code.TRUNCATED, encoded)
    if len(body) > MAX_FRAME:
        return BadFrame(Code.TOO_LONG, encoded)
    if len(body) < HEAD_BYTES + CRC_BYTES:
        return BadFrame(Code.TRUNCATED, encoded)
    content, crc = body[:-CRC_BYTES], struct.unpack("<I", body[-CRC_BYTES:])[0]
    if zlib.crc32(content) != crc:
        return BadFrame(Code.BAD_CRC, encoded)
    return Frame(content[0], content[1], content[HEAD_BYTES:])
