"""What a mechanism is: a score of how much an input is in need of the cloud, by all its names.

One file of this folder declares one mechanism. Everything that names routers is made from these
declarations: the firmware's enum and dispatch, the command line's choices, the styles and rows of
tables and figures, the table in docs/hybrid.md. Not here: thresholds (routing/thresholds.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from mcu_hybrid.errors import InputError

if TYPE_CHECKING:
    import numpy as np

ENTROPY_ONE = 1 << 16  # one nat
PROBABILITY_ONE = 1 << 15
FIRST_OF_LOGITS = 2  # their numbers follow each other from here: the order of the device's scores
Scope = Literal["logits", "model"]
SCORES, SCORE = "route_scores", "route_score"  # a graph's outputs: of the logits, of the model
_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Logits:
    """int8 class logits of N inputs and what the device computes of them, all integers."""

    q: np.ndarray  # int8 [N, K]
    scale_q24: int  # of the logits
    entropy: np.ndarray  # int32 [N], of their softmax, nats in Q16
    top: np.ndarray  # int32 [N, k], its largest probabilities in Q15, falling


class Style(NamedTuple):
    """How figures draw it: names of report/palette.py."""

    color: str
    mark: str
    dash: str = "solid"


@dataclass(frozen=True)
class Mechanism:
    """A score and its names; higher = more in need of the cloud.

    ``scope`` says what the score is of: "logits" is computed by the layer behind the logits, with
    ``score`` as its numpy side; a score of the "model" is an output of the network itself, which
    has layers for it. ``id`` is what wire, firmware and metadata know it by: those of the logits
    follow each other without a gap. ``title`` names its rows and curves.

    ``c_function`` is the device's side of a score that ROUTE_FEATURES does not compute by itself:
    ``int32_t f(const int8_t *logits, int32_t classes, int32_t scale_q24)``, in the file ``x.c``
    beside ``x.py``.
    """

    name: str
    id: int
    title: str
    style: Style
    doc: str
    source: str
    scope: Scope = "logits"
    score: Callable[[Logits], np.ndarray] | None = None
    c_function: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not 0 < self.id < 256:
            raise InputError(
                f"'{self.name}' with id {self.id} is no mechanism's name and id",
                "a name of a-z, 0-9 and -, an id of 1 to 255",
            )
        if (self.score is None) == (self.scope == "logits"):
            raise InputError(
                f"mechanism '{self.name}' of the {self.scope} has "
                f"{'no' if self.score is None else 'a'} numpy score",
                "a score of the logits has one, a score of the model is an output of its layers",
            )

    @property
    def c_name(self) -> str:
        """Its member of the firmware's enum."""
        return f"MH_ROUTER_{self.name.upper().replace('-', '_')}"

    @property
    def output(self) -> str:
        """The graph's output that holds the score."""
        return SCORES if self.scope == "logits" else SCORE

    @property
    def column(self) -> int:
        """Its place in that output."""
        return self.id - FIRST_OF_LOGITS if self.scope == "logits" else 0
