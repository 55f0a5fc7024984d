"""A program that speaks on its standard input and output: the firmware of board ``native``."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile

from mcu_hybrid.errors import LinkError

_STOP_TIMEOUT_S = 2.0  # the firmware ends with its input, at once; then it is killed


class ChildLink:
    """Starts the program on construction and ends it on close."""

    def __init__(self, program: str) -> None:
        self.url = f"child:{program}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the link
        # With MH_PORT set it would listen on a socket instead.
        environment = {key: value for key, value in os.environ.items() if key != "MH_PORT"}
        try:
            self._process = subprocess.Popen(
                [program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                bufsize=0,
                env=environment,
            )
        except OSError as error:
            self._log.close()
            raise LinkError(
                f"cannot start {program}: {error.strerror}",
                "build it with: mcu-hybrid build --board native",
            ) from error

    def read(self, n: int, timeout: float) -> bytes:
        """Return what has arrived, at most n bytes; b"" after ``timeout`` seconds."""
        assert self._process.stdout is not None  # PIPE above
        ready, _, _ = select.select([self._process.stdout], [], [], max(timeout, 0.0))
        if not ready:
            return b""
        data = os.read(self._process.stdout.fileno(), n)
        if not data:
            raise self._ended()
        return data

    def write(self, data: bytes) -> None:
        """Send all bytes."""
        assert self._process.stdin is not None  # PIPE above
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._process.stdin.fileno(), view) :]
        except OSError as error:
            raise self._ended() from error

    def close(self) -> None:
        """Close its input, on which it ends by itself; kill it where it does not."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _ended(self) -> LinkError:
        try:
            code: int | None = self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            code = None
        self._log.seek(0)
        tail = self._log.read().decode("utf-8", "replace").strip()[-2000:]
        return LinkError(
            f"{self.url} ended (exit code {code})" + (f":\n{tail}" if tail else ""),
            "a fault of the firmware: run its self-test and report the text above",
        )
