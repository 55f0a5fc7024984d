"""What a board's answers hold: an inference, a profile, and how many were kept or queried.

Nothing is asked of a board here (client.py), and no bytes of frames are read (wire/payloads.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcu_hybrid import mechanisms, plugins
from mcu_hybrid.errors import ProtocolError
from mcu_hybrid.wire.messages import NO_OUTPUT, NO_SCORE, Decision
from mcu_hybrid.wire.payloads import Hello, InferResult, ProfileRow


@dataclass
class Tally:
    """Counts what the board's answers said."""

    inferences: int = 0
    kept: int = 0
    queried: int = 0

    def add(self, decision: Decision) -> None:
        """Count an answer."""
        self.inferences += 1
        self.kept += decision == Decision.KEEP
        self.queried += decision == Decision.QUERY


@dataclass(frozen=True)
class Inference:
    """One inference on the board.

    ``score`` is what the board compared with ``threshold``, None where no router is set;
    ``scores`` has those of every router that the model has.
    """

    outputs: tuple[bytes, ...]
    ticks: int
    instructions: int
    decision: Decision
    router: int
    threshold: int
    score: int | None
    scores: Mapping[int, int]

    @property
    def escalate(self) -> bool:
        """True where the device decided to ask the cloud."""
        return self.decision == Decision.QUERY

    def int8(self, index: int) -> np.ndarray:
        """An output as int8, flat."""
        return np.frombuffer(self.outputs[index], np.int8)


@dataclass(frozen=True)
class Profile:
    """One inference layer by layer; ``ticks`` and ``instructions`` are the sums over the layers."""

    rows: tuple[ProfileRow, ...]
    ticks: int
    instructions: int


def inference_of(result: InferResult, outputs: Sequence[bytes], hello: Hello) -> Inference:
    """An answer to INFER with its outputs, those that did not fit into it read as well."""
    return Inference(
        tuple(outputs),
        result.ticks,
        result.instructions,
        result.decision,
        result.router,
        result.threshold,
        None if result.score == NO_SCORE else result.score,
        _scores(outputs, hello),
    )


def _scores(outputs: Sequence[bytes], hello: Hello) -> dict[int, int]:
    """The score of each router that the model has, from its outputs; by the mechanism's number."""
    scores: dict[int, int] = {}
    if hello.route != NO_OUTPUT:
        scores[mechanisms.of_model().id] = int(np.frombuffer(outputs[hello.route], np.int8)[0])
    if hello.scores != NO_OUTPUT:
        values, known = np.frombuffer(outputs[hello.scores], "<i4"), mechanisms.of_logits()
        if len(values) != len(known):
            raise ProtocolError(
                f"the board computes {len(values)} scores of the logits, known here are "
                f"{', '.join(one.name for one in known)}",
                f"load the plug-ins that it was built with ({plugins.VARIABLE}), or build again",
            )
        scores |= {one.id: int(value) for one, value in zip(known, values, strict=True)}
    return scores
