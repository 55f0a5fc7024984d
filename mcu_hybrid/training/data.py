"""Data sets: read, checked, split. Images are uint8 NHWC, labels integers; no torch here.

Sources: ``digits`` (scikit-learn's scans), an image folder or a zip of one (CLASS/x.png, or
train/CLASS/x.png and test/CLASS/x.png), an ``.npz`` with x and y, or ``module:function``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mcu_hybrid.artifacts.train import Described, Remarks
from mcu_hybrid.errors import DataError, McuHybridError, MissingTool
from mcu_hybrid.events import OnEvent
from mcu_hybrid.nets import load_callable
from mcu_hybrid.training import archives, array_checks, image_decode, image_files

SPLITS = ("fit", "router", "calibration", "test")
MIN_PER_CLASS = 8  # two per split
_SAVE_HINT = "save it with numpy.savez(path, x=images, y=labels)"
_KEYS = ("x", "y", "labels", "test")


@dataclass(frozen=True)
class Dataset:
    """Images x uint8 [N, H, W, C], y int64 [N], and which ones the source calls its test split.

    ``fixed_calibration_mask`` marks a validation split of its own, beside a test split.
    ``left_out`` counts files that were not read by reason; ``notes`` says what else to know.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    labels: tuple[str, ...]
    fixed_test_mask: np.ndarray | None
    digest: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fixed_calibration_mask: np.ndarray | None = None

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
        size: height and width that images are resized to, whatever the source; without it those
            of folders and zips must all have one size.

    Raises:
        DataError: nothing there, one class, an unreadable image, shapes that do not fit.
    """
    path = Path(spec)
    if path.is_dir() or path.suffix.lower() == ".zip":
        images = image_files.read_images(path, size, on_event)
        made = make_dataset(
            spec, images.x, images.y, images.labels, images.test, images.calibration
        )
        return replace(made, left_out=images.left_out, notes=(*made.notes, *images.notes))
    if spec == "digits":
        found = _digits()
    elif path.suffix.lower() == ".npz":
        found = _npz(path)
    elif ":" in spec and not path.exists():
        found = _callable(spec)
    else:
        there = path.exists()
        raise DataError(
            ("" if there else "does not exist; it ")
            + "is neither a folder, a .zip, an .npz nor module:function",
            "give 'digits', a folder with one folder of images per class, or one of the above",
            path=spec,
        )
    return _at_size(found, size)


def _at_size(data: Dataset, size: tuple[int, int] | None) -> Dataset:
    """Arrays at the height and width that were asked for, resized as files are."""
    if size is None or size == data.shape[:2]:
        return data
    archives.check_room(Path(data.name), (*size, data.shape[2]), len(data.y))
    height, width = data.shape[:2]
    notes = (*data.notes, f"resized from {height}x{width} to {size[0]}x{size[1]}")
    if abs(width * size[0] - height * size[1]) > max(height, width):
        notes = (*notes, f"all images {image_decode.STRETCHED}")
    x = image_decode.resized(data.x, size)
    masks = data.fixed_test_mask, data.fixed_calibration_mask
    made = make_dataset(data.name, x, data.y, data.labels, *masks)
    return replace(made, left_out=data.left_out, notes=notes)


def split(
    data: Dataset, shares: tuple[float, float, float, float], seed: int
) -> dict[str, np.ndarray]:
    """Sorted, disjoint indices for fit, router, calibration and test; stratified by class.

    Splits that the source brings (test, calibration) are kept as they are; the others then share
    the rest.
    """
    rng = np.random.default_rng(seed)
    masks = {"test": data.fixed_test_mask, "calibration": data.fixed_calibration_mask}
    fixed = {name: mask for name, mask in masks.items() if mask is not None}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}
    names = [name for name in SPLITS if name not in fixed]
    wanted = np.array([share for name, share in zip(SPLITS, shares, strict=True) if name in names])
    weights = wanted / wanted.sum()
    taken = np.any(list(fixed.values()), axis=0) if fixed else np.zeros(len(data.y), bool)
    for label in range(data.classes):
        indices = rng.permutation(np.flatnonzero((data.y == label) & ~taken))
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
    result |= {name: np.flatnonzero(mask) for name, mask in fixed.items()}
    result = {name: result[name] for name in SPLITS}
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
    calibration: np.ndarray | None = None,
) -> Dataset:
    """Check arrays and make them a Dataset; float images in [0, 1] become uint8.

    Args:
        x: [N, H, W] or [N, H, W, C] with 1 or 3 channels.
        y: [N] integers 0..K-1, or strings (sorted names become the labels).
        test: [N] booleans, True for the test split.
        calibration: likewise, for the split that thresholds are chosen on.
    """
    x, notes = array_checks.images(name, x)
    y, labels = array_checks.classes(name, y, len(x), labels)
    if test is not None:
        test = array_checks.test_mask(name, test, len(x))
    digest = hashlib.sha256(repr((x.shape, labels)).encode())
    for array in (x, y, test, calibration):
        if array is not None:
            digest.update(np.ascontiguousarray(array).tobytes())
    notes = (*notes, *array_checks.order_note(labels))
    made = Dataset(name, x, y, labels, test, digest.hexdigest(), notes=notes)
    return replace(made, fixed_calibration_mask=calibration)


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
    arrays, there = archives.read_arrays(path, _KEYS, _SAVE_HINT)
    for key in ("x", "y"):
        if key not in arrays:
            raise DataError(f"has no array '{key}', only {there}", _SAVE_HINT, path=path, key=key)
    labels = array_checks.names(str(path), arrays.get("labels", ()))
    made = make_dataset(str(path), arrays["x"], arrays["y"], labels, arrays.get("test"))
    unread = [key for key in there if key not in _KEYS]
    if not unread:
        return made
    return replace(made, notes=(*made.notes, f"arrays that are not read: {', '.join(unread)}"))


def _callable(spec: str) -> Dataset:
    function = load_callable(spec)
    try:
        made = function()
    except McuHybridError:
        raise
    except (Exception, SystemExit) as error:  # the user's code: anything may come out of it
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
    labels = array_checks.names(spec, made[2]) if len(made) == 3 else ()
    return make_dataset(spec, made[0], made[1], labels)


def describe(data: Dataset, splits: dict[str, np.ndarray]) -> Described:
    """Facts for the manifest: name, digest, shape, labels, images per class and split, remarks."""
    counts = np.bincount(data.y, minlength=data.classes)
    total = sum(len(indices) for indices in splits.values())
    return Described(
        name=data.name,
        digest=data.digest,
        shape=data.shape,
        labels=data.labels,
        classes={label: int(n) for label, n in zip(data.labels, counts, strict=True)},
        images={name: len(indices) for name, indices in splits.items()},
        shares={name: round(len(indices) / total, 4) for name, indices in splits.items()},
        own_test_split=data.fixed_test_mask is not None,
        own_calibration_split=data.fixed_calibration_mask is not None,
        left_out=dict(data.left_out),
        notes=(*data.notes, *_repeated(data, splits)),
    )


def remarks(data: Dataset) -> Remarks:
    """What was not read, by reason, and what is worth knowing of what was."""
    return Remarks(left_out=dict(data.left_out), notes=data.notes)


def _repeated(data: Dataset, splits: dict[str, np.ndarray]) -> list[str]:
    """Pictures that are there more than once: in test and elsewhere, or in two classes."""
    digests = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in data.x]
    classes: dict[bytes, set[int]] = {}
    for digest, label in zip(digests, data.y.tolist(), strict=True):
        classes.setdefault(digest, set()).add(label)
    notes = []
    told = "the same to the pixel"
    learned = {digests[i] for name in SPLITS[:3] for i in splits.get(name, ())}
    twice = sum(digests[i] in learned for i in splits["test"])
    if twice:
        notes.append(f"{twice} test images are also among the others ({told})")
    mixed = sum(len(labels) > 1 for labels in classes.values())
    if mixed:
        notes.append(f"{mixed} pictures lie in more than one class ({told})")
    return notes
