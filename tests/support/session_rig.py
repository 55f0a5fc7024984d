"""A board and a cloud that a test scripts, for sessions and policies (no tests)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mcu_hybrid.routing.query import Query

PAYLOAD = np.zeros((1, 2), "f4")


@dataclass(frozen=True)
class Ran:
    """An inference: class 1 on the board, asks the cloud where the score is above 10."""

    score: int | None
    ticks: int = 100
    threshold: int = 10

    @property
    def escalate(self) -> bool:
        return self.score is not None and self.score > self.threshold

    def int8(self, index: int) -> np.ndarray:
        return np.array([[-5, 90, 3], [0, 0, 0]][index], np.int8)


class Board:
    """Takes the route score from the tensor's first value."""

    def infer(self, inputs: Sequence[np.ndarray]) -> Ran:
        return Ran(int(inputs[0].flat[0]))


@dataclass(frozen=True)
class Result:
    values: np.ndarray
    bytes_sent: int = 40
    bytes_received: int = 7

    def scores(self, output: str | None = None) -> np.ndarray:
        return self.values


@dataclass
class Cloud:
    """Answers class 2, or raises what is in ``fails``."""

    fails: list[Exception | None] = field(default_factory=list)
    values: np.ndarray = field(default_factory=lambda: np.array([[0.1, 0.2, 0.7]]))
    asked: int = 0

    def infer(self, inputs: np.ndarray) -> Result:
        self.asked += 1
        failure = self.fails.pop(0) if self.fails else None
        if failure is not None:
            raise failure
        return Result(self.values)


def query(score: int, payload: np.ndarray | None = PAYLOAD) -> Query:
    return Query(f"q{score}", np.array([score], np.int8), payload)
