"""What each stage of a cascade said about a split, image by image: the one type for it.

Who is right, who answers under given rules, and how often, is computed here. Not here: where the
answers come from (a board, the int8 reference, a simulation), and what is chosen by them (tune/).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mcu_hybrid.errors import InputError
from mcu_hybrid.routing.cascade import Cascade

MISSING = -1  # the class of a stage that gave no answer: the stage ahead of it stands
_SCORE = "score_"


@dataclass(frozen=True)
class Outcomes:
    """Classes of N images as each of S stages has them, the true ones, and the scores of the hops.

    A stage that gave no answer (a silent cloud) has MISSING, any negative number; an image that
    goes on to it keeps the answer of the last stage ahead that has one. ``basis`` says who computed
    the device's part.

    Args:
        answers: integers [N, S].
        truth: integers [N].
        scores: mechanism -> integers [N, S - 1], one column a hop, higher = more in need of the
            next stage.
    """

    answers: np.ndarray
    truth: np.ndarray
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)
    basis: str = ""

    def __post_init__(self) -> None:
        _check_lengths(self.scores, len(self.answers), len(self.truth))
        if not self.count:
            raise InputError(
                "the calibration split is empty", "train with a larger calibration share, or --data"
            )
        for name, values in self.scores.items():
            if values.dtype.kind not in "iu":
                raise InputError(f"scores ({name}) must be integers, as the device computes them")
            if values.shape != (self.count, self.hops):
                raise ValueError(f"{name}: scores of shape {values.shape} for {self.hops} hops")

    @classmethod
    def of_two(
        cls,
        device: np.ndarray,
        cloud: np.ndarray,
        truth: np.ndarray,
        scores: Mapping[str, np.ndarray] | None = None,
        basis: str = "",
    ) -> Outcomes:
        """Of a board and the cloud: classes [N] each, scores [N] of the one hop."""
        _check_lengths(scores or {}, len(truth), len(device), len(cloud))
        columns = {name: np.asarray(one)[:, None] for name, one in (scores or {}).items()}
        answers = np.stack([device, cloud], axis=1)
        return cls(answers, np.asarray(truth), columns, basis)

    @classmethod
    def of_right(
        cls,
        device_right: np.ndarray,
        cloud_right: np.ndarray,
        scores: Mapping[str, np.ndarray] | None = None,
    ) -> Outcomes:
        """Where only who is right is known, bool [N] each: class 0 is right, class 1 wrong."""
        device, cloud = (1 - np.asarray(flags, int) for flags in (device_right, cloud_right))
        return cls.of_two(device, cloud, np.zeros(len(device), int), scores)

    # -- what is there

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.truth)

    @property
    def hops(self) -> int:
        """Number of hops: one fewer than stages."""
        return int(self.answers.shape[1]) - 1

    @property
    def device(self) -> np.ndarray:
        """The classes [N] of the first stage."""
        return np.asarray(self.answers[:, 0])

    @property
    def cloud(self) -> np.ndarray:
        """The classes [N] of the last stage, MISSING where it gave no answer."""
        return np.asarray(self.answers[:, -1])

    @property
    def answered(self) -> np.ndarray:
        """True [N] where the last stage has answered."""
        return np.asarray(self.cloud >= 0)

    def score(self, mechanism: str, hop: int = 0) -> np.ndarray:
        """The scores int64 [N] of a mechanism at a hop; raises InputError where there are none."""
        if mechanism not in self.scores:
            raise InputError(
                f"the model has no '{mechanism}' score",
                f"one of: {', '.join(self.scores)}",
                key="router",
            )
        return np.asarray(self.scores[mechanism][:, hop]).astype(np.int64)

    def only(self, wanted: np.ndarray) -> Outcomes:
        """Those of the images that are True in ``wanted`` [N]; at least one must be."""
        scores = {name: values[wanted] for name, values in self.scores.items()}
        return Outcomes(self.answers[wanted], self.truth[wanted], scores, self.basis)

    def scored(self, mechanism: str, score: np.ndarray) -> Outcomes:
        """The same answers with another score [N] of the one hop under this name."""
        return replace(self, scores={**self.scores, mechanism: np.asarray(score)[:, None]})

    # -- who is right

    @property
    def standing(self) -> np.ndarray:
        """The classes [N, S] that stand where an image goes up to a stage."""
        found = np.array(self.answers)
        for stage in range(1, found.shape[1]):
            silent = found[:, stage] < 0
            found[silent, stage] = found[silent, stage - 1]
        return found

    @property
    def right(self) -> np.ndarray:
        """True [N, S] where what stands at a stage is the true class."""
        return np.asarray(self.standing == np.asarray(self.truth)[:, None])

    @property
    def device_right(self) -> np.ndarray:
        """True [N] where the first stage's class is the true one."""
        return np.asarray(self.right[:, 0])

    @property
    def cloud_right(self) -> np.ndarray:
        """True [N] where going on to the end leads to the true class."""
        return np.asarray(self.right[:, -1])

    # -- under rules

    def stages(self, cascade: Cascade) -> np.ndarray:
        """The number [N] of the stage that each image goes up to."""
        if not cascade.rules:
            return np.zeros(self.count, np.int64)
        rules = enumerate(cascade.rules)
        return cascade.walk([self.score(rule.mechanism, hop) for hop, rule in rules])

    def right_at(self, stages: np.ndarray) -> np.ndarray:
        """True [N] where the answer is right that each image gets at its stage."""
        return np.asarray(np.take_along_axis(self.right, stages[:, None], axis=1)[:, 0])

    def save(self, path: Path) -> None:
        """Write the .npz of a board and the cloud."""
        if self.hops != 1:
            raise ValueError("the file is that of two stages")
        whole = io.BytesIO()  # first: on a full disk numpy names no cause, a file does
        np.savez_compressed(
            whole,
            device=np.asarray(self.device, np.int32),
            cloud=np.asarray(self.cloud, np.int32),
            truth=np.asarray(self.truth, np.int32),
            basis=np.array(self.basis),
            **{_SCORE + name: np.asarray(s[:, 0], np.int32) for name, s in self.scores.items()},
        )
        path.write_bytes(whole.getbuffer())


def _check_lengths(scores: Mapping[str, np.ndarray], *lengths: int) -> None:
    found = sorted({*lengths, *(len(values) for values in scores.values())})
    if len(found) != 1:
        named = (
            f"; {name}: {len(s)} scores for {lengths[0]} samples" for name, s in scores.items()
        )
        raise InputError(
            f"the arrays of a split have different lengths, not one common length: {found}"
            + "".join(named)
        )


def load_outcomes(path: Path) -> Outcomes:
    """Read what ``save`` wrote; raises InputError where it is missing or not ours."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            got = {name: file[name] for name in file.files}
        scores = {k.removeprefix(_SCORE): v for k, v in got.items() if k.startswith(_SCORE)}
        parts = got["device"], got["cloud"], got["truth"]
        basis = str(got["basis"])
    except Exception as error:  # a missing, cut or foreign file fails in many ways
        raise InputError(
            f"cannot be read as outcomes: {error}", "run again: mcu-hybrid run", path=path
        ) from error
    return Outcomes.of_two(*parts, scores, basis)
