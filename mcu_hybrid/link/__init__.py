"""Byte streams to boards. ``open_link(url)`` is the way in; nothing here knows the protocol."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qs

from mcu_hybrid.errors import LinkError
from mcu_hybrid.link.base import Link
from mcu_hybrid.link.memory import MemoryLink

__all__ = ["Link", "MemoryLink", "is_serial_port", "open_link"]

_FORMS = "uart:/dev/ttyACM0?baud=921600, socket://127.0.0.1:5555 or child:PROGRAM"
_BAUD = 921_600  # that of the boards' files; what debug probes' serial ports still do
_PSEUDO_TERMINAL = re.compile(r"/dev/(pts/.*|pty.*|tty[a-ep-z][0-9a-f]|ttys\d+)")


def open_link(url: str) -> Link:
    """Open ``uart:PORT[?baud=N]``, ``socket://HOST:PORT`` or ``child:PROGRAM``."""
    scheme, _, rest = url.partition(":")
    if scheme == "uart" and rest:
        from mcu_hybrid.link.uart import UartLink

        port, _, query = rest.partition("?")
        return UartLink(port, _number(parse_qs(query).get("baud", [str(_BAUD)])[-1], url))
    if scheme == "socket" and rest.startswith("//"):
        from mcu_hybrid.link.tcp import TcpLink

        host, _, port = rest[2:].rpartition(":")
        return TcpLink(host or "127.0.0.1", _number(port, url))
    if scheme == "child" and rest:
        from mcu_hybrid.link.child import ChildLink

        return ChildLink(rest)
    raise LinkError(f"'{url}' is not a link", f"give one of the forms {_FORMS}")


def is_serial_port(url: str) -> bool:
    """True for a serial port of this machine; a socket or a pseudo-terminal may be an emulator."""
    scheme, _, rest = url.partition(":")
    port = rest.partition("?")[0]
    return scheme == "uart" and not _PSEUDO_TERMINAL.fullmatch(os.path.realpath(port))


def _number(text: str, url: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise LinkError(f"'{text}' in '{url}' is not a number", f"the forms are {_FORMS}")
    return int(text)
