"""A socket: the console of an emulated board (the same stream that pyserial's socket:// opens)."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

from mcu_hybrid.errors import LinkError

_CONNECT_TIMEOUT_S = 5.0  # a board on this machine answers at once; others wait for the same one
_WRITE_TIMEOUT_S = 60.0  # an emulator that computes reads nothing: longer than any layer may take


class TcpLink:
    """Connects on construction; raises LinkError where nobody listens."""

    def __init__(self, host: str, port: int) -> None:
        self.url = f"socket://{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), _CONNECT_TIMEOUT_S)
        except TimeoutError as error:  # of a listener on this machine: others wait for it too
            raise LinkError(
                f"{self.url} takes no connection: timed out",
                "does another program use this board? it has one host: wait for it, or close it; "
                "else see whether the address is right",
            ) from error
        except OSError as error:
            raise LinkError(
                f"nothing answers at {self.url}: {error}",
                "start the virtual board with: mcu-hybrid flash --board NAME",
            ) from error
        # Frames are small and wait for each other: never hold one back to fill a packet.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, n: int, timeout: float) -> bytes:
        """Return what has arrived, at most n bytes; b"" after ``timeout`` seconds."""
        self._socket.settimeout(max(timeout, 1e-4))
        try:
            data = self._socket.recv(n)
        except TimeoutError:
            return b""
        except OSError as error:
            raise self._broken(str(error)) from error
        if not data:
            raise self._broken("closed by the other side")
        return data

    def write(self, data: bytes) -> None:
        """Send all bytes."""
        self._socket.settimeout(_WRITE_TIMEOUT_S)
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._broken(str(error)) from error

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def is_taken(self) -> bool:
        """True where another program of this machine is connected to the same console.

        A console serves one: the others' connections stand and hear nothing.
        """
        try:
            ours = _as_in_proc(self._socket.getsockname())
            theirs = _as_in_proc(self._socket.getpeername())
        except OSError:  # closed meanwhile, or no IPv4
            return False
        return any(theirs in ends and ours not in ends for ends in _connections())

    def _broken(self, why: str) -> LinkError:
        return LinkError(
            f"the connection to {self.url} broke: {why}",
            "see with 'mcu-hybrid boards' whether the virtual board still runs",
        )


def _as_in_proc(address: tuple[str, int]) -> str:
    """An IPv4 address as /proc/net/tcp writes it: the number in the machine's own byte order."""
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"


def _connections() -> list[tuple[str, str]]:
    """Both ends of each established connection; none where the system does not tell."""
    try:
        lines = Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [(field[1], field[2]) for field in fields if field[3] == "01"]
