"""Moves tensors over a channel: pieces, several in flight, back to where one was lost."""

from __future__ import annotations

from mcu_hybrid.errors import LinkTimeout, ProtocolError
from mcu_hybrid.harness.channel import Channel, DeviceError
from mcu_hybrid.wire import payloads
from mcu_hybrid.wire.messages import MAX_FRAME, MAX_PAYLOAD, Code, Type
from mcu_hybrid.wire.reader import FLASH_AGAIN

_CHUNK_BYTES = MAX_PAYLOAD - payloads.WRITE_INPUT_HEAD
_WIRE_BYTES = MAX_FRAME + 5  # of the longest frame, with COBS and delimiters


def write_tensor(channel: Channel, index: int, data: bytes, rx_window: int) -> None:
    """Write an input; ``rx_window`` bytes may be on their way at once (at least one frame)."""
    room = max(rx_window // _WIRE_BYTES, 1)
    flight: list[tuple[int, int]] = []  # (seq, offset of the piece)
    sent, failures = 0, 0
    while sent < len(data) or flight:
        while sent < len(data) and len(flight) < room:
            piece = data[sent : sent + _CHUNK_BYTES]
            request = payloads.write_input(index, sent, piece)
            flight.append((channel.send(Type.WRITE_INPUT, request), sent))
            sent += len(piece)
        seq, offset = flight[0]
        try:
            channel.wait(seq)
            flight.pop(0)
            failures = 0
        except (LinkTimeout, DeviceError) as error:
            failures += 1
            if failures >= channel.attempts or not _mendable(error):
                raise
            channel.resync()
            sent = error.detail if isinstance(error, DeviceError) else offset
            flight.clear()


def _mendable(error: Exception) -> bool:
    """A gap (the piece before was lost) is mended by sending from where the board is."""
    return isinstance(error, LinkTimeout) or (
        isinstance(error, DeviceError) and error.code == Code.BAD_OFFSET
    )


def read_tensor(channel: Channel, index: int, start: int, size: int) -> bytes:
    """Read an output from byte ``start`` to its end."""
    parts = []
    for offset in range(start, size, MAX_PAYLOAD):
        count = min(MAX_PAYLOAD, size - offset)
        part = channel.request(Type.READ_OUTPUT, payloads.read_output(index, offset, count))
        if len(part) != count:
            raise ProtocolError(
                f"output {index}: {len(part)} bytes came, {count} were asked for",
                FLASH_AGAIN,
            )
        parts.append(part)
    return b"".join(parts)
