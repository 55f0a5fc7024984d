"""Data sets: read, checked, split. Images are uint8 NHWC, labels integers; no torch here.

Sources: ``digits`` (scikit-learn's scans), an image folder or a zip of one (CLASS/x.png, or
train/CLASS/x.png and test/CLASS/x.png), an ``.npz`` with x and y, or the user's ``module:function``.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mcu_hybrid.errors import DataError, McuHybridError, MissingTool
from mcu_hybrid.nets import load_callable

OnEvent = Callable[[str, int, int], None]
SPLITS = ("fit", "router", "calibration", "test")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
MIN_PER_CLASS = 8  # two per split
_TEST_NAMES = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class Dataset:
    """Images x uint8 [N, H, W, C], y int64 [N], and which ones the source calls its test split."""

    name: str
    x: np.ndarray
    y: np.ndarray
    labels: tuple[str, ...]
    fixed_test_mask: np.ndarray | None
    digest: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels of one image."""
        height, width, channels = self.x.shape[1:]
        return int(height), int(width), int(channels)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.labels)


def load_data(
    spec: str,
    *,
    size: tuple[int, int] | None = None,
    on_event: OnEvent | None = None,
) -> Dataset:
    """Read a data set.

    Args:
        spec: ``digits``, a path to a folder, .zip or .npz, or ``module:function``.
        size: height and width that images of folders and zips are resized to; without it they must
            all have one size.

    Raises:
        DataError: nothing there, one class, an unreadable image, shapes that do not fit.
    """
    path = Path(spec)
    if spec == "digits":
        return _digits()
    if path.suffix == ".npz":
        return _npz(path)
    if path.is_dir():
        files = {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*")) if p.is_file()}
        return _images(path, list(files), lambda name: files[name].read_bytes(), size, on_event)
    if path.suffix == ".zip":
        return _zip(path, size, on_event)
    if ":" in spec and not path.exists():
        return _callable(spec)
    raise DataError(
        "is neither a folder, a .zip, an .npz nor module:function",
        "give 'digits', a folder with one folder of images per class, or one of the above",
        path=spec,
    )


def split(
    data: Dataset, shares: tuple[float, float, float, float], seed: int
) -> dict[str, np.ndarray]:
    """Sorted, disjoint indices for fit, router, calibration and test; stratified by class.

    A test split that the source brings is kept as it is; the other three then share the rest.
    """
    rng = np.random.default_rng(seed)
    fixed = data.fixed_test_mask
    parts: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}
    names = SPLITS if fixed is None else SPLITS[:3]
    weights = np.array(shares[: len(names)]) / sum(shares[: len(names)])
    for label in range(data.classes):
        free = data.y == label if fixed is None else (data.y == label) & ~fixed
        indices = rng.permutation(np.flatnonzero(free))
        if len(indices) < MIN_PER_CLASS:
            raise DataError(
                f"class '{data.labels[label]}' has {len(indices)} images to train on",
                f"give at least {MIN_PER_CLASS} per class",
                path=data.name,
            )
        cuts = np.round(np.cumsum(weights)[:-1] * len(indices)).astype(int)
        for name, part in zip(names, np.split(indices, cuts), strict=True):
            parts[name].append(part)
    result = {name: np.sort(np.concatenate(parts[name])) for name in names}
    if fixed is not None:
        result["test"] = np.flatnonzero(fixed)
    for name, indices in result.items():
        if len(indices) == 0:
            raise DataError(f"no image is left for the {name} split", path=data.name)
    return result


def make_dataset(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    labels: tuple[str, ...] = (),
    test: np.ndarray | None = None,
) -> Dataset:
    """Check arrays and make them a Dataset; float images in [0, 1] become uint8.

    Args:
        x: [N, H, W] or [N, H, W, C] with 1 or 3 channels.
        y: [N] integers 0..K-1, or strings (sorted names become the labels).
        test: [N] booleans, True for the test split.
    """
    x, y = _check_images(name, np.asarray(x)), np.asarray(y)
    if y.shape != (len(x),):
        raise DataError(f"y has shape {y.shape}, x has {len(x)} images", path=name, key="y")
    if y.dtype.kind in "US":
        names, y = np.unique(y, return_inverse=True)
        labels = tuple(str(n) for n in names)
    if y.dtype.kind not in "iub" or y.min() < 0:
        raise DataError("labels must be integers 0..K-1 or strings", path=name, key="y")
    classes = len(labels) or int(y.max()) + 1
    present = np.unique(y)
    if len(present) < 2:
        raise DataError("has only one class", "give at least two", path=name)
    if int(y.max()) >= classes or len(present) < classes:
        raise DataError(
            f"{len(present)} of {classes} classes have images (largest label {int(y.max())})",
            "number the classes 0..K-1, each with images",
            path=name,
            key="y",
        )
    if test is not None:
        test = np.asarray(test, bool)
        if test.shape != y.shape or test.all() or not test.any():
            raise DataError("must mark some of the images, not all", path=name, key="test")
    y = y.astype(np.int64)
    labels = labels or tuple(str(i) for i in range(classes))
    digest = hashlib.sha256(repr((x.shape, labels)).encode())
    for array in (x, y) if test is None else (x, y, test):
        digest.update(np.ascontiguousarray(array).tobytes())
    return Dataset(name, x, y, labels, test, digest.hexdigest())


def _check_images(name: str, x: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, C], or a DataError that says what is there."""
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or x.shape[-1] not in (1, 3) or min(x.shape) < 1:
        raise DataError(
            f"images have shape {x.shape}",
            "give [N, H, W], or [N, H, W, C] with 1 or 3 channels",
            path=name,
            key="x",
        )
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    if x.dtype.kind == "f" and 0 <= float(x.min()) and float(x.max()) <= 1:
        return np.round(x * 255).astype(np.uint8)
    raise DataError(
        f"images are {x.dtype} from {x.min()} to {x.max()}",
        "give uint8, or floats in [0, 1]",
        path=name,
        key="x",
    )


def _digits() -> Dataset:
    """1,797 scans of 8 x 8 pixels that ship with scikit-learn; 0..16 is stretched to 0..255."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingTool("scikit-learn is not installed", "pip install scikit-learn") from error
    x, y = load_digits(return_X_y=True)
    images = np.round(x.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    return make_dataset("digits", images, y.astype(np.int64))


def _npz(path: Path) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except FileNotFoundError as error:
        raise DataError("does not exist", path=path) from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot be read as .npz: {error}", path=path) from error
    for key in ("x", "y"):
        if key not in arrays:
            raise DataError(f"has no array '{key}', only {sorted(arrays)}", path=path, key=key)
    labels = tuple(str(v) for v in arrays.get("labels", ()))
    return make_dataset(str(path), arrays["x"], arrays["y"], labels, arrays.get("test"))


def _callable(spec: str) -> Dataset:
    function = load_callable(spec)
    try:
        made = function()
    except McuHybridError:
        raise
    except Exception as error:  # the user's code: anything may come out of it
        raise DataError(f"failed with {type(error).__name__}: {error}", path=spec) from error
    if isinstance(made, Dataset):
        return made
    if not isinstance(made, tuple) or not 2 <= len(made) <= 3:
        raise DataError(
            f"returned {type(made).__name__}", "return (x, y) or (x, y, labels)", path=spec
        )
    return make_dataset(spec, made[0], made[1], tuple(str(v) for v in made[2:] and made[2]))


def _zip(path: Path, size: tuple[int, int] | None, on_event: OnEvent | None) -> Dataset:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(n for n in archive.namelist() if not n.endswith("/"))
            return _images(path, names, archive.read, size, on_event)
    except FileNotFoundError as error:
        raise DataError("does not exist", path=path) from error
    except zipfile.BadZipFile as error:
        raise DataError("is not a zip file, or is cut off", path=path) from error


def _images(
    path: Path,
    names: list[str],
    read: Callable[[str], bytes],
    size: tuple[int, int] | None,
    on_event: OnEvent | None,
) -> Dataset:
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
    return make_dataset(str(path), np.stack(images), y, labels, fixed)


def _classified(names: list[str]) -> Iterator[tuple[str, str, bool]]:
    """(name, class, in the test split) of each image file; splits count where train/ is there."""
    images = [n for n in names if PurePosixPath(n).suffix.lower() in IMAGE_SUFFIXES]
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
        with Image.open(io.BytesIO(data)) as image:
            grey = image.mode in ("1", "L", "I", "I;16", "F")
            image = image.convert("L" if grey else "RGB")
            if size is not None and image.size != (size[1], size[0]):
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            pixels = np.asarray(image, np.uint8)
    except Exception as error:  # Pillow raises a different class for each broken format
        raise DataError(
            f"image '{name}' cannot be read: {error}", "replace or remove it", path=path
        ) from error
    return pixels.reshape(*pixels.shape[:2], -1)


def describe(data: Dataset, splits: dict[str, np.ndarray]) -> dict[str, Any]:
    """Facts for the manifest: name, digest, shape, labels, images per split."""
    return {
        "name": data.name,
        "digest": data.digest,
        "shape": list(data.shape),
        "labels": list(data.labels),
        "images": {name: len(indices) for name, indices in splits.items()},
    }
