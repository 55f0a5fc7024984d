"""Data sets: read, checked, split. Images are uint8 NHWC, labels integers; no torch here.

Sources: ``digits`` (scikit-learn's scans), an image folder or a zip of one (CLASS/x.png, or
train/CLASS/x.png and test/CLASS/x.png), an ``.npz`` with x and y, or ``module:function``.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid.errors import DataError, McuHybridError, MissingTool
from mcu_hybrid.nets import load_callable
from mcu_hybrid.training import image_files

OnEvent = Callable[[str, int, int], None]
SPLITS = ("fit", "router", "calibration", "test")
MIN_PER_CLASS = 8  # two per split


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
    if path.is_dir() or path.suffix == ".zip":
        images = image_files.read_images(path, size, on_event)
        return make_dataset(spec, images.x, images.y, images.labels, images.test)
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
            raise DataError(
                f"no image is left for the {name} split", "give more images", path=data.name
            )
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
        raise DataError(
            f"y has shape {y.shape}, x has {len(x)} images",
            "give one label per image",
            path=name,
            key="y",
        )
    if y.dtype.kind in "US":
        names, y = np.unique(y, return_inverse=True)
        labels = tuple(str(n) for n in names)
    if y.dtype.kind not in "iub" or y.min() < 0:
        raise DataError(
            "labels must be integers 0..K-1 or strings",
            "number the classes from 0",
            path=name,
            key="y",
        )
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
            raise DataError(
                "must mark some of the images, not all",
                "mark the test images with True",
                path=name,
                key="test",
            )
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
    if x.dtype.kind == "f" and float(x.min()) >= 0 and float(x.max()) <= 1:
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
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except FileNotFoundError as error:
        raise DataError("does not exist", "check the path of --data", path=path) from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"cannot be read as .npz: {error}",
            "save it with numpy.savez(path, x=images, y=labels)",
            path=path,
        ) from error
    for key in ("x", "y"):
        if key not in arrays:
            raise DataError(
                f"has no array '{key}', only {sorted(arrays)}",
                "save it with numpy.savez(path, x=images, y=labels)",
                path=path,
                key=key,
            )
    labels = tuple(str(v) for v in arrays.get("labels", ()))
    return make_dataset(str(path), arrays["x"], arrays["y"], labels, arrays.get("test"))


def _callable(spec: str) -> Dataset:
    function = load_callable(spec)
    try:
        made = function()
    except McuHybridError:
        raise
    except Exception as error:  # the user's code: anything may come out of it
        raise DataError(
            f"failed with {type(error).__name__}: {error}",
            "call it by itself to see where",
            path=spec,
        ) from error
    if isinstance(made, Dataset):
        return made
    if not isinstance(made, tuple) or not 2 <= len(made) <= 3:
        raise DataError(
            f"returned {type(made).__name__}", "return (x, y) or (x, y, labels)", path=spec
        )
    return make_dataset(spec, made[0], made[1], tuple(str(v) for v in made[2:] and made[2]))


def describe(data: Dataset, splits: dict[str, np.ndarray]) -> dict[str, Any]:
    """Facts for the manifest: name, digest, shape, labels, images per split."""
    return {
        "name": data.name,
        "digest": data.digest,
        "shape": list(data.shape),
        "labels": list(data.labels),
        "images": {name: len(indices) for name, indices in splits.items()},
    }
