"""A cascade: stages that can answer, in their order, and a rule a hop that says who goes on.

Board -> cloud is the cascade of two: the base's end, and the cloud. Pure numpy; who said what of a
split is in outcomes.py, what a hop costs in costs.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mcu_hybrid import mechanisms
from mcu_hybrid.routing.thresholds import queries

Kind = Literal["exit", "base", "cloud"]


@dataclass(frozen=True)
class Stage:
    """Something that can answer: an exit on the board, the base's end, the cloud."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Rule:
    """A mechanism with its threshold: an input goes on where its score > threshold."""

    mechanism: str
    threshold: int

    def goes_on(self, scores: np.ndarray) -> np.ndarray:
        """True [N] where the stage hands the input on."""
        return queries(scores, self.threshold)


@dataclass(frozen=True)
class Cascade:
    """Stages in order, and the rule of each hop between two of them."""

    stages: tuple[Stage, ...]
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if len(self.rules) != len(self.stages) - 1:
            raise ValueError(f"{len(self.stages)} stages have a rule fewer, not {len(self.rules)}")

    def walk(self, scores: Sequence[np.ndarray]) -> np.ndarray:
        """The number [N] of the stage that answers: the first that hands its input on no more.

        Args:
            scores: of each hop, integers [N] by the mechanism of its rule.
        """
        going = np.ones(np.shape(scores[0]), bool)
        stage = np.zeros(np.shape(scores[0]), np.int64)
        for rule, mine in zip(self.rules, scores, strict=True):
            going = going & rule.goes_on(mine)
            stage += going
        return stage


DEVICE, CLOUD = Stage("device", "base"), Stage("cloud", "cloud")


def board_to_cloud(mechanism: str, threshold: int) -> Cascade:
    """Today's hybrid: the board answers, or the cloud."""
    return Cascade((DEVICE, CLOUD), (Rule(mechanism, threshold),))


def of_route(number: int, threshold: int) -> Cascade:
    """What a board does by its router's number; without a router (0) it answers everything."""
    if number == mechanisms.NONE_ID:
        return Cascade((DEVICE,), ())
    return board_to_cloud(mechanisms.router_name(number), threshold)


def cascade_of(rules: Sequence[Rule]) -> Cascade:
    """The cascade with these rules: exits on the board, its base's end, the cloud."""
    exits = tuple(Stage(f"exit {n}", "exit") for n in range(len(rules) - 1))
    return Cascade((*exits, DEVICE, CLOUD), tuple(rules))
