"""predict: what is on these images, and who says so: the int8 reference or the board, the cloud.

The same session as in a run decides: the base answers, and what its router gives up goes to the
cloud where there is one. Reading the images is in predict_inputs.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid import manifest, mechanisms
from mcu_hybrid.artifacts.predict import Prediction, Predictions
from mcu_hybrid.cloud.client import CloudClient
from mcu_hybrid.device.inference import Inference
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.export.agreement import run_tensors
from mcu_hybrid.graph.pixels import PixelForm
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.ops.route_features import link_of
from mcu_hybrid.routing.policy import Direct, NoCloud, Resting
from mcu_hybrid.routing.query import Query
from mcu_hybrid.routing.session import DeviceClock, HybridSession
from mcu_hybrid.routing.thresholds import queries
from mcu_hybrid.steps.attach import HERE, Way
from mcu_hybrid.steps.boards import open_for
from mcu_hybrid.steps.build import Build, InputShapes, Model, model_path, read_model
from mcu_hybrid.steps.cloud import CloudModel, cloud_model
from mcu_hybrid.steps.flash import on_board
from mcu_hybrid.steps.predict_inputs import Reader, Sample, Source
from mcu_hybrid.wire.messages import Decision

HOST = "int8 reference on this machine"


@dataclass(frozen=True)
class PredictOptions:
    """Who is asked: ``cloud`` is the URL of a server, "" for none.

    ``board`` (or a ``way`` to it) asks the board that a build is for; else the int8 reference
    answers on this machine, number for number the same. ``pixels`` and ``input_shapes`` are of a
    bare .tflite that does not say its range, or leaves sizes open.
    """

    cloud: str = ""
    model: str = "global"
    token: str | None = None
    deadline_s: float = 5.0
    board: str = ""
    way: Way = HERE
    pixels: PixelForm | None = None
    input_shapes: InputShapes = ()
    cloud_pixels: PixelForm | None = None
    board_dirs: Sequence[Path] = ()

    @property
    def wants_board(self) -> bool:
        """Whether a board is asked."""
        return bool(self.board) or self.way != HERE


class HostDevice:
    """The int8 reference in the place of a board: its numbers, its decision, no time."""

    def __init__(self, graph: Graph, deployed: Mapping[str, Any] | None) -> None:
        route = deployed or {"router": mechanisms.NONE_ID, "threshold": 0}
        self.router = int(route["router"])
        self._graph = graph
        self._threshold = int(route["threshold"])

    def infer(self, inputs: Sequence[np.ndarray]) -> Inference:
        """Run one input and decide as the firmware does."""
        seen = run_tensors(self._graph, inputs[0])
        score = None
        if self.router != mechanisms.NONE_ID:
            score = int(seen.scores[mechanisms.router_name(self.router)][0])
        return Inference(
            outputs=(seen.logits[0].tobytes(),),
            ticks=0,
            instructions=0,
            decision=_decision(score, self._threshold),
            router=self.router,
            threshold=self._threshold,
            score=score,
            scores={},
        )


def predict_step(
    source: Path,
    inputs: Sequence[Source],
    options: PredictOptions = PredictOptions(),
    *,
    on_event: OnEvent | None = None,
) -> Predictions:
    """Classify image files and arrays with ``source``: an export or build folder, or a .tflite.

    Raises:
        DataError: a file is neither an image nor an array that the model takes.
        InputError: a board is asked, and ``source`` is no build for it.
        CloudError: the server does not answer, or does not know the model.
    """
    model = read_model(model_path(source), options.input_shapes)
    graph, names = model.graph, _names(model)
    reader = Reader(model, options.pixels)
    samples = reader.read(inputs)
    notes = tuple(_noted(count, what) for what, count in reader.seen.items() if count)
    with _answering(source, model, graph, options, on_event) as asking:
        rows = []
        for number, sample in enumerate(samples, 1):
            rows.append(_predicted(asking, sample, graph, names))
            if on_event:
                on_event("predict", number, len(samples))
    return Predictions(
        device=asking.device, router=asking.router, predictions=tuple(rows), notes=notes
    )


@dataclass(frozen=True)
class _Asking:
    """A session, and what it was made of."""

    session: HybridSession
    device: str
    router: str
    cloud: CloudModel | None
    scores: int  # index of the tensor with the class scores


def _predicted(asking: _Asking, sample: Sample, graph: Graph, names: Sequence[str]) -> Prediction:
    payload = None
    if asking.cloud is not None and sample.image is not None:
        payload = asking.cloud.payload(sample.image[None])
    answer = asking.session.ask(Query(sample.name, sample.tensor, payload))
    score = float(answer.scores[answer.label])
    if answer.origin == "device":
        quant = graph.tensor(asking.scores).require_quant()
        score = (score - quant.zero_point) * float(quant.scale)
    name = names[answer.label] if answer.label < len(names) else ""
    return Prediction(
        input=sample.name,
        label=answer.label,
        name=name,
        score=score,
        origin=answer.origin,
        reason=answer.reason,
        router_score=answer.decision.score,
        threshold=answer.decision.threshold,
        bytes_sent=answer.bytes_sent,
    )


@contextmanager
def _answering(
    source: Path,
    model: Model,
    graph: Graph,
    options: PredictOptions,
    on_event: OnEvent | None,
) -> Iterator[_Asking]:
    """The session over the board or the reference, and over the server where one is named."""
    with ExitStack() as stack:
        cloud = None
        if options.cloud:
            client = CloudClient.open(
                options.cloud, options.model, token=options.token, deadline_s=options.deadline_s
            )
            stack.enter_context(client)
            shape = graph.tensor(graph.inputs[0]).shape[1:]
            cloud = cloud_model(client, model, shape, options.cloud_pixels)
        clock = DeviceClock(None)
        policy = NoCloud() if cloud is None else Resting(Direct(cloud))
        scores = scores_tensor(graph)
        if not options.wants_board:
            host = HostDevice(graph, (model.file.metadata or {}).get("deployed"))
            session = HybridSession(host, policy, clock=clock)
            yield _Asking(session, HOST, mechanisms.router_name(host.router), cloud, scores)
            return
        build = _build_for(source, options)
        device = stack.enter_context(on_board(build, options.way, on_event=on_event))
        session = HybridSession(device, policy, clock=clock, logits=graph.outputs.index(scores))
        router = mechanisms.router_name(device.get_route().router)
        yield _Asking(session, f"board {build.board.name}", router, cloud, scores)


def scores_tensor(graph: Graph) -> int:
    """The tensor with the class scores: what the routers read, else the first output.

    Raises:
        ModelError: it is no list of one score a class, so that nothing in it is a class.
    """
    link = link_of(graph)
    index = link.inputs[0] if link is not None else graph.outputs[0]
    tensor = graph.tensor(index)
    if tensor.dtype != "int8" or tensor.elements < 2 or tensor.elements != tensor.shape[-1]:
        raise ModelError(
            f"its output '{tensor.name}' is {tensor.dtype} {list(tensor.shape)}, no score a class",
            "read raw outputs with: mcu-hybrid bench MODEL --input FILE --output FILE",
            path=graph.name,
        )
    return index


def _decision(score: int | None, threshold: int) -> Decision:
    if score is None:
        return Decision.NONE
    return Decision.QUERY if queries(np.array(score), threshold) else Decision.KEEP


def _noted(count: int, what: str) -> str:
    return f"{count} {'image' if count == 1 else 'images'} {what}"


def _names(model: Model) -> tuple[str, ...]:
    """The classes' names, where the model tells them."""
    return tuple(str(label) for label in (model.file.metadata or {}).get("labels") or ())


def _build_for(source: Path, options: PredictOptions) -> Build:
    """The build that runs on the board; raises InputError where ``source`` is none."""
    if not source.is_dir() or manifest.read(source).step != "build":
        board = options.board or "NAME"
        raise InputError(
            "is no firmware: there is no board to ask",
            f"mcu-hybrid build {source} --board {board} --out runs/build, then predict runs/build",
            path=source,
        )
    return open_for(source, options.board or None, options.board_dirs)
