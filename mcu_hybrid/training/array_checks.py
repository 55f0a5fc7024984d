"""Arrays of images, classes and test marks: taken where their meaning is plain, else refused.

The refusal names what is there and the line of numpy that mends it. Where arrays come from is not
the business of this file.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from mcu_hybrid.errors import DataError

_NUMBERS = "biuf"
_DARK = 32  # of 255


def images(name: str, given: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """uint8 [N, H, W, C] and remarks; floats in [0, 1] are scaled."""
    x = as_array(name, "x", given)
    shape = x.shape
    x = x[..., None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[-1] not in (1, 3) or min(x.shape) < 1:
        hint = "give [N, H, W], or [N, H, W, C] with 1 or 3 channels"
        if x.ndim == 4 and x.shape[1] in (1, 3):
            hint = f"{hint}: x.transpose(0, 2, 3, 1)"
        raise DataError(f"images have shape {shape}", hint, path=name, key="x")
    if x.dtype.kind not in _NUMBERS:
        raise DataError(
            f"images are {x.dtype}", "give uint8, or floats in [0, 1]", path=name, key="x"
        )
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x), _dark(int(x.max()))
    low, high = x.min(), x.max()
    if x.dtype.kind == "f" and low >= 0 and high <= 1:
        pixels = np.round(x * 255).astype(np.uint8)
        return np.ascontiguousarray(pixels), _dark(int(pixels.max()))
    raise DataError(
        f"images are {x.dtype} from {low} to {high}",
        _range_hint(x.dtype, low, high),
        path=name,
        key="x",
    )


def classes(
    name: str, given: Any, count: int, labels: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """int64 [N] in 0..K-1 and the K labels."""
    y = as_array(name, "y", given)
    if y.shape != (count,):
        hint = "give one label per image"
        if y.shape == (count, 1):
            hint += ": y.ravel()"
        elif y.ndim == 2 and len(y) == count:
            hint += "; of one-hot rows: y.argmax(1)"
        raise DataError(f"y has shape {y.shape}, x has {count} images", hint, path=name, key="y")
    if y.dtype.kind == "O" and all(isinstance(value, (str, bytes)) for value in y):
        y = np.array([_text(value) for value in y])
    if y.dtype.kind in "US":
        y, labels = _by_name(name, y, labels)
    if y.dtype.kind not in "iub" or y.min() < 0:
        least = f", the least is {y.min()}" if y.dtype.kind in _NUMBERS else ""
        raise DataError(
            f"labels must be integers 0..K-1 or strings; they are {y.dtype}{least}",
            "number the classes from 0" + (": y.astype('int64')" if _is_whole(y) else ""),
            path=name,
            key="y",
        )
    if len(set(labels)) < len(labels):
        raise DataError("names two classes alike", "name each once", path=name, key="labels")
    number = len(labels) or int(y.max()) + 1
    present = np.unique(y)
    if len(present) < 2:
        raise DataError("has only one class", "give at least two", path=name)
    if int(y.max()) >= number or len(present) < number:
        raise DataError(
            f"{len(present)} of {number} classes have images (largest label {int(y.max())})",
            "number the classes 0..K-1, each with images",
            path=name,
            key="y",
        )
    return y.astype(np.int64), labels or tuple(str(i) for i in range(number))


def test_mask(name: str, given: Any, count: int) -> np.ndarray:
    """Booleans [N], some of them True."""
    test = as_array(name, "test", given)
    binary = test.dtype.kind in _NUMBERS and bool(np.isin(test, (0, 1)).all())
    if not binary or test.shape != (count,) or test.all() or not test.any():
        raise DataError(
            "must mark some of the images, not all",
            "mark the test images with True, the others with False",
            path=name,
            key="test",
        )
    return test.astype(bool)


def names(source: str, given: Any) -> tuple[str, ...]:
    """Labels as strings."""
    labels = as_array(source, "labels", given)
    if labels.ndim != 1:
        raise DataError(
            f"has shape {labels.shape}", "give one name per class", path=source, key="labels"
        )
    return tuple(_text(label) for label in labels)


def as_array(name: str, key: str, given: Any) -> np.ndarray:
    """The array, or a DataError where the rows do not make one."""
    try:
        return np.asarray(given)
    except Exception as error:  # rows of several lengths, or an object of the user's own
        fact = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"is no array: {fact}", "give numpy arrays", path=name, key=key) from error


def _by_name(
    name: str, y: np.ndarray, labels: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Classes given by their names, numbered as ``labels`` are where these are given too."""
    texts = [_text(value) for value in y]
    there = tuple(sorted(set(texts)))
    if labels and sorted(labels) != list(there):
        raise DataError(
            f"y names {', '.join(there[:5])}; labels are {', '.join(labels[:5])}",
            "give the same names, or leave labels out",
            path=name,
            key="labels",
        )
    labels = labels or there
    number = {label: at for at, label in enumerate(labels)}
    return np.array([number[text] for text in texts], np.int64), labels


def order_note(labels: tuple[str, ...]) -> tuple[str, ...]:
    """A remark where names with numbers have another order as text: 1, 10, 2."""

    def counted(label: str) -> list[tuple[str, int]]:
        return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", label)]

    by_number = sorted(labels, key=counted)
    if list(labels) != sorted(labels) or by_number == list(labels):
        return ()
    at = [a == b for a, b in zip(labels, by_number, strict=True)].index(False)
    some = ", ".join(labels[max(0, at - 1) : at + 2])
    return (f"the classes are in the order of their names as text, as in torchvision: {some}, ...",)


def _is_whole(y: np.ndarray) -> bool:
    return y.dtype.kind == "f" and bool((np.isfinite(y) & (y >= 0) & (y == np.floor(y))).all())


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _dark(high: int) -> tuple[str, ...]:
    if high > _DARK:
        return ()
    return (f"the brightest pixel is {high} of 255: are these images scaled as you think?",)


def _range_hint(dtype: np.dtype[Any], low: Any, high: Any) -> str:
    hint = "give uint8, or floats in [0, 1]"
    if not (np.isfinite(low) and np.isfinite(high)):
        return f"{hint}, without NaN and infinity"
    if dtype.kind == "b":
        return f"{hint}: x.astype('uint8') * 255"
    if dtype == np.uint16 and high > 255:
        return f"{hint}: (x / 65535).astype('float32')"
    if low >= 0 and high <= 255:
        return f"{hint}: x.astype('uint8') where 255 is white"
    if low < 0:
        return f"{hint}: undo what subtracted a mean, (x - x.min()) / (x.max() - x.min())"
    return hint
