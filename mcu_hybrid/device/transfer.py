"""Moves tensors over a channel: pieces, several in flight, back to where one was lost."""

from __future__ import annotations

from collections import deque

from mcu_hybrid.device.channel import Channel, Exchange
from mcu_hybrid.device.trouble import DeviceError, TooLarge
from mcu_hybrid.errors import LinkTimeout, ProtocolError
from mcu_hybrid.wire import payloads
from mcu_hybrid.wire.fields import FLASH_AGAIN, fixed_bytes
from mcu_hybrid.wire.messages import MAX_FRAME, MAX_PAYLOAD, Code, Type

# Beside the payload: head and checksum, two delimiters, and a byte of COBS for each 254 begun.
_FRAME_BYTES = MAX_FRAME - MAX_PAYLOAD + 5
_WRITE_HEAD = fixed_bytes(payloads.WriteInput)
_GAPS = 50  # in one tensor: not the link's fault any longer


def write_tensor(channel: Channel, index: int, data: bytes, rx_window: int) -> None:
    """Write an input; ``rx_window`` bytes may be on their way at once (at least one frame)."""
    flight: deque[tuple[Exchange, int]] = deque()  # with the offset of the piece
    sent, gaps, trouble = 0, 0, False
    while sent < len(data) or flight:
        payload_bytes = channel.piece_bytes
        room = 1 if trouble else max(rx_window // (payload_bytes + _FRAME_BYTES), 1)
        while sent < len(data) and len(flight) < room:
            piece = data[sent : sent + payload_bytes - _WRITE_HEAD]
            request = payloads.WriteInput(index, sent, piece).pack()
            flight.append((channel.begin(Type.WRITE_INPUT, request), sent))
            sent += len(piece)
        exchange, offset = flight.popleft()
        try:
            answer = channel.finish(exchange, can_shrink=True)
            reached = payloads.Written.parse(answer).reached
            trouble = exchange.was_repeated
        except TooLarge:
            reached, trouble = offset, True
        except DeviceError as error:
            # A gap: the piece before was lost, or the board has restarted.
            gaps += 1
            if error.code != Code.BAD_OFFSET or gaps > _GAPS:
                raise
            reached, trouble = error.detail, True
        if trouble:  # from where the board is, whatever became of the pieces behind this one
            sent = reached
            flight.clear()
    if sent != len(data):
        raise LinkTimeout(f"input {index}: the board holds {sent:,} of {len(data):,} bytes")


def read_tensor(channel: Channel, index: int, start: int, size: int) -> bytes:
    """Read an output from byte ``start`` to its end."""
    parts = []
    while start < size:
        count = min(channel.piece_bytes, size - start)
        request = payloads.ReadOutput(index, start, count).pack()
        try:
            part = channel.request(Type.READ_OUTPUT, request, can_shrink=True)
        except TooLarge:
            continue
        if len(part) != count:
            raise ProtocolError(
                f"output {index}: {len(part)} bytes came, {count} were asked for",
                FLASH_AGAIN,
            )
        parts.append(part)
        start += count
    return b"".join(parts)
