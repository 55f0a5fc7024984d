"""Any stdout and stderr do: no character, no closed stream and no full disk costs a result.

What is printed is the verbs' business. A stdout that cannot be written is an error, of which
cli/__init__.py tells: the result is lost. A stderr that cannot be written is none: it holds
progress, warnings and errors, and the exit code stands.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO


def let_any_do() -> None:
    """Make both streams take every character; a stderr that fails is written to nobody."""
    _hold_descriptors()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller (>&-)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper) and not isinstance(sys.stderr.buffer, _Lossy):
        sys.stderr = _lossy(sys.stderr)


def drop(stream: TextIO) -> None:
    """Give what the stream still holds to nobody: Python flushes it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _hold_descriptors() -> None:
    """Open 0, 1 and 2 where the caller closed them.

    Else the next file or socket gets such a number, and a library's own messages go into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)


def _lossy(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    encoding = stream.encoding
    return io.TextIOWrapper(
        _Lossy(stream), encoding, "replace", line_buffering=True, write_through=True
    )


class _Lossy(io.RawIOBase):
    """The bytes of a text stream; what cannot be written is gone."""

    name = "<stderr>"

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream  # kept: its end would close the descriptor

    def writable(self) -> bool:
        """Yes."""
        return True

    def fileno(self) -> int:
        """That of the stream itself."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """As the stream itself."""
        return self._stream.isatty()

    def write(self, data: Any) -> int:
        """Write what can be written, and say that all was."""
        try:
            self._stream.buffer.write(data)
            self._stream.buffer.flush()
        except OSError:
            drop(self._stream)
        return len(data)
