"""The few pictures that a run keeps for its report: of what was sent, and of what went wrong.

They are small copies: the data set itself may be gone when the report is made.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from mcu_hybrid.errors import InputError

PICTURES = "pictures.npz"
MOST = 12  # of a kind: two rows of a page
SIDE = 48  # pixels: what is on it is seen, and all of them weigh less than 200 KB


def save_pictures(path: Path, x: np.ndarray, queried: np.ndarray, wrong: np.ndarray) -> None:
    """Write small copies of some queried and some wrong images; nothing where ``x`` are no images.

    Args:
        x: uint8 [N, H, W, C].
        queried, wrong: bool [N].
    """
    if x.ndim != 4 or x.shape[3] not in (1, 3):
        return
    index = np.union1d(_some(np.flatnonzero(queried)), _some(np.flatnonzero(wrong)))
    step = max(1, -(-max(x.shape[1:3]) // SIDE))
    whole = io.BytesIO()  # first: on a full disk numpy names no cause, a file does
    np.savez_compressed(whole, index=index.astype(np.int64), images=x[index][:, ::step, ::step])
    path.write_bytes(whole.getbuffer())


def _some(index: np.ndarray) -> np.ndarray:
    """A few, spread over all: folders come class by class."""
    if len(index) <= MOST:
        return index
    return index[np.linspace(0, len(index) - 1, MOST).round().astype(int)]


def load_pictures(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Which images of the split, int64 [K], and the images, uint8 [K, H, W, C].

    Raises:
        InputError: the file is not ours.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            index, images = file["index"], file["images"]
    except Exception as error:  # a missing, cut or foreign file fails in many ways
        raise InputError(
            f"cannot be read as pictures: {error}", "run again: mcu-hybrid run", path=path
        ) from error
    return np.asarray(index, np.int64), np.asarray(images, np.uint8)
