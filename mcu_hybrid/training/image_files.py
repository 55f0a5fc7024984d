"""Images in folders or in a zip: found, read, labelled by their folder.

Which file is of which class and split says ``image_tree``, what its pixels are ``image_decode``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mcu_hybrid.errors import DataError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.training import archives, file_kinds, image_decode, image_tree
from mcu_hybrid.training.image_folders import Found

SUFFIXES = file_kinds.SUFFIXES
_NO_ZIP = "is not a zip file, or is damaged"


@dataclass(frozen=True)
class Images:
    """uint8 [N, H, W, C], labels [N], and which are of a test folder (None: no such split).

    ``calibration`` marks those of a validation folder beside one for testing.
    ``left_out`` counts files by reason, ``notes`` says what was changed on the way.
    """

    x: np.ndarray
    y: np.ndarray
    labels: tuple[str, ...]
    test: np.ndarray | None
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    calibration: np.ndarray | None = None


@dataclass(frozen=True)
class _Source:
    """Names of files and folders, and how to read a file."""

    names: list[str]
    folders: list[str]
    read: Callable[[str], bytes]
    left_out: Mapping[str, int]


def read_images(
    path: Path, size: tuple[int, int] | None, on_event: OnEvent | None = None
) -> Images:
    """Read CLASS/x.png or train/CLASS/x.png and test/CLASS/x.png from a folder or a .zip.

    Raises:
        DataError: no images, one class, an unreadable image, several sizes without ``size``, or
            folders that can be read in two ways.
    """
    image_decode.pillow()
    with _folder(path) if path.is_dir() else _archive(path) as source:
        tree = image_tree.read_tree(path, source.names, source.folders)
        x, notes = _decoded(path, tree.files, source.read, size, on_event)
    labels = tuple(sorted({f.label for f in tree.files}))
    y = np.array([labels.index(f.label) for f in tree.files])
    masks = [np.array([f.split == kind for f in tree.files]) for kind in ("test", "val")]
    test, calibration = (mask if mask.any() and not mask.all() else None for mask in masks)
    left_out = Counter(tree.left_out) + Counter(source.left_out)
    notes = [*tree.notes, *notes]
    return Images(x, y, labels, test, dict(left_out), tuple(notes), calibration)


def _decoded(
    path: Path,
    found: tuple[Found, ...],
    read: Callable[[str], bytes],
    size: tuple[int, int] | None,
    on_event: OnEvent | None,
) -> tuple[np.ndarray, list[str]]:
    """The pixels [N, H, W, C] and what was changed; grey only if every image is."""
    seen = Counter[str]()
    images: list[np.ndarray] = []
    if size is not None:
        archives.check_room(path, (*size, 1), len(found))
    for done, file in enumerate(found):
        try:
            images.append(image_decode.decode(read(file.name), size, seen))
        except ValueError as error:
            raise DataError(
                f"image '{file.name}' cannot be read: {error}", "replace or remove it", path=path
            ) from error
        if not done:
            archives.check_room(path, images[0].shape, len(found))
        if images[-1].shape[:2] != images[0].shape[:2]:
            raise DataError(
                f"'{file.name}' is {images[-1].shape[1]} x {images[-1].shape[0]} pixels, "
                f"'{found[0].name}' is {images[0].shape[1]} x {images[0].shape[0]}",
                "give --size HEIGHTxWIDTH to resize them",
                path=path,
            )
        if on_event and (done % 500 == 499 or done + 1 == len(found)):
            on_event("read images", done + 1, len(found))
    notes = [f"{count} images {what}" for what, count in seen.items() if count]
    colour = sum(i.shape[2] == 3 for i in images)
    if 0 < colour < len(images):
        notes.append(f"{len(images) - colour} grey images among {colour} in colour: made colour")
    if colour:
        images = [np.broadcast_to(i, (*i.shape[:2], 3)) for i in images]
    return np.stack(images), notes


@contextmanager
def _folder(path: Path) -> Iterator[_Source]:
    """A folder as it is seen: links are followed, broken ones counted."""
    names: list[str] = []
    folders: list[str] = []
    left_out = Counter[str]()

    def failed(error: OSError) -> None:
        raise DataError(
            f"folder '{error.filename}' cannot be read: {error.strerror}",
            "give yourself the right to read it",
            path=path,
        ) from error

    above = {str(path): frozenset({os.path.realpath(path)})}
    for where, below, files in os.walk(path, onerror=failed, followlinks=True):
        real = above.pop(where)
        for name in list(below):
            inside = os.path.join(where, name)
            if os.path.realpath(inside) in real:  # a link to a folder that it lies in
                below.remove(name)
                left_out["links to a folder above"] += 1
                continue
            above[inside] = real | {os.path.realpath(inside)}
            folders.append(Path(inside).relative_to(path).as_posix())
        for name in files:
            file = Path(where, name)
            if file.is_file():
                names.append(file.relative_to(path).as_posix())
            else:
                left_out["broken links" if file.is_symlink() else "no regular files"] += 1

    def read(name: str) -> bytes:
        try:
            return (path / name).read_bytes()
        except OSError as error:
            raise ValueError(error.strerror) from error

    yield _Source(names, folders, read, left_out)


@contextmanager
def _archive(path: Path) -> Iterator[_Source]:
    """A zip; names made on Windows may have backslashes, and the last of two of a name counts."""
    with archives.opened(path, _NO_ZIP, "copy or download it again") as archive:
        left_out = Counter[str]()
        infos = {}
        folders = []
        for info in archive.infolist():
            name = "/".join(p for p in info.filename.replace("\\", "/").split("/") if p != ".")
            if name.endswith("/") or info.is_dir():
                folders.append(name.strip("/"))
                continue
            name = name.lstrip("/")
            left_out["twice in the zip under one name"] += name in infos
            infos[name] = info
        archives.check_sizes(path, archive)
        yield _Source(
            list(infos),
            [name for name in folders if name],
            lambda name: archives.read(path, archive, infos[name]),
            +left_out,
        )
