"""train: the facts in its manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from mcu_hybrid.artifacts.codec import Artefact, left_out
from mcu_hybrid.artifacts.table import Losses


@dataclass(frozen=True, kw_only=True)
class Remarks:
    """What of a data set was left out, by reason, and what is worth knowing of the rest."""

    left_out: Mapping[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Described(Remarks):
    """A data set: what is in it, and how it was split; shares are of all images."""

    name: str
    digest: str
    shape: tuple[int, int, int]
    labels: tuple[str, ...]
    classes: Mapping[str, int]
    images: Mapping[str, int]
    shares: Mapping[str, float]
    own_test_split: bool
    own_calibration_split: bool


@dataclass(frozen=True, kw_only=True)
class TrainedData(Described):
    """The data set of a training, and how it was named: --data and --size."""

    spec: str
    size: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class Room:
    """What there is for a router to win, in float (training/evaluate.py)."""

    base_accuracy: float
    global_accuracy: float
    query_worth: float
    both_wrong: float
    agreement: float
    margin_oracle: float


@dataclass(frozen=True, kw_only=True)
class Int8Loss:
    """What int8 costs: accuracies as shares, ``loss_points`` in percentage points."""

    float_accuracy: float
    int8_accuracy: float
    loss_points: float


@dataclass(frozen=True, kw_only=True)
class TunedBase(Int8Loss):
    """Quantisation-aware training of the base: its loss an epoch, and whether it was kept."""

    loss: tuple[float, ...]
    kept: bool


@dataclass(frozen=True, kw_only=True)
class Int8Base(Int8Loss):
    """The base in simulated int8; not ``whole_network``: only its logits could be rounded."""

    images: int
    whole_network: bool
    qat: TunedBase | None = None


@dataclass(frozen=True, kw_only=True)
class TunedRouter:
    """Quantisation-aware training of the router's head."""

    kept: bool
    int8_accuracy: float


@dataclass(frozen=True, kw_only=True)
class Int8Router(Int8Loss):
    """The router's head in simulated int8: accuracies of the hybrid."""

    qat: TunedRouter | None = None


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """An epoch of a classifier, in float; ``epoch`` counts from 0."""

    epoch: int
    loss: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class RouterFit:
    """The router's training: its examples, and the mean loss of each tenth of the steps."""

    examples: int
    query_share: float
    both_wrong_share: float
    hidden: int
    features: int
    loss: tuple[float, ...]
    int8: Int8Router | None = left_out()


@dataclass(frozen=True, kw_only=True)
class RoundFigures:
    """A hybrid on the select split, after a round of alternating training."""

    hybrid_accuracy: float
    mean_accuracy: float
    coverage: float
    base_accuracy: float
    global_accuracy: float
    gate_coverage: float
    both_wrong_asked: float


@dataclass(frozen=True, kw_only=True)
class Round:
    """A round: the loss of each part that was trained, plain and averaged weights, the best yet."""

    round: int
    loss: Mapping[str, float]
    plain: RoundFigures
    average: RoundFigures | None = left_out()
    best_round: int
    best_kind: str


@dataclass(frozen=True, kw_only=True)
class EpochTold:
    """An epoch (or a round) that is done, counted from 1, and how long the rest will take."""

    label: str
    epoch: int
    epochs: int
    loss: float
    accuracy: float
    seconds_left: float


OnTold = Callable[[Described | EpochTold], None]  # the data once, then each epoch
Config = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, kw_only=True)
class History(Artefact):
    """history.json: how each part was trained; --config reads its options back."""

    step: ClassVar[str] = "train"
    file: ClassVar[str] = "history.json"

    config: Config
    base: tuple[Epoch, ...]
    global_: tuple[Epoch, ...]
    rounds: tuple[Round, ...]
    int8: Int8Base
    router: RouterFit
    losses: Losses


@dataclass(frozen=True, kw_only=True)
class TrainFacts(Artefact):
    """What a training found; ``config`` are its options as they were resolved."""

    step: ClassVar[str] = "train"

    calibration: Room
    base_macs: int
    base_parameters: int
    global_macs: int
    global_parameters: int
    router_macs: int
    data: TrainedData | Described
    losses: Losses
    int8: Int8Base
    warnings: tuple[str, ...]
    config: Config
    seconds: float
