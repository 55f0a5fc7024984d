"""The class scores of one sample, held against what the board's model tells apart.

One check for every pass that takes a server's word: an argmax takes anything, NaN and another
network's scores too. Not here: which of a server's outputs has the scores (steps/cloud.py).
"""

from __future__ import annotations

import numpy as np

from mcu_hybrid.errors import CloudError


def class_scores(values: np.ndarray, classes: int) -> np.ndarray:
    """The scores, flat [classes], of an answer about one sample.

    Raises:
        CloudError: ``bad_answer``: not numbers, not finite, of another number of classes, or of
            more samples than one.
    """
    found = np.asarray(values)
    if found.dtype.kind not in "iuf":
        raise _no_answer(f"holds {_kind(found)}, no numbers")
    if found.size != classes or max(found.shape, default=0) != classes or _is_batch(found):
        raise _no_answer(f"has the shape {list(found.shape)}, need [1, {classes}]")
    flat = found.reshape(-1)
    if not np.isfinite(flat).all():
        raise _no_answer("holds NaN or infinity")
    return flat


def _is_batch(found: np.ndarray) -> bool:
    return found.ndim > 1 and found.shape[0] != 1


def _kind(found: np.ndarray) -> str:
    return {"b": "true and false", "O": "text", "S": "text", "U": "text"}.get(
        found.dtype.kind, str(found.dtype)
    )


def _no_answer(fact: str) -> CloudError:
    return CloudError(
        f"the cloud's answer {fact}",
        "serve a model that gives one score per class: mcu-hybrid serve --help",
        reason="bad_answer",
    )
