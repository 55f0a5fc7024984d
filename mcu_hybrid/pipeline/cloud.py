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
from mcu_hybrid.errors import InputError
from mcu_hybrid.pipeline.build import Build
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


def require_classes(build: Build, cloud: CloudClient) -> None:
    """Refuse a server whose model tells apart another number of classes than the board's."""
    graph = build.model.graph
    classes = graph.tensor(graph.outputs[0]).shape[-1]
    scores = [spec for spec in cloud.metadata().outputs if spec.datatype.startswith("FP")][:1]
    for spec in scores:
        if spec.shape and spec.shape[-1] not in (-1, classes):
            raise InputError(
                f"the model '{cloud.model}' gives {spec}, the board's model has {classes} classes",
                "serve the global model of the same export: mcu-hybrid serve --model DIR",
            )
