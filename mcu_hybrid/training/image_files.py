"""Images in folders or in a zip: found, decoded, labelled by their folder. Pillow only here."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from mcu_hybrid.errors import DataError, MissingTool

OnEvent = Callable[[str, int, int], None]
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
_TEST_NAMES = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class Images:
    """uint8 [N, H, W, C], labels [N], and which are of a test folder (None: no such split)."""

    x: np.ndarray
    y: np.ndarray
    labels: tuple[str, ...]
    test: np.ndarray | None


def read_images(
    path: Path, size: tuple[int, int] | None, on_event: OnEvent | None = None
) -> Images:
    """Read CLASS/x.png or train/CLASS/x.png and test/CLASS/x.png from a folder or a .zip.

    Raises:
        DataError: no images, one class, an unreadable image, several sizes without ``size``.
    """
    if path.is_dir():
        files = {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*")) if p.is_file()}
        return _images(path, list(files), lambda name: files[name].read_bytes(), size, on_event)
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(n for n in archive.namelist() if not n.endswith("/"))
            return _images(path, names, archive.read, size, on_event)
    except FileNotFoundError as error:
        raise DataError("does not exist", "check the path of --data", path=path) from error
    except zipfile.BadZipFile as error:
        raise DataError(
            f"is not a zip file, or is damaged: {error}", "copy or download it again", path=path
        ) from error


def _images(
    path: Path,
    names: list[str],
    read: Callable[[str], bytes],
    size: tuple[int, int] | None,
    on_event: OnEvent | None,
) -> Images:
    """Decode CLASS/x.png or SPLIT/CLASS/x.png; every image becomes grey only if all are."""
    found = list(_classified(names))
    if not found:
        raise DataError(
            "holds no images in class folders", "expected CLASS/image.png inside", path=path
        )
    labels = tuple(sorted({label for _, label, _ in found}))
    if len(labels) < 2:
        raise DataError(f"has only one class, '{labels[0]}'", "give at least two", path=path)
    images: list[np.ndarray] = []
    for done, (name, _, _) in enumerate(found):
        images.append(_decode(path, name, read(name), size))
        if images[-1].shape[:2] != images[0].shape[:2]:
            raise DataError(
                f"'{name}' is {images[-1].shape[1]} x {images[-1].shape[0]} pixels, "
                f"'{found[0][0]}' is {images[0].shape[1]} x {images[0].shape[0]}",
                "give --size HEIGHTxWIDTH to resize them",
                path=path,
            )
        if on_event and (done % 500 == 499 or done + 1 == len(found)):
            on_event("read images", done + 1, len(found))
    if any(i.shape[2] == 3 for i in images):
        images = [np.broadcast_to(i, (*i.shape[:2], 3)) for i in images]
    y = np.array([labels.index(label) for _, label, _ in found])
    test = np.array([is_test for _, _, is_test in found])
    fixed = test if test.any() and not test.all() else None
    return Images(np.stack(images), y, labels, fixed)


def _classified(names: list[str]) -> Iterator[tuple[str, str, bool]]:
    """(name, class, in the test split) of each image file; splits count where train/ is there."""
    images = [n for n in names if PurePosixPath(n).suffix.lower() in SUFFIXES]
    parts = {n: PurePosixPath(n).parts for n in images if "__MACOSX" not in n}
    has_splits = any("train" in p[:-2] for p in parts.values())
    for name, folders in parts.items():
        if len(folders) < 2 or folders[-1].startswith("."):
            continue
        yield name, folders[-2], has_splits and any(t in folders[:-2] for t in _TEST_NAMES)


def _decode(path: Path, name: str, data: bytes, size: tuple[int, int] | None) -> np.ndarray:
    """One image as uint8 [H, W, 1 or 3]; DataError naming the file where it is not readable."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingTool("Pillow is not installed", "pip install pillow") from error
    try:
        with Image.open(io.BytesIO(data)) as file:
            grey = file.mode in ("1", "L", "I", "I;16", "F")
            image = file.convert("L" if grey else "RGB")
            if size is not None and image.size != (size[1], size[0]):
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            pixels = np.asarray(image, np.uint8)
    except Exception as error:  # Pillow raises a different class for each broken format
        raise DataError(
            f"image '{name}' cannot be read: {error}", "replace or remove it", path=path
        ) from error
    return pixels.reshape(*pixels.shape[:2], -1)
