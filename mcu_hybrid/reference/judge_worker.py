"""TFLM's host interpreter in a process of its own; judge.py starts this file and talks to it.

Why a process: TFLM ends the one that it runs in where a file breaks its assumptions. Here: models
in, outputs out, over stdin and stdout. Not here: edges, metadata and errors (judge.py). Imports
nothing of ours, so that it starts quickly. It ends when its parent does: then stdin ends.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

FIRST_ARENA_BYTES = 4 << 20  # fits what boards run at the first try
LAST_ARENA_BYTES = 1 << 30  # a model that needs more is none of a board's
_GROWTH = 4  # five tries from the first to the last
_NO_ROOM = ("missing:", "arena", "failed to allocate", "failed to resize")


def _said_since(start: int) -> str:
    """What TFLM has written to standard error (a file) since ``start``."""
    return os.pread(2, 1 << 16, start).decode("utf-8", "replace").strip()


def _last(said: str) -> str:
    """The last lines of a text, as one."""
    return " ".join(" ".join(said.splitlines()[-3:]).split())[-300:]


def _load(runtime: Any, data: bytes) -> Any:
    """The interpreter, its arena as large as it asks for; RuntimeError with what TFLM said."""
    arena_bytes = max(FIRST_ARENA_BYTES, 10 * len(data))
    while True:
        start = os.lseek(2, 0, os.SEEK_END)
        try:
            return runtime.Interpreter.from_bytes(data, arena_size=arena_bytes)
        except Exception as error:  # the wrapper raises bare RuntimeError and SystemError
            said = _said_since(start)
            lacks_room = any(sign in said.lower() for sign in _NO_ROOM)
            if not lacks_room or arena_bytes * _GROWTH > LAST_ARENA_BYTES:
                raise RuntimeError(f"{error}; {_last(said)}") from error
        arena_bytes *= _GROWTH


def _run(interpreter: Any, inputs: list[Any], outputs: int) -> list[Any]:
    interpreter.reset()
    for index, array in enumerate(inputs):
        interpreter.set_input(array, index)
    interpreter.invoke()
    return [interpreter.get_output(i) for i in range(outputs)]


def _serve(requests: Connection, answers: Connection) -> None:
    """Answer requests (what, model, payload, models to forget) until there are no more."""
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        answers.send(("missing", str(error)))
        return
    answers.send(("ready", ""))
    models: dict[int, Any] = {}
    while True:
        try:
            what, model, payload, forgotten = requests.recv()
        except EOFError:
            return
        for old in forgotten:
            models.pop(old, None)
        start = os.lseek(2, 0, os.SEEK_END)
        try:
            if what == "load":
                models[model] = _load(runtime, payload)
                answers.send(("done", None))
            else:
                answers.send(("done", _run(models[model], *payload)))
        except Exception as error:  # told to the parent, which knows what was asked
            what_tflm_said = "" if what == "load" else f"; {_last(_said_since(start))}"
            answers.send(("failed", f"{error}{what_tflm_said}"))


def main() -> None:
    """Serve the parent; what TFLM prints goes to standard error, whatever it prints to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    answers = Connection(os.dup(1), readable=False)
    os.dup2(2, 1)
    try:
        _serve(Connection(os.dup(0), writable=False), answers)
    except (BrokenPipeError, ConnectionResetError):  # the parent is gone
        sys.exit(0)


if __name__ == "__main__":
    main()
