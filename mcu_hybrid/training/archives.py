"""Zip files that may lie: encrypted, damaged, bombs, arrays whose header claims what is not there.

Whatever is wrong with the container is one DataError that names the file and the entry. What the
entries mean is the business of ``image_files`` and ``data``.
"""

from __future__ import annotations

import contextlib
import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from mcu_hybrid.errors import DataError

# zipfile, zlib and numpy raise a different class for each way in which bytes can be wrong: down to
# the tokeniser's, which reads headers of .npy files.
BROKEN = Exception
_ENCRYPTED = 1  # bit of the flags
_BOMB_BYTES, _BOMB_RATIO = 1 << 30, 100  # pictures hardly shrink in a zip
_ENTRY_BYTES = 1 << 29  # of one picture
_ALLOWED_HEADERS = {(1, 0): "read_array_header_1_0", (2, 0): "read_array_header_2_0"}


def memory_bytes() -> int:
    """The memory of the machine, or of the container; a large number where neither says."""
    try:
        bytes_ = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        bytes_ = 1 << 62
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            bytes_ = min(bytes_, int(Path("/sys/fs/cgroup", name).read_text()))
    return bytes_


@contextmanager
def opened(path: Path, wrong: str, hint: str) -> Iterator[zipfile.ZipFile]:
    """The zip file at ``path``; raises DataError (fact ``wrong``) where it is none or damaged."""
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise DataError("does not exist", "check the path of --data", path=path) from error
    except BROKEN as error:
        raise DataError(f"{wrong}: {_fact(error)}", hint, path=path) from error
    with archive:
        yield archive


def check_sizes(path: Path, archive: zipfile.ZipFile, hint: str = "") -> None:
    """Refuse a zip that unpacks to far more than pictures do."""
    claimed = sum(info.file_size for info in archive.infolist())
    limit = max(_BOMB_BYTES, _BOMB_RATIO * path.stat().st_size)
    if claimed > limit:
        raise DataError(
            f"unpacks to {claimed >> 20:,} MiB from {path.stat().st_size:,} bytes, as a zip bomb",
            hint or "unpack it, look at what is inside, and give the folder",
            path=path,
        )


def read(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """One entry, whole; raises DataError where it is encrypted, damaged or larger than it says."""
    _check_plain(path, info)
    limit = min(info.file_size, _ENTRY_BYTES)
    try:
        with archive.open(info) as stream:
            data = stream.read(limit + 1)
            if len(data) > limit:
                raise ValueError(f"unpacks to more than {limit:,} bytes")
    except BROKEN as error:
        raise _damaged(path, info.filename, error) from error
    if len(data) != info.file_size:
        raise _damaged(path, info.filename, EOFError("ends early"))
    return data


def read_arrays(
    path: Path, keys: tuple[str, ...], hint: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays ``keys`` of an .npz, as far as they are there; and the names of all."""
    with opened(path, "cannot be read as .npz", hint) as archive:
        check_sizes(path, archive, hint)
        infos = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        found = {}
        for key in keys:
            if key in infos:
                _check_plain(path, infos[key])
                try:
                    with archive.open(infos[key]) as stream:
                        found[key] = _array(stream, infos[key].file_size)
                except BROKEN as error:
                    raise _damaged(path, key, error, hint) from error
        return found, sorted(infos)


def _array(stream: IO[bytes], size_bytes: int) -> np.ndarray:
    """An .npy of ``size_bytes``; nothing is allocated before header and size agree."""
    version = np.lib.format.read_magic(stream)
    reader = _ALLOWED_HEADERS.get(version)
    if reader is None:
        raise ValueError(f"has version {version} of the .npy format")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        shape, fortran, dtype = getattr(np.lib.format, reader)(stream)
    if dtype.hasobject:
        raise ValueError("holds Python objects, which are not loaded; save numbers or strings")
    needed_bytes = prod(int(side) for side in shape) * dtype.itemsize
    there_bytes = size_bytes - stream.tell()
    if needed_bytes != there_bytes:
        raise ValueError(
            f"its header says {needed_bytes:,} bytes of {dtype} {tuple(shape)}, "
            f"{there_bytes:,} are there"
        )
    if needed_bytes > memory_bytes():
        raise ValueError(f"needs {needed_bytes >> 20:,} MiB, more than this machine has")
    array = np.empty(prod(shape), dtype)
    view = array.view(np.uint8).data if needed_bytes else memoryview(b"")
    filled = 0
    while filled < needed_bytes:
        block = stream.read(min(1 << 24, needed_bytes - filled))
        if not block:
            raise EOFError(f"ends after {filled:,} of {needed_bytes:,} bytes")
        view[filled : filled + len(block)] = block
        filled += len(block)
    stream.read(1)  # the checksum is looked at only here
    return array.reshape(shape[::-1]).transpose() if fortran else array.reshape(shape)


def _check_plain(path: Path, info: zipfile.ZipInfo) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise DataError(
            f"'{info.filename}' is encrypted",
            "unpack it with its password and give the folder, or zip it again without one",
            path=path,
        )


def _damaged(path: Path, name: str, error: BaseException, hint: str = "") -> DataError:
    if _is_unknown_method(error):
        hint = "unpack it with the program that made it and give the folder"
    return DataError(
        f"'{name}' in it cannot be read: {_fact(error)}",
        hint or "copy or download it again",
        path=path,
    )


def _is_unknown_method(error: BaseException) -> bool:
    """A method that only other programs unpack: Deflate64 of Windows' own zips, AES."""
    return isinstance(error, NotImplementedError)


def _fact(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_room(path: Path, shape: tuple[int, ...], count: int) -> None:
    """Refuse before minutes of reading what the memory cannot hold."""
    needed_bytes = 2 * count * int(np.prod(shape, dtype=object))  # single images, then one array
    have_bytes = memory_bytes()
    if needed_bytes > have_bytes:
        raise DataError(
            f"{count:,} images of {shape[1]} x {shape[0]} pixels need {needed_bytes >> 20:,} MiB, "
            f"this machine has {have_bytes >> 20:,}",
            "give a smaller --size HEIGHTxWIDTH",
            path=path,
        )
