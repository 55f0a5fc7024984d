"""A link inside one process: what is written goes to a function, what it returns can be read."""

from __future__ import annotations

from collections.abc import Callable

from mcu_hybrid.errors import LinkError


class MemoryLink:
    """A board in memory, for tests: ``peer`` gets each write and returns the answer."""

    def __init__(self, peer: Callable[[bytes], bytes], url: str = "memory:") -> None:
        self.url = url
        self._peer = peer
        self._pending = bytearray()
        self._closed = False

    def read(self, n: int, timeout: float) -> bytes:
        """Return up to n bytes of what the peer has answered; never waits."""
        chunk = bytes(self._pending[:n])
        del self._pending[:n]
        return chunk

    def write(self, data: bytes) -> None:
        """Hand the bytes to the peer."""
        if self._closed:
            raise LinkError(f"{self.url} is closed")
        self._pending += self._peer(data)

    def close(self) -> None:
        """Refuse further writes."""
        self._closed = True
