"""Known answers of the firmware's self-test, by TFLM where it is installed.

Our own interpreter shares its reading of the file with the firmware: what both misunderstand, its
answers confirm. Not here: the seeds and the checksum (compiler/emit/known_answers.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.compiler.emit.known_answers import SEEDS, KnownAnswer, checksum, inputs_of
from mcu_hybrid.compiler.engine import Model
from mcu_hybrid.errors import MissingTool, ModelError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.judge import Judge

TFLM = "TFLM"
OURS = "our own interpreter"


@dataclass(frozen=True)
class Answers:
    """The answers, who made them, and why it was not TFLM where it was not."""

    values: tuple[KnownAnswer, ...]
    by: str
    reason: str | None = None


def make_answers(model: Model, graph: Graph, on_event: OnEvent | None = None) -> Answers:
    """Answers of ``graph``, which is what is built of ``model``.

    Raises:
        ModelError: our interpreter and TFLM disagree; nothing may be built then.
    """
    tell = on_event or (lambda label, done, total: None)
    inputs = [inputs_of(graph, seed) for seed in SEEDS]
    ours = []
    for number, given in enumerate(inputs):
        tell("known answers", number, len(inputs))
        ours.append(interp.run(graph, given))
    values = tuple(KnownAnswer(seed, checksum(out)) for seed, out in zip(SEEDS, ours, strict=True))
    try:
        judge = Judge(model.data, model.file.metadata)
        theirs = [judge.run(given) for given in inputs]
    except MissingTool:
        return Answers(values, OURS, "tflite-micro is not installed")
    except ModelError as error:  # a file that the judge does not take
        return Answers(values, OURS, error.message)
    tell("known answers", len(inputs), len(inputs))
    for seed, mine, want in zip(SEEDS, ours, theirs, strict=True):
        _require_equal(graph, seed, mine, want)
    return Answers(values, TFLM)


def _require_equal(
    graph: Graph, seed: int, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]
) -> None:
    for index, mine, want in zip(graph.outputs, ours, theirs, strict=True):
        if mine.size == want.size and np.array_equal(mine.ravel(), want.ravel()):
            continue
        different = mine.size
        if mine.size == want.size:
            different = int(np.count_nonzero(mine.ravel() != want.ravel()))
        raise ModelError(
            f"our interpreter and TFLM disagree: {different:,} of {mine.size:,} values of output "
            f"'{graph.tensor(index).name}' (inputs of seed {seed:#x}); nothing was built",
            "this is a fault of mcu-hybrid: report it with the model",
            path=graph.name,
        )
