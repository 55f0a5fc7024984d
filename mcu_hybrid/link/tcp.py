"""A socket: the console of an emulated board (the same stream that pyserial's socket:// opens)."""

from __future__ import annotations

import contextlib
import socket

from mcu_hybrid.errors import LinkError

_CONNECT_TIMEOUT_S = 5.0
_WRITE_TIMEOUT_S = 60.0


class TcpLink:
    """Connects on construction; raises LinkError where nobody listens."""

    def __init__(self, host: str, port: int) -> None:
        self.url = f"socket://{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), _CONNECT_TIMEOUT_S)
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

    def _broken(self, why: str) -> LinkError:
        return LinkError(
            f"the connection to {self.url} broke: {why}",
            "see with 'mcu-hybrid boards' whether the virtual board still runs",
        )
