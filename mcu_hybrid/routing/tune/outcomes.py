"""What device and cloud said about a split, image by image, and every decision a score can make.

Not here: where the answers come from (a board, or the int8 reference) and what is chosen by them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcu_hybrid.errors import InputError

MISSING = -1  # the cloud's class where it gave no answer
_SCORE = "score_"
_LOWEST = -(2**31)  # thresholds are int32 on the device


@dataclass(frozen=True)
class Outcomes:
    """Class labels of N images as the device, the cloud and the truth have them, and the scores.

    ``scores``: router name -> integers [N], higher = more in need of the cloud. ``basis`` says who
    computed the device's part. Where the cloud gave no answer its class is MISSING.
    """

    device: np.ndarray
    cloud: np.ndarray
    truth: np.ndarray
    scores: Mapping[str, np.ndarray]
    basis: str = ""

    def __post_init__(self) -> None:
        arrays = [self.device, self.cloud, self.truth, *self.scores.values()]
        lengths = {len(array) for array in arrays}
        if len(lengths) != 1:
            raise InputError(f"the arrays of a split have different lengths: {sorted(lengths)}")
        if lengths == {0}:
            raise InputError(
                "the calibration split is empty", "train with a larger calibration share, or --data"
            )

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.truth)

    @property
    def device_right(self) -> np.ndarray:
        """True [N] where the device's class is the true one."""
        return np.asarray(self.device == self.truth)

    @property
    def answered(self) -> np.ndarray:
        """True [N] where the cloud has answered."""
        return np.asarray(self.cloud != MISSING)

    @property
    def cloud_right(self) -> np.ndarray:
        """True [N] where the cloud's class is the true one; without it the device's stands."""
        return np.asarray(np.where(self.answered, self.cloud, self.device) == self.truth)

    def only(self, wanted: np.ndarray) -> Outcomes:
        """Those of the images that are True in ``wanted`` [N]; at least one must be."""
        scores = {name: values[wanted] for name, values in self.scores.items()}
        parts = (self.device[wanted], self.cloud[wanted], self.truth[wanted])
        return Outcomes(*parts, scores, self.basis)

    def score(self, router: str) -> np.ndarray:
        """The scores int64 [N] of a router; raises InputError where the model has none."""
        if router not in self.scores:
            raise InputError(
                f"the model has no '{router}' score",
                f"one of: {', '.join(self.scores)}",
                key="router",
            )
        return np.asarray(self.scores[router]).astype(np.int64)

    def save(self, path: Path) -> None:
        """Write the .npz."""
        whole = io.BytesIO()  # first: on a full disk numpy names no cause, a file does
        np.savez_compressed(
            whole,
            device=np.asarray(self.device, np.int32),
            cloud=np.asarray(self.cloud, np.int32),
            truth=np.asarray(self.truth, np.int32),
            basis=np.array(self.basis),
            **{_SCORE + name: np.asarray(s, np.int32) for name, s in self.scores.items()},
        )
        path.write_bytes(whole.getbuffer())


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
    return Outcomes(*parts, scores, basis)


@dataclass(frozen=True)
class Steps:
    """Every decision that one score can make on N images, from query all to keep all.

    Arrays [T], one entry per distinct score and one ahead of them (nothing kept); images with
    equal scores are kept or queried together. ``kept`` counts images with score <= threshold,
    ``right`` correct answers of device and cloud together, ``kept_right`` those of the device.
    ``wrong_bound`` counts images that are wrong at this or any lower threshold.
    """

    count: int
    thresholds: np.ndarray
    kept: np.ndarray
    right: np.ndarray
    kept_right: np.ndarray
    wrong_bound: np.ndarray
    order: np.ndarray

    def queried_sum(self, values: np.ndarray | float) -> np.ndarray:
        """Sums [T] over the queried images of ``values`` (one number, or one per image [N])."""
        ordered = np.broadcast_to(np.asarray(values, np.float64), (self.count,))[self.order]
        total = np.concatenate([[0.0], np.cumsum(ordered)])
        return np.asarray(total[-1] - total[self.kept])


def steps_of(outcomes: Outcomes, router: str) -> Steps:
    """All steps of a router's score on these images."""
    scores = outcomes.score(router)
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.diff(ranked)) + 1
    kept = np.concatenate([[0], ends, [outcomes.count]]).astype(np.int64)
    below = max(_LOWEST, int(ranked[0]) - 1)
    thresholds = np.concatenate([[below], ranked[kept[1:] - 1]])
    device, cloud = outcomes.device_right[order], outcomes.cloud_right[order]

    def upto(flags: np.ndarray) -> np.ndarray:
        return np.asarray(np.concatenate([[0], np.cumsum(flags)])[kept])

    cloud_wrong = outcomes.count - int(cloud.sum())
    return Steps(
        outcomes.count,
        thresholds,
        kept,
        right=upto(device) + int(cloud.sum()) - upto(cloud),
        kept_right=upto(device),
        wrong_bound=cloud_wrong + upto(~device & cloud),
        order=order,
    )
