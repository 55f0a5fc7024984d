"""What a trained hybrid's own figures warn of, in words. Pure arithmetic, no torch."""

from __future__ import annotations

from collections.abc import Collection
from math import sqrt

import numpy as np

from mcu_hybrid.artifacts.table import Losses
from mcu_hybrid.artifacts.train import Room

_RANGE = (
    ". It sees pixels in [0, 1]: were its weights trained on those (else normalise inside of the "
    "network), and are the classes in this order?"
)
_NEAR = 0.05  # of coverage: as near as a threshold should come to its target


def warnings_of(
    room: Room,
    losses: Losses,
    y: np.ndarray,
    labels: tuple[str, ...],
    given: Collection[str] = (),
) -> list[str]:
    """Sentences about networks at chance, a global that cannot help, scores that tie.

    Args:
        room: ``evaluate.room`` of the calibration split.
        losses: ``breakdown_of`` on it.
        y: its classes.
        given: "base", "global", where its weights came from a file.
    """
    told = []
    counts = np.bincount(y, minlength=len(labels))
    most = labels[int(counts.argmax())]
    chance, count = float(counts.max() / len(y)), len(y)
    limit = chance + 2 * sqrt(chance * (1 - chance) / count)
    lost = losses.int8.base_accuracy
    for name, got in (("base", room.base_accuracy), ("global", room.global_accuracy)):
        if got <= limit:
            told.append(
                f"the {name} is at chance: {got:.1%} of {count} images, "
                f"always answering '{most}' gets {chance:.1%}" + (_RANGE if name in given else "")
            )
    if lost <= limit < room.base_accuracy:
        told.append(f"the int8 base is at chance: {lost:.1%}, in float {room.base_accuracy:.1%}")
    if room.global_accuracy <= room.base_accuracy:
        told.append(
            f"the global ({room.global_accuracy:.1%}) is no better than the base "
            f"({room.base_accuracy:.1%}): asking it costs time and gains nothing"
        )
    target, kept = losses.coverage_target, losses.int8.coverage
    off = abs(kept - target)
    if off > 2 / count and (off > _NEAR or kept in (0.0, 1.0)):
        told.append(
            f"many of the router's scores tie: no threshold comes nearer to {target:.0%} coverage "
            f"than {kept:.0%}"
        )
    return told
