"""Requests and answers over a link: sequence numbers, sending again, and when to give up.

A request may be sent many times, and an answer to any of those times is its answer. How often it
is sent is not limited, only the time: a board that says nothing for ``budget_s`` is hung. A request
that runs the model is acknowledged before it runs; while the board says that it goes on, it may
take as long as it wants. No meaning of any request (client.py), no bytes (wire/frames.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mcu_hybrid.device.trouble import Damaged, DeviceError, DeviceFault, TooLarge, layer_text
from mcu_hybrid.errors import LinkTimeout
from mcu_hybrid.link.base import Link
from mcu_hybrid.wire.frames import BadFrame, Decoder, Frame, encode
from mcu_hybrid.wire.messages import LINK_CODES, MAX_PAYLOAD, RESPONSE, Type
from mcu_hybrid.wire.payloads import Ack, ErrorFrame, FaultFrame

_READ_BYTES = 65536  # more than any link holds back
# Times fit serial links that lose bytes, and adapters that hold them back for some ms; tests with
# such links (tests/support) hold them together. None is finely tuned.
_STUCK_S = 0.05  # a frame that is whole but for its end, for so long
_AFTER_DAMAGE_S = 0.005  # what else was damaged with it is past then
_AFTER_NOISE_S = 0.02  # it may be no board of ours: not asked too often
_LONGEST_WAIT_S = 1.0  # from one sending to the next: six within the budget, at least
_RUN_WAIT_S = 2.0  # four beats of a board that computes (mh_watch.c)
_RUN_BUDGET = 4 / 3  # of the usual budget: a board that computes may be slow to say so
_HUNG_BUDGET_S = 0.3  # of a board that has been told hung: enough for one answer, should it be back
_STARTS = 30  # a run that was acknowledged so often and never answered
_TYPICAL = 4.0  # times the usual time is late
_LEAST_PIECE_BYTES = 32  # below it heads and checksums are most of a frame
_SHRINK_AFTER = 4  # damaged frames in one exchange
_GOOD_FRAMES = 16  # in a row, before larger ones are tried
_SEND_AGAIN = "the link loses bytes: try a shorter cable or a lower baud rate"


@dataclass
class Exchange:
    """A request on its way, perhaps several times over."""

    kind: Type
    payload: bytes
    since: float
    heard: float  # when the board last showed that it works on this
    sent: dict[int, float] = field(default_factory=dict)  # sequence number -> when
    damaged: int = 0
    starts: int = 0  # how often the board began to work on it
    layer: int | None = None
    resend_at: float = 0.0
    running: bool = False

    @property
    def was_repeated(self) -> bool:
        """True where it was sent more than once."""
        return len(self.sent) > 1

    @property
    def first(self) -> int:
        """The sequence number of the first sending."""
        return next(iter(self.sent))


class Channel:
    """Requests and answers; several can be in flight through ``begin`` and ``finish``.

    ``patience_s`` is what a board may take before it is asked again, at first: the channel learns
    how quick this one is. ``disturbed`` is True where the last request was sent again while the
    board may have been working on it. ``piece_bytes`` is how much data a frame should hold on this
    link: small frames where bytes are lost.
    """

    def __init__(self, link: Link, budget_s: float = 6.0, patience_s: float = 0.25) -> None:
        self.link = link
        self.budget_s = budget_s
        self.layer_names: Sequence[str] = ()
        self.disturbed = False
        self.piece_bytes = MAX_PAYLOAD
        self._good = 0  # frames in a row
        self._is_hung = False
        self._patience_s = patience_s
        self._usual_s = 0.0  # from sending to the answer of short requests
        self._usual_run_s: dict[Type, float] = {}
        self._decoder = Decoder()
        self._frames: deque[Frame | BadFrame] = deque()
        self._seq = 0
        self.heard_bytes = 0

    def request(self, kind: Type, payload: bytes = b"", *, can_shrink: bool = False) -> bytes:
        """Send until answered; the request must bear repetition. ``can_shrink``: see ``finish``."""
        return self.finish(self.begin(kind, payload), can_shrink=can_shrink)

    def begin(self, kind: Type, payload: bytes = b"") -> Exchange:
        """Send without waiting."""
        now = time.monotonic()
        exchange = Exchange(kind, payload, now, now)
        self._send(exchange)
        return exchange

    def finish(
        self,
        exchange: Exchange,
        on_row: Callable[[bytes], None] | None = None,
        *,
        can_shrink: bool = False,
    ) -> bytes:
        """Wait for the answer, sending again where it does not come; return its payload.

        Raises:
            TooLarge: with ``can_shrink``, it is damaged again and again: ask for less at a time.
            LinkTimeout: the board says nothing any longer.
            Damaged: what it says is damaged, every time.
            DeviceError, DeviceFault: what it says is that.
        """
        wait_s = self._first_wait_s()
        exchange.resend_at = max(exchange.since, time.monotonic() - wait_s) + wait_s
        while True:
            frame = self._next(exchange.resend_at)
            if frame is None:
                self._check_alive(exchange)
                if self.piece_bytes == MAX_PAYLOAD:  # nothing is lost as a rule: it is slow
                    wait_s = min(2.0 * wait_s, _LONGEST_WAIT_S)
                if exchange.running:
                    wait_s = self._run_wait_s(exchange.kind)
                self._send(exchange)
                exchange.resend_at = time.monotonic() + wait_s
            elif self._is_damage(frame):
                exchange.damaged += 1
                if can_shrink:
                    self._require_small(exchange)
                soon = time.monotonic() + _AFTER_DAMAGE_S
                if not (exchange.running and exchange.kind == Type.PROFILE):  # more rows will come
                    exchange.resend_at = min(exchange.resend_at, soon)
            elif isinstance(frame, Frame) and frame.seq in exchange.sent:
                if frame.type == exchange.kind | RESPONSE:
                    self._learn(exchange, frame.seq)
                    return frame.payload
                self._note(exchange, frame, on_row)

    def forget(self) -> None:
        """End a half-sent frame, and drop what has arrived so far."""
        self.link.write(b"\0")
        self._decoder = Decoder()
        self._frames.clear()
        self.heard_bytes = 0

    def listen(self, kind: Type, wait_s: float) -> Frame | None:
        """Send once and wait for a fault, or an answer to this or to an earlier sending of it.

        None where neither comes, or damaged.
        """
        end = self.begin(kind).since + wait_s
        while (frame := self._next(end)) is not None:
            if isinstance(frame, BadFrame) or frame.type == Type.ERROR:
                end = min(end, time.monotonic() + _AFTER_NOISE_S)
            elif frame.type in (Type.FAULT, kind | RESPONSE):
                return frame
        return None

    # -- one exchange

    def _send(self, exchange: Exchange) -> None:
        self._seq = self._seq % 255 + 1
        exchange.sent.pop(self._seq, None)
        exchange.sent[self._seq] = time.monotonic()
        self.link.write(encode(Frame(exchange.kind, self._seq, exchange.payload)))

    def _note(
        self, exchange: Exchange, frame: Frame, on_row: Callable[[bytes], None] | None
    ) -> None:
        """A frame that belongs to the request and is not its answer."""
        now = time.monotonic()
        if frame.type == Type.ERROR:
            raise DeviceError(exchange.kind, ErrorFrame.parse(frame.payload), self.layer_names)
        if frame.type == Type.PROFILE_ROW:
            if on_row is not None:
                on_row(frame.payload)
        elif frame.type == Type.ACK:
            layer = Ack.parse(frame.payload).layer
            exchange.starts += layer is None and not exchange.running
            exchange.layer = layer if layer is not None else exchange.layer
        else:
            return
        exchange.running = True
        exchange.heard = now
        goes_on_s = 0.0 if exchange.layer is None else _RUN_WAIT_S  # it says so again in time
        exchange.resend_at = now + max(self._run_wait_s(exchange.kind), goes_on_s)

    def _is_damage(self, frame: Frame | BadFrame) -> bool:
        """A damaged frame, here or at the board; raises DeviceFault where the frame is a fault."""
        if isinstance(frame, BadFrame):
            return True
        if frame.type == Type.FAULT:
            raise DeviceFault(FaultFrame.parse(frame.payload), self.layer_names)
        return frame.type == Type.ERROR and ErrorFrame.parse(frame.payload).code in LINK_CODES

    def _check_alive(self, exchange: Exchange) -> None:
        """Give up where the board has said nothing for too long."""
        silent_s = time.monotonic() - exchange.heard
        budget_s = self.budget_s * (_RUN_BUDGET if exchange.running else 1.0)
        if self._is_hung:  # has been told already; whoever tidies up behind it need not wait again
            budget_s = min(budget_s, _HUNG_BUDGET_S)
        if silent_s < budget_s and exchange.starts < _STARTS:
            return
        where = f"{self.link.url}: no answer to {exchange.kind.name}"
        if exchange.damaged > len(exchange.sent) // 2:
            raise Damaged(
                f"{where} within {silent_s:.0f} s: {exchange.damaged} frames arrived damaged, of "
                f"{len(exchange.sent)} that were sent",
                _SEND_AGAIN,
            )
        self._is_hung = True
        last = "it never began"
        if exchange.starts:
            last = "it began"
        if exchange.layer is not None:
            last = f"it was last {layer_text(exchange.layer, self.layer_names)}"
        raise LinkTimeout(
            f"{where}: the board has said nothing for {silent_s:.0f} s ({last})",
            "is the firmware running? flash it again, or press the board's reset button",
        )

    # -- time

    def _first_wait_s(self) -> float:
        return max(self._patience_s, _TYPICAL * self._usual_s)

    def _run_wait_s(self, kind: Type) -> float:
        """Longer where it is not known yet how long it takes, for it would be interrupted."""
        usual_s = self._usual_run_s.get(kind)
        return max(_RUN_WAIT_S if usual_s is None else _TYPICAL * usual_s, self._patience_s)

    def _learn(self, exchange: Exchange, seq: int) -> None:
        """How long this board takes: at once where it is slower, bit by bit where it is quicker."""
        took_s = time.monotonic() - exchange.sent[seq]
        self._is_hung = False
        self.disturbed = len(exchange.sent) > 1 and not exchange.damaged
        self._choose_piece(lossy=len(exchange.sent) > 1 and exchange.damaged > 0)
        if exchange.running:
            before_s = self._usual_run_s.get(exchange.kind, 0.0)
            self._usual_run_s[exchange.kind] = max(took_s, 0.9 * before_s)
        elif len(exchange.sent) == 1:
            self._usual_s = max(took_s, 0.9 * self._usual_s)
        if self.disturbed and seq == exchange.first:  # it was slow, and nothing was lost
            self._patience_s = max(self._patience_s, min(2.0 * took_s, _LONGEST_WAIT_S))

    def _require_small(self, exchange: Exchange) -> None:
        if exchange.damaged >= _SHRINK_AFTER and self.piece_bytes > _LEAST_PIECE_BYTES:
            self._choose_piece(lossy=True)
            raise TooLarge(f"{self.link.url}: long frames arrive damaged", _SEND_AGAIN)

    def _choose_piece(self, lossy: bool) -> None:
        self._good = 0 if lossy else self._good + 1
        if lossy:
            self.piece_bytes = max(self.piece_bytes // 2, _LEAST_PIECE_BYTES)
        elif self._good % _GOOD_FRAMES == 0:
            self.piece_bytes = min(self.piece_bytes * 2, MAX_PAYLOAD)

    def _next(self, end: float) -> Frame | BadFrame | None:
        """The next frame that arrives before ``end``."""
        while not self._frames:
            left_s = end - time.monotonic()
            data = self.link.read(_READ_BYTES, max(min(left_s, _STUCK_S), 0.0))
            self._frames += self._decoder.feed(data)
            self.heard_bytes += len(data)
            if not data:
                stuck = self._decoder.flush()
                if stuck is not None:
                    return stuck
                if left_s <= 0.0:
                    return None
        return self._frames.popleft()
