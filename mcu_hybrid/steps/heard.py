"""What a run hears of its inputs: the board's and the cloud's answers, as plain data and as arrays.

Not here: who is asked and when (live.py), and where it is kept meanwhile (journal.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mcu_hybrid import mechanisms
from mcu_hybrid.artifacts.run import DeviceCounters, RunCounters
from mcu_hybrid.machines.price import Time
from mcu_hybrid.routing.outcomes import MISSING, Outcomes
from mcu_hybrid.routing.query import Answer, fallback_of
from mcu_hybrid.routing.session import Counters
from mcu_hybrid.steps.split import TestSplit


@dataclass(frozen=True)
class Heard:
    """What was heard of one input in the live pass; ``cloud`` is MISSING where it did not answer.

    ``decision`` (wire.messages) is the board's, ``reason`` what became of it (query.Answer).
    ``differing`` counts outputs that are not TFLM's, None where they were not compared.
    ``restarts`` are the board's so far.
    """

    KIND: ClassVar[str] = "board"

    device: int
    scores: Mapping[str, int]
    decision: int
    ticks: int
    instructions: int
    differing: int | None
    reason: str
    cloud: int
    cloud_us: float
    bytes_sent: int
    bytes_received: int
    restarts: int

    @classmethod
    def of(cls, answer: Answer, differing: int | None, restarts: int) -> Heard:
        """What an answer says."""
        ran = answer.device.ran
        return cls(
            device=answer.device.label,
            scores={mechanisms.router_name(id_): score for id_, score in ran.scores.items()},
            decision=int(ran.decision),
            ticks=ran.ticks,
            instructions=ran.instructions,
            differing=differing,
            reason=answer.reason,
            cloud=answer.label if answer.origin == "cloud" else MISSING,
            cloud_us=answer.latency.cloud_us,
            bytes_sent=answer.bytes_sent,
            bytes_received=answer.bytes_received,
            restarts=restarts,
        )


@dataclass(frozen=True)
class Fetched:
    """An answer of the cloud in the second pass, to input number ``at``."""

    KIND: ClassVar[str] = "cloud"

    at: int
    cloud: int
    cloud_us: float
    bytes_sent: int
    bytes_received: int


@dataclass(frozen=True)
class RouteBefore:
    """What the board decided by before the run; it gets that back."""

    KIND: ClassVar[str] = "route"

    router: int
    threshold: int


@dataclass
class Pass:
    """What both passes over a split have heard; ``failed`` counts the second's failures by reason.

    ``edge`` is the time of the mean inference; ``unjudged`` says why outputs were not compared.
    """

    heard: list[Heard]
    edge: Time
    counters: RunCounters
    unjudged: str = ""
    fetched: dict[int, Fetched] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def device(self) -> np.ndarray:
        """The device's classes [N]."""
        return np.array([one.device for one in self.heard])

    @property
    def cloud(self) -> np.ndarray:
        """The cloud's classes [N], MISSING where it gave no answer."""
        fetched = self.fetched
        return np.array(
            [fetched[i].cloud if i in fetched else one.cloud for i, one in enumerate(self.heard)]
        )

    @property
    def scores(self) -> dict[str, np.ndarray]:
        """The scores [N] of each router that the model has."""
        names = self.heard[0].scores if self.heard else {}
        return {name: np.array([one.scores[name] for one in self.heard]) for name in names}

    @property
    def differing(self) -> int | None:
        """Outputs that are not TFLM's; None where not all were compared."""
        counts = [one.differing for one in self.heard]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def answers(self) -> list[Heard | Fetched]:
        """Those of the cloud: of the live pass, else of the second."""
        live = [one for one in self.heard if one.cloud != MISSING]
        return [*live] or [*self.fetched.values()]


def fallbacks_of(heard: Sequence[Heard]) -> Counter[str]:
    """How often the cloud was wanted in the live pass and did not answer, by reason."""
    return Counter(why for one in heard if (why := fallback_of(one.reason)))


def counters_of(heard: Sequence[Heard], device: DeviceCounters) -> RunCounters:
    """The session's counters, over all parts of a run that was gone on with, and the board's."""
    counted = Counters(
        kept=sum(one.reason == "kept" for one in heard),
        queried=sum(one.reason == "queried" for one in heard),
        fallbacks=fallbacks_of(heard),
        bytes_sent=sum(one.bytes_sent for one in heard),
    )
    return RunCounters(
        asked=counted.asked,
        kept=counted.kept,
        queried=counted.queried,
        fallbacks=dict(sorted(counted.fallbacks.items())),
        coverage=counted.coverage,
        bytes_sent=counted.bytes_sent,
        device=device,
    )


def outcomes_of(seen: Pass, data: TestSplit, basis: str) -> Outcomes:
    """What device and cloud said, image by image."""
    return Outcomes.of_two(seen.device, seen.cloud, np.asarray(data.y), seen.scores, basis)
