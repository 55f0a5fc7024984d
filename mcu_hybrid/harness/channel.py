"""Requests and answers over a link: sequence numbers, deadlines, and sending again.

No meaning of any request (device.py), no bytes (wire/frames.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from mcu_hybrid.errors import LinkTimeout, ProtocolError
from mcu_hybrid.link.base import Link
from mcu_hybrid.wire.frames import BadFrame, Decoder, Frame, encode
from mcu_hybrid.wire.messages import LINK_CODES, MEANING, RESPONSE, Code, Type
from mcu_hybrid.wire.payloads import ErrorFrame, FaultFrame

_READ_BYTES = 65536
_QUIET_S = 0.05
_SEND_AGAIN = "the link loses bytes: try a shorter cable or a lower baud rate"


class DeviceError(ProtocolError):
    """The board refused a request with an error frame."""

    def __init__(self, request: Type, error: ErrorFrame) -> None:
        known = error.code in set(Code)
        meaning = MEANING[Code(error.code)] if known else "of a kind unknown to this host"
        super().__init__(
            f"the board refused {request.name}: {meaning} (code {error.code}, "
            f"detail {error.detail})"
        )
        self.code = error.code
        self.detail = error.detail


class DeviceFault(ProtocolError):
    """The board's processor faulted; the board has restarted itself."""

    def __init__(self, fault: FaultFrame, layer_names: Sequence[str] = ()) -> None:
        where = "outside the model"
        if fault.layer is not None:
            named = f" '{layer_names[fault.layer]}'" if fault.layer < len(layer_names) else ""
            where = f"in layer {fault.layer}{named}"
        super().__init__(
            f"{fault.kind} on the board {where}, at pc 0x{fault.pc:08x}, "
            f"address 0x{fault.address:08x}",
            "arm-none-eabi-addr2line -fe firmware.elf PC names the source line",
        )
        self.fault = fault


class Damaged(LinkTimeout):
    """A frame was damaged on its way, in either direction; sending again helps."""


class Channel:
    """One request at a time, or several in flight through ``send`` and ``wait``."""

    def __init__(self, link: Link, timeout_s: float, attempts: int) -> None:
        self.link = link
        self.timeout_s = timeout_s
        self.attempts = attempts
        self.layer_names: Sequence[str] = ()
        self._decoder = Decoder()
        self._frames: deque[Frame | BadFrame] = deque()
        self._seq = 0
        self._types: dict[int, Type] = {}

    def request(self, kind: Type, payload: bytes = b"", timeout_s: float | None = None) -> bytes:
        """Send until answered (at most ``attempts`` times); the request must bear repetition."""
        for attempt in range(self.attempts):
            try:
                return self.once(kind, payload, timeout_s)
            except LinkTimeout:
                if attempt + 1 == self.attempts:
                    raise
                self.resync()
        raise AssertionError("unreachable")

    def once(self, kind: Type, payload: bytes = b"", timeout_s: float | None = None) -> bytes:
        """Send once and wait; raises LinkTimeout, Damaged, DeviceError or DeviceFault."""
        return self.wait(self.send(kind, payload), timeout_s).payload

    def send(self, kind: Type, payload: bytes = b"") -> int:
        """Send without waiting; return the sequence number (1..255; 0 means unsolicited)."""
        self._seq = self._seq % 255 + 1
        self._types[self._seq] = kind
        self.link.write(encode(Frame(kind, self._seq, payload)))
        return self._seq

    def wait(self, seq: int, timeout_s: float | None = None) -> Frame:
        """The next frame that answers ``seq``; older answers are dropped."""
        limit = self.timeout_s if timeout_s is None else timeout_s
        end = time.monotonic() + limit
        kind = self._types[seq]
        while True:
            frame = self._next(end)
            if frame is None:
                raise LinkTimeout(
                    f"{self.link.url}: no answer to {kind.name} within {limit:g} s",
                    "is the firmware running? flash it again, or press the board's reset button",
                )
            if isinstance(frame, BadFrame):
                raise Damaged(
                    f"{self.link.url}: the answer to {kind.name} arrived damaged "
                    f"({MEANING[frame.code]})",
                    _SEND_AGAIN,
                )
            self._raise_errors(frame, seq, kind)
            if frame.seq == seq and frame.type in (kind | RESPONSE, Type.PROFILE_ROW):
                return frame

    def resync(self) -> None:
        """End a half-sent frame and drop what is under way, until the link is quiet."""
        self.link.write(b"\0")
        end = time.monotonic() + self.timeout_s
        while self.link.read(_READ_BYTES, _QUIET_S) and time.monotonic() < end:
            pass
        self._decoder = Decoder()
        self._frames.clear()

    def _next(self, end: float) -> Frame | BadFrame | None:
        while not self._frames:
            left = end - time.monotonic()
            data = self.link.read(_READ_BYTES, max(left, 0.0))
            if not data and left <= 0.0:
                return None
            self._frames += self._decoder.feed(data)
        return self._frames.popleft()

    def _raise_errors(self, frame: Frame, seq: int, kind: Type) -> None:
        if frame.type == Type.FAULT:
            raise DeviceFault(FaultFrame.parse(frame.payload), self.layer_names)
        if frame.type != Type.ERROR:
            return
        error = ErrorFrame.parse(frame.payload)
        if error.code in LINK_CODES:
            raise Damaged(
                f"{self.link.url}: {MEANING[Code(error.code)]} at the board, probably {kind.name}",
                _SEND_AGAIN,
            )
        if frame.seq == seq:
            raise DeviceError(kind, error)
