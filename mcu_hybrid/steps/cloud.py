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
from mcu_hybrid.cloud.oip_tensors import TensorSpec
from mcu_hybrid.cloud.scores import class_scores
from mcu_hybrid.errors import InputError
from mcu_hybrid.export import suspicion
from mcu_hybrid.graph.pixels import UNIT, PixelForm
from mcu_hybrid.routing.link_costs import LinkModel
from mcu_hybrid.routing.outcomes import MISSING
from mcu_hybrid.steps.build import Model
from mcu_hybrid.steps.serve import global_model, serving

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
    pixels: PixelForm | None = None  # that the cloud's float model was trained on; None = [0, 1]
    virtual: bool = False  # a machine runs the image in the board's place


@contextmanager
def cloud_for(options: RunOptions, export: Path | None) -> Iterator[CloudClient]:
    """A client of the given server, or of one that serves the export's global model meanwhile."""
    if options.cloud:
        with CloudClient.open(
            options.cloud, options.model, token=options.token, deadline_s=options.deadline_s
        ) as client:
            yield client
        return
    if options.pixels is not None:
        raise InputError(
            "the export's own global model has its input range in it: --cloud-input-scale, "
            "--cloud-mean, --cloud-std are of another server's model",
            "leave them out, or give --cloud URL",
        )
    if export is None:
        raise InputError("there is no global model to serve", "give --cloud URL --model NAME")
    with (
        serving(global_model(export), options.model) as url,
        CloudClient.open(url, options.model, deadline_s=options.deadline_s) as client,
    ):
        yield client


def payload_form(
    cloud: CloudClient, shape: tuple[int, ...], pixels: PixelForm | None = None
) -> tuple[Payload, PixelForm | None]:
    """How the server's model wants an image: raw bytes NHWC, or float as NHWC or NCHW.

    Asked before the board runs, so that a server that is down, or holds another model, is said
    early. Returns what makes it of uint8 images, and what a pixel becomes (None: raw bytes).

    Args:
        pixels: what a float model was trained on, which no metadata tells; None: [0, 1].

    Raises:
        CloudError: the server does not answer, or does not know the model.
        InputError: its input fits none of these forms, or ``pixels`` not the input.
    """
    height, width, channels = shape
    form = (pixels or UNIT).check(channels)
    inputs = cloud.metadata().inputs
    if len(inputs) != 1:
        raise InputError(
            f"the model '{cloud.model}' has {len(inputs)} inputs, need one image",
            "wrap it: one input, class scores out",
        )
    spec = inputs[0]
    if spec.datatype == "UINT8" and spec.accepts((1, height, width, channels)):
        if pixels is not None:
            raise InputError(
                f"the model '{cloud.model}' takes pixels as they are ({spec})",
                "leave out --cloud-input-scale, --cloud-mean and --cloud-std",
            )
        return lambda x: x, None
    if spec.datatype == "FP32" and spec.accepts((1, channels, height, width)):
        return lambda x: np.ascontiguousarray(form.real(x).transpose(0, 3, 1, 2)), form
    if spec.datatype == "FP32" and spec.accepts((1, height, width, channels)):
        return form.real, form
    raise InputError(
        f"the model '{cloud.model}' takes {spec}, the images are uint8 [1, {height}, {width}, "
        f"{channels}]",
        "serve a model that takes uint8 NHWC, or float NCHW or NHWC, of this size",
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
    pixels: PixelForm | None = UNIT  # what a pixel is sent as; None: as it is

    def infer(self, inputs: np.ndarray) -> CloudScores:
        """Ask about one payload.

        Raises:
            CloudError: no answer, or one that is not one sample's class scores.
        """
        result = self.client.infer(inputs)
        output = self.output if self.output in result.outputs else None
        values = class_scores(result.scores(output), self.classes)
        return CloudScores(values, result.elapsed_us, result.bytes_sent, result.bytes_received)


def cloud_model(
    cloud: CloudClient, model: Model, shape: tuple[int, ...], pixels: PixelForm | None = None
) -> CloudModel:
    """Settle with the server how images of this shape are sent and where the scores are.

    Raises:
        CloudError: the server does not answer, or does not know the model.
        InputError: it takes other images, or tells apart other classes than the board's model.
    """
    payload, form = payload_form(cloud, shape, pixels)
    classes = model.graph.tensor(model.graph.outputs[0]).elements
    return CloudModel(cloud, payload, classes, scores_output(cloud, classes), form)


def cloud_warnings(
    pixels: PixelForm | None,
    told: np.ndarray,
    device: np.ndarray,
    truth: np.ndarray,
    *,
    is_own: bool,
) -> list[str]:
    """A sentence where the cloud's answers are no better than guessing, or worse than the board's.

    Args:
        pixels: what a pixel was sent as; None: as it is.
        told, device, truth: classes [N]; MISSING where the cloud gave no answer.
        is_own: the model is the export's own one, which has its range in it.
    """
    answered = told != MISSING
    told, device, truth = told[answered], device[answered], truth[answered]
    if not len(truth):
        return []
    if suspicion.is_at_chance(told, truth):
        than = f"no more than guessing ({suspicion.chance(told, truth):.1%})"
    elif suspicion.is_clearly_better(device == truth, told == truth):
        mine = (device == truth).mean()
        than = f"fewer than the board's own ({mine:.1%}): asking it makes the answers worse"
    else:
        return []
    right = (told == truth).mean()
    known = f"the cloud's model is right on {right:.1%} of {len(truth)} images, {than}."
    if pixels is None:
        return [f"{known} It sees the pixels as they are (uint8); are its classes in this order?"]
    prefix, where = ("--global-", " of export") if is_own else ("--cloud-", "")
    options = f"{prefix}input-scale, {prefix}mean, {prefix}std{where}"
    return [
        f"{known} It sees {pixels}; is that the range it was trained on (else give {options}), and "
        "are its classes in this order?"
    ]
