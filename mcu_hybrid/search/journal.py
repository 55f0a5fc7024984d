"""Optuna's journal file with a lock and an end that survive a kill at any moment.

Optuna's own locks are files that a killed process leaves behind (others then wait 30 s). This one
is ``flock``: the system releases it with the process, on Linux over NFS too.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.storages.journal._file import BaseJournalFileLock


class _Flock(BaseJournalFileLock):
    """An exclusive ``flock`` on PATH.lock."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.name}.lock")
        self.handle = -1

    def acquire(self) -> bool:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX)
        self.handle = handle
        return True

    def release(self) -> None:
        os.close(self.handle)


def open_journal(path: Path) -> Any:
    """The storage; a line that a full disk or a power cut left unfinished is taken off.

    Raises:
        OSError: the file or its folder cannot be written.
        ValueError: the file is no journal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _Flock(path)
    lock.acquire()
    try:
        _mend(path)
    finally:
        lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _mend(path: Path) -> None:
    """Cut the file behind its last whole line."""
    if not path.exists():
        return
    with path.open("r+b") as stream:
        data = stream.read()
        if data and not data.startswith(b"{"):
            raise ValueError("it is not a journal of Optuna")
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            stream.truncate(whole)
