"""The form of a run's journal: a line an entry, with a checksum each; one run writes the file.

Not here: when it is written and gone on with (journal.py).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mcu_hybrid import json_text
from mcu_hybrid.errors import InputError

VERSION = 1


def line(value: Mapping[str, object]) -> bytes:
    """A line with its own checksum: what a disk or a hand has changed is not gone on with."""
    text = json.dumps(value, separators=(",", ":"))
    return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()


@dataclass(frozen=True)
class Kept:
    """A line of the file."""

    split: str
    kind: str
    entry: object


def read(file: BinaryIO, path: Path) -> tuple[int, Mapping[str, object], list[Kept]]:
    """Bytes of the whole lines (a kill may have cut the last), the identity and the entries."""
    raw = file.read()
    whole = raw.rfind(b"\n") + 1
    try:
        if not whole:
            raise ValueError("it is empty")
        head, *lines = [_checked(line) for line in raw[:whole].splitlines()]
        if head["version"] != VERSION:
            raise ValueError(f"version {head['version']}, this tool reads {VERSION}")
        entries = [Kept(one["split"], one["kind"], one["entry"]) for one in lines]
        return whole, dict(head["identity"]), entries
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"is not what a run has kept, or was changed: {error}",
            "start anew with --restart",
            path=path,
        ) from error


def _checked(line: bytes) -> Mapping[str, Any]:
    crc, _, text = line.partition(b" ")
    if int(crc, 16) != zlib.crc32(text):
        raise ValueError(f"a line's checksum is wrong: {line[:40]!r}")
    found: Mapping[str, Any] = json_text.loads(text)
    return found


def locked(path: Path, flags: int = 0) -> BinaryIO:
    """The file, opened for this run alone; the lock goes with the process."""
    file = os.fdopen(os.open(path, os.O_RDWR | flags, 0o644), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise InputError(
            "another run is writing it", "wait for its end, or choose another --out", path=path
        ) from error
    except OSError:
        pass  # a file system without locks
    return file


def copy(source: Path, target: Path) -> None:
    """Copied whole or not at all."""
    part = target.with_name(f"{target.name}.part")
    try:
        shutil.copyfile(source, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
