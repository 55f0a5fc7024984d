"""A run's answers, image by image: the confusion matrix, and the pictures that tell the most.

Not here: where the answers come from (a run's results.npz) and which pictures it kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.report.data import Confusion, Picture, Pictures
from mcu_hybrid.report.png import png_uri
from mcu_hybrid.routing.outcomes import Outcomes

MOST_CLASSES = 12  # beyond, a matrix is a carpet: the pairs that are mixed up most are told instead
MOST_PAIRS = 20  # what a reader looks through
MOST_PICTURES = 12  # of a kind


@dataclass(frozen=True)
class Answers:
    """What device and cloud said of N images, which of them were kept (bool [N]), class names."""

    outcomes: Outcomes
    kept: np.ndarray
    labels: Sequence[str] = ()

    @property
    def hybrid(self) -> np.ndarray:
        """The answers that a user gets."""
        return np.where(self.kept, self.outcomes.device, self.outcomes.standing[:, -1])

    @property
    def by_device(self) -> np.ndarray:
        """True [N] where the answer is the device's: it kept the image, or the cloud was silent."""
        return np.asarray(self.kept | ~self.outcomes.answered)

    @property
    def classes(self) -> int:
        """How many classes there are: those with a name, and any that an answer names beyond."""
        named = max(int(self.outcomes.truth.max()), int(self.outcomes.answers.max())) + 1
        return max(len(self.labels), named)

    def name(self, number: int) -> str:
        """A class by its name, or its number where it has none."""
        return self.labels[number] if number < len(self.labels) else str(number)


def matrix(truth: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 [classes, classes]: row the truth, column the answer."""
    flat = np.asarray(truth, np.int64) * classes + np.asarray(answers, np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def confusion(answers: Answers) -> tuple[Confusion, ...]:
    """One matrix of the hybrid's answers and one of the device's alone, for the page."""
    named = (("hybrid, as deployed", answers.hybrid), ("device alone", answers.outcomes.device))
    return tuple(_confusion(title, answers, found) for title, found in named)


def _confusion(title: str, answers: Answers, found: np.ndarray) -> Confusion:
    counts = matrix(answers.outcomes.truth, found, answers.classes)
    names = tuple(answers.name(i) for i in range(answers.classes))
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    pairs = [divmod(int(i), answers.classes) for i in order]
    is_small = answers.classes <= MOST_CLASSES
    return Confusion(
        title=title,
        right=int(np.trace(counts)),
        count=int(counts.sum()),
        names=names,
        counts=tuple(map(tuple, counts.tolist())) if is_small else None,
        shades=_shades(counts) if is_small else None,
        pair_rows=tuple((names[t], names[a], f"{wrong[t, a]:,}") for t, a in pairs if wrong[t, a]),
    )


def _shades(counts: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Each cell's share of its row in %: how dark it is drawn."""
    total = np.maximum(1, counts.sum(axis=1, keepdims=True))
    return tuple(tuple(int(v) for v in row) for row in np.rint(100 * counts / total))


def pictures(answers: Answers, index: np.ndarray, images: np.ndarray) -> tuple[Pictures, ...]:
    """The kinds of images worth a look, each with a few of those that the run kept.

    Args:
        index: which image of the split each of ``images`` (uint8 [K, H, W, C]) is.
    """
    at = {int(i): n for n, i in enumerate(index)}
    wrong = answers.hybrid != answers.outcomes.truth
    kinds = (
        ("sent to the cloud", ~answers.kept),
        ("answered wrongly", wrong),
    )
    found = []
    for title, flags in kinds:
        numbers = [int(i) for i in np.flatnonzero(flags)]
        shown = [i for i in numbers if i in at][:MOST_PICTURES]
        found.append(
            Pictures(
                title=title,
                count=len(numbers),
                shown=tuple(_picture(answers, i, images[at[i]]) for i in shown),
            )
        )
    return tuple(kind for kind in found if kind.shown)


def _picture(answers: Answers, i: int, image: np.ndarray) -> Picture:
    name, own = answers.name, bool(answers.by_device[i])
    device, cloud = (int(number) for number in answers.outcomes.answers[i])
    truth = int(answers.outcomes.truth[i])
    said = f"device: {name(device)}"
    if not answers.kept[i]:
        said += f"; cloud: {name(cloud)}" if cloud >= 0 else "; the cloud gave no answer"
    answer = device if own else cloud
    return Picture(
        uri=png_uri(image),
        alt=f"Image {i}, class {name(truth)}; {said}",
        truth=name(truth),
        answer=name(answer),
        by="device" if own else "cloud",
        right=answer == truth,
    )
