"""run's side of the cloud: which server, how it wants an image, whether it fits the board's model.

Streaming and the table are in ``run.py``; being a server oneself in ``serve.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcu_hybrid.cloud.client import CloudClient
from mcu_hybrid.cloud.linkmodel import LinkModel
from mcu_hybrid.cloud.oip_tensors import TensorSpec
from mcu_hybrid.cloud.scores import class_scores
from mcu_hybrid.errors import InputError
from mcu_hybrid.pipeline.build import Model
from mcu_hybrid.pipeline.serve import global_model, server_module

Payload = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class RunOptions:
    """Where the cloud is, and the link that the table's latency assumes."""

    link: LinkModel
    cloud: str = ""
    model: str = "global"
    token: str | None = None
    deadline_s: float = 5.0
    limit: int = 0  # inputs of the test split; 0 = all
    check: bool = True  # compare every device output with TFLM
    port: str = ""
    router: str = ""  # decides on the board; "" = the build's own
    probe: str = ""  # serial number of the debug probe; "" = that of the port


@contextmanager
def cloud_for(options: RunOptions, export: Path | None) -> Iterator[CloudClient]:
    """A client of the given server, or of one that serves the export's global model meanwhile."""
    if options.cloud:
        with CloudClient(
            options.cloud, options.model, token=options.token, deadline_s=options.deadline_s
        ) as client:
            yield client
        return
    if export is None:
        raise InputError("there is no global model to serve", "give --cloud URL --model NAME")
    with (
        server_module().serving(global_model(export), options.model) as url,
        CloudClient(url, options.model, deadline_s=options.deadline_s) as client,
    ):
        yield client


def payload_form(cloud: CloudClient, shape: tuple[int, ...]) -> Payload:
    """How the server's model wants an image: raw bytes NHWC, or float in [0, 1] as NHWC or NCHW.

    Asked before the board runs, so that a server that is down, or holds another model, is said
    early.

    Raises:
        CloudError: the server does not answer, or does not know the model.
        InputError: its input fits none of these forms.
    """
    height, width, channels = shape
    inputs = cloud.metadata().inputs
    if len(inputs) != 1:
        raise InputError(
            f"the model '{cloud.model}' has {len(inputs)} inputs, need one image",
            "wrap it: one input, class scores out",
        )
    spec = inputs[0]
    if spec.datatype == "UINT8" and spec.accepts((1, height, width, channels)):
        return lambda x: x
    if spec.datatype == "FP32" and spec.accepts((1, channels, height, width)):
        return lambda x: np.ascontiguousarray((x.astype(np.float32) / 255).transpose(0, 3, 1, 2))
    if spec.datatype == "FP32" and spec.accepts((1, height, width, channels)):
        return lambda x: x.astype(np.float32) / 255
    raise InputError(
        f"the model '{cloud.model}' takes {spec}, the images are uint8 [1, {height}, {width}, "
        f"{channels}]",
        "serve a model that takes uint8 NHWC, or float NCHW or NHWC in [0, 1], of this size",
    )


def scores_output(cloud: CloudClient, classes: int) -> str | None:
    """The output that has the class scores, as the metadata tells; None where it tells nothing.

    A server's first output may be something else (an embedding): the one that has a score per
    class is taken, logits and probabilities alike.

    Raises:
        InputError: no output has a score for each of the board's classes.
    """
    outputs = cloud.metadata().outputs
    fitting = [spec for spec in outputs if _may_be_scores(spec, classes)]
    if outputs and not fitting:
        raise InputError(
            f"the model '{cloud.model}' gives {'; '.join(map(str, outputs))}, the board's model "
            f"has {classes} classes",
            "serve the global model of the same export: mcu-hybrid serve --model DIR",
        )
    fitting.sort(key=lambda spec: (not spec.datatype.startswith("FP"), classes not in spec.shape))
    return fitting[0].name if fitting else None


def _may_be_scores(spec: TensorSpec, classes: int) -> bool:
    """True for one score a class; -1 is any size.

    Whole numbers of any size may be class numbers, so these must be as many as the classes.
    """
    sizes = set(spec.shape[1:] if len(spec.shape) > 1 else spec.shape)
    if not sizes <= {-1, 1, classes}:
        return False
    if spec.datatype.startswith("FP"):
        return sizes != {1}
    return spec.datatype.startswith(("INT", "UINT")) and classes in sizes


@dataclass(frozen=True)
class CloudScores:
    """One image's class scores, checked, and what they cost."""

    values: np.ndarray
    elapsed_us: float
    bytes_sent: int
    bytes_received: int

    @property
    def label(self) -> int:
        """The class of the highest score."""
        return int(np.argmax(self.values))

    def scores(self, output: str | None = None) -> np.ndarray:
        """The class scores [classes]; which output has them is settled."""
        return self.values


@dataclass(frozen=True)
class CloudModel:
    """The server's model as the board's teacher: an image in, scores of the board's classes out."""

    client: CloudClient
    payload: Payload
    classes: int
    output: str | None  # "" and None: the first float one

    def infer(self, inputs: np.ndarray) -> CloudScores:
        """Ask about one payload.

        Raises:
            CloudError: no answer, or one that is not one sample's class scores.
        """
        result = self.client.infer(inputs)
        output = self.output if self.output in result.outputs else None
        values = class_scores(result.scores(output), self.classes)
        return CloudScores(values, result.elapsed_us, result.bytes_sent, result.bytes_received)


def cloud_model(cloud: CloudClient, model: Model, shape: tuple[int, ...]) -> CloudModel:
    """Settle with the server how images of this shape are sent and where the scores are.

    Raises:
        CloudError: the server does not answer, or does not know the model.
        InputError: it takes other images, or tells apart other classes than the board's model.
    """
    payload = payload_form(cloud, shape)
    classes = model.graph.tensor(model.graph.outputs[0]).elements
    return CloudModel(cloud, payload, classes, scores_output(cloud, classes))
