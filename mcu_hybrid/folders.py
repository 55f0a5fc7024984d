"""Folders that appear whole: drafts beside their target, put in its place in one step.

A draft is locked while its process lives, so one whose process was killed can be told from one that
is being written, and is swept by the next step that writes there. Not here: what is in the folders
(manifest.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errno of a write that finds none
_RENAME_EXCHANGE = 2  # renameat2(2)
_AT_FDCWD = -100  # of fcntl.h: paths are from the working folder
_TRIES = 200  # of 10 ms
_RANDOM = "[a-z0-9_]{8}"  # what tempfile.mkdtemp appends


def draft(target: Path) -> tuple[Path, int]:
    """A new folder beside ``target``, and the descriptor that marks it as being written.

    Close the descriptor when the draft is moved or removed. Raises OSError.
    """
    with _only_one(target.parent):
        _sweep(target)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        held = os.open(beside, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):  # a file system without locks: drafts are not swept
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return beside, held


@contextlib.contextmanager
def _only_one(parent: Path) -> Iterator[None]:
    """Between a draft's making and its lock nobody may take it for one that was left."""
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:  # somebody locks the folder for a purpose of their own: not for ever
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _sweep(target: Path) -> None:
    """Remove the drafts of ``target`` that killed processes have left.

    An earlier result that one of them had moved aside goes back where it was.
    """
    name = re.compile(rf"\.{re.escape(target.name)}\.{_RANDOM}(\.old)?")
    for folder in target.parent.iterdir():
        found = name.fullmatch(folder.name)
        if found is None or folder.is_symlink() or not folder.is_dir() or not _is_left(folder):
            continue
        if found[1] and not target.exists():
            folder.rename(target)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """True where no living process holds the draft."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def write_whole(path: Path, data: bytes) -> None:
    """A file that appears whole or not at all; a pipe or device is written as it is.

    Raises OSError, which names the file.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)


def move_over(beside: Path, target: Path) -> None:
    """Put the finished draft in the target's place; at no moment is neither of them there.

    What the draft holds is on the disk before the earlier result goes. Raises OSError.
    """
    _sync(beside)
    if not target.exists():
        beside.rename(target)
    elif not _exchange(beside, target):
        _replace(beside, target)
    _sync_file(target.parent)


def _replace(beside: Path, target: Path) -> None:
    """Two renames, where there is no exchange: ``_sweep`` mends what a kill leaves between."""
    old = beside.with_name(f"{beside.name}.old")
    target.rename(old)
    try:
        beside.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is None:
        return False
    names = (os.fsencode(one), os.fsencode(other))
    if swap(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            _sync_file(path)
    _sync_file(folder)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EROFS, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
