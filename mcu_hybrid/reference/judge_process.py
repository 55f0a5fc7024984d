"""The process that TFLM runs in, as the judge sees it: started once, shared by all judges.

Here: starting, asking, and telling how it died. Not here: what is asked (judge.py), and what runs
inside (judge_worker.py).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mcu_hybrid.errors import MissingTool, ModelError

INSTALL = "pip install --pre tflite-micro"
_HINT = "the comparison is with TFLM: use operators and options that it runs"
_numbers = itertools.count()
_lock = threading.Lock()
_running: TflmProcess | None = None


class Unjudged(ModelError):
    """TFLM refuses a model, or dies of it: there is nothing to compare with."""


def is_installed() -> bool:
    """True where the package tflite-micro is there (it is not imported)."""
    return find_spec("tflite_micro") is not None


class TflmModel:
    """A model that is loaded in the process; loaded again where another one's death took it away.

    Raises:
        MissingTool: tflite-micro is not installed.
        Unjudged: TFLM refuses the model, or died of it.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._number = next(_numbers)
        self._home: TflmProcess | None = None
        self._died = ""
        with _lock:
            self._settle()

    def run(self, inputs: list[Any], outputs: int) -> list[Any]:
        """One inference from a fresh state."""
        with _lock:
            home = self._settle()
            return list(self._ask(home, "run", (inputs, outputs), "ran"))

    def _settle(self) -> TflmProcess:
        if self._died:
            raise Unjudged(self._died, _HINT)
        if self._home is None or not self._home.is_alive():
            home = _process()
            self._ask(home, "load", self._data, "prepared")
            weakref.finalize(self, home.forgotten.append, self._number)
            self._home = home
        return self._home

    def _ask(self, home: TflmProcess, what: str, payload: Any, doing: str) -> Any:
        try:
            answer, content = home.ask((what, self._number, payload))
        except (EOFError, OSError) as error:
            cause, said = home.end()
            tail = f"; it said: {said}" if said else ""
            self._died = f"TFLM itself died ({cause}) while it {doing} the model{tail}"
            raise Unjudged(self._died, _HINT) from error
        if answer == "done":
            return content
        raise Unjudged(f"TFLM's interpreter refuses the model: {content}", _HINT)


class TflmProcess:
    """A running judge_worker.py; ``forgotten`` are models that nobody will ask for again."""

    def __init__(self) -> None:
        self.forgotten: list[int] = []
        self._owner = os.getpid()
        self._said_before = 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        worker = Path(__file__).with_name("judge_worker.py")
        # -P: the folder of the worker is no place to import from.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to = Connection(os.dup(self._process.stdin.fileno()), readable=False)
        self._from = Connection(os.dup(self._process.stdout.fileno()), writable=False)
        self._process.stdin.close()
        self._process.stdout.close()
        self._end = weakref.finalize(
            self, _kill, self._process, (self._to, self._from, self._log), self._owner
        )
        try:
            answer, text = self._from.recv()
        except (EOFError, OSError) as error:
            cause, said = self.end()
            raise Unjudged(f"TFLM's process did not start ({cause}); {said}", _HINT) from error
        if answer == "missing":
            self.end()
            raise _missing() from ImportError(text)

    def is_alive(self) -> bool:
        """False once it has ended, and in a process that was forked off its owner."""
        return self._owner == os.getpid() and self._end.alive and self._process.poll() is None

    def ask(self, request: tuple[Any, ...]) -> tuple[str, Any]:
        """Send a request and wait for its answer; EOFError or OSError where the process died."""
        old, self.forgotten[:] = list(self.forgotten), []
        self._said_before = os.fstat(self._log.fileno()).st_size
        self._to.send((*request, old))
        answer: tuple[str, Any] = self._from.recv()
        return answer

    def end(self) -> tuple[str, str]:
        """What ended it, as a word, and the last that it said since it was asked."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        code = self._process.poll()
        said = os.pread(self._log.fileno(), 1 << 16, self._said_before).decode("utf-8", "replace")
        self._end()
        return _cause(code), " ".join(said.split())[-300:]


def _cause(code: int | None) -> str:
    if code is None:
        return "no answer"
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _missing() -> MissingTool:
    return MissingTool(
        "the Python package tflite-micro (TFLM's host interpreter) is not installed", INSTALL
    )


def _process() -> TflmProcess:
    """The running process, or a new one."""
    global _running  # one for all judges: starting costs more than most models
    if not is_installed():
        raise _missing()
    if _running is None or not _running.is_alive():
        _running = TflmProcess()
    return _running


def _kill(process: subprocess.Popen[bytes], ends: tuple[Any, ...], owner: int) -> None:
    """End the process with whoever no longer needs it; not from a fork of its owner."""
    for end in ends:
        end.close()
    if os.getpid() == owner:
        process.kill()
        process.wait()
