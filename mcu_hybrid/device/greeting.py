"""The first words with a board: is it there, is it ours, and why not.

Not here: anything that a board is asked once it has said hello (client.py).
"""

from __future__ import annotations

import time

from mcu_hybrid.device.channel import Channel
from mcu_hybrid.device.trouble import DeviceFault
from mcu_hybrid.errors import LinkError, LinkTimeout
from mcu_hybrid.wire.messages import Type
from mcu_hybrid.wire.payloads import FaultFrame, Hello

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0  # quick for a board that runs, quiet for a slow start
_TAKEN_AFTER_S = 1.0  # of silence; a program that has just ended is gone by then
_FAULTY_AFTER_S = 1.0  # from the first fault: what a board needs to restart from a single one


def greet(channel: Channel, wait_s: float) -> Hello:
    """Ask for HELLO until the board answers.

    Raises:
        DeviceFault: instead of a hello come faults.
        LinkError: nothing comes, and another program holds the port.
        LinkTimeout: nothing comes, or nothing of ours.
    """
    begun = time.monotonic()
    pause_s = _FIRST_PAUSE_S
    fault: FaultFrame | None = None
    fault_at = 0.0
    channel.forget()
    while True:
        frame = channel.listen(Type.HELLO, pause_s)
        now = time.monotonic()
        if frame is not None and frame.type != Type.FAULT:
            return Hello.parse(frame.payload)
        if frame is None and not channel.heard_bytes:
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        elif frame is not None:
            fault_at = fault_at if fault else now
            fault = FaultFrame.parse(frame.payload)
        over = now - begun >= wait_s
        if fault is not None and (over or now - fault_at > _FAULTY_AFTER_S):
            raise DeviceFault(fault, channel.layer_names, "while its firmware starts")
        if not channel.heard_bytes and (over or now - begun > _TAKEN_AFTER_S):
            _require_free(channel)
        if over:
            said = "what it says is none of our frames" if channel.heard_bytes else "it is silent"
            raise LinkTimeout(
                f"no firmware of ours answers at {channel.link.url}: {said}",
                "flash the board: mcu-hybrid flash DIR --board NAME",
            )


def _require_free(channel: Channel) -> None:
    """Raise LinkError where the link can tell that another program has the board."""
    is_taken = getattr(channel.link, "is_taken", None)
    if is_taken is not None and is_taken():
        raise LinkError(
            f"{channel.link.url} is in use by another program",
            "wait for it, or close it (another mcu-hybrid, a terminal): a board has one host",
        )
