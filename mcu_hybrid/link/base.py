"""What a link is: bytes in order, in both directions. No frames, no retries."""

from __future__ import annotations

from typing import Protocol


class Link(Protocol):
    """A byte stream to one board; its methods raise LinkError where the stream has broken."""

    url: str

    def read(self, n: int, timeout: float) -> bytes:
        """Return what has arrived, 1 to n bytes; b"" where nothing came within ``timeout`` s."""

    def write(self, data: bytes) -> None:
        """Send all bytes."""

    def close(self) -> None:
        """Release the port; a second call does nothing."""
