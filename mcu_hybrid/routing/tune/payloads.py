"""Bytes of a query by what is sent: the raw image, PNG, JPEG, int8 features, int8 logits.

A size alone, no headers: packets are the link model's. PNG keeps every pixel, so the cloud answers
as measured; JPEG changes pixels, and features or logits need another network in the cloud, so for
these only the cost is known, not the cloud's accuracy.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid.errors import InputError, MissingTool
from mcu_hybrid.events import OnEvent
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import traits
from mcu_hybrid.ops.conv2d import CONV_2D
from mcu_hybrid.ops.fully_connected import FULLY_CONNECTED
from mcu_hybrid.ops.quantize import QUANTIZE
from mcu_hybrid.ops.softmax import SOFTMAX

FORMS = ("raw", "png", "jpeg", "features", "logits")
JPEG_QUALITY = 85  # a camera's usual setting; not tuned: jpeg:QUALITY takes any other
_UNCHANGED = {"raw", "png"}


@dataclass(frozen=True)
class Payload:
    """Bytes of one query: one number, or one per image int64 [N]; ``note`` says what is unknown."""

    form: str
    sizes: int | np.ndarray
    note: str = ""


def payload(
    form: str, images: np.ndarray | None, graph: Graph | None, on_event: OnEvent | None = None
) -> Payload:
    """What a query of this form weighs.

    Args:
        form: raw, png, jpeg (or jpeg:QUALITY), features, logits.
        images: uint8 [N, H, W, C], C 1 or 3, of the calibration split; for raw, png and jpeg.
        graph: the device's model; for features and logits.

    Raises:
        InputError: an unknown form, or what it needs is not there.
        MissingTool: png and jpeg without Pillow.
    """
    kind, _, quality = form.partition(":")
    if kind not in FORMS or (quality and (kind != "jpeg" or not quality.isdigit())):
        raise InputError(
            f"no payload '{form}'", f"one of: {', '.join(FORMS)}, or jpeg:60", key="payload"
        )
    if kind in ("features", "logits"):
        if graph is None:
            raise InputError("needs the device's model", "give a build or export folder", key=form)
        size = logits_bytes(graph) if kind == "logits" else features_bytes(graph)
        note = f"the cloud's accuracy is that of its image network; one for {kind} was not measured"
        return Payload(form, size, note)
    if images is None:
        raise InputError("needs the calibration images", "give --export DIR", key=form)
    if kind == "raw":
        return Payload(form, int(np.prod(images.shape[1:])))
    note = "" if kind in _UNCHANGED else "the cloud's accuracy was measured without JPEG's losses"
    save = {"quality": int(quality or JPEG_QUALITY)} if kind == "jpeg" else {"optimize": True}
    return Payload(form, _compressed(kind, images, save, on_event), note)


def _compressed(
    kind: str, images: np.ndarray, save: Mapping[str, Any], on_event: OnEvent | None
) -> np.ndarray:
    """Bytes int64 [N] of each image as Pillow writes it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingTool(
            f"the size of a {kind.upper()} is measured with Pillow, which is not installed",
            "pip install 'mcu-hybrid[train]'",
        ) from error
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise InputError(
            f"images of shape {list(images.shape[1:])} are neither grey nor colour",
            "choose the payload raw",
            key="payload",
        )
    sizes = np.empty(len(images), np.int64)
    for i, image in enumerate(images):
        stream = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, kind, **save)
        sizes[i] = stream.tell()
        if on_event and (i % 100 == 99 or i + 1 == len(images)):
            on_event(f"size as {kind.upper()}", i + 1, len(images))
    return sizes


def logits_bytes(graph: Graph) -> int:
    """Bytes of the class scores, int8."""
    return int(np.prod(graph.tensor(graph.outputs[0]).shape))


def features_bytes(graph: Graph) -> int:
    """Bytes of the int8 input of the layer that makes the logits, batch 1.

    Raises:
        InputError: the logits do not come from a fully connected layer or a convolution.
    """
    makers = {index: op for op in graph.ops for index in op.outputs}
    at = graph.outputs[0]
    while at in makers and _keeps_order(makers[at]):
        at = makers[at].inputs[0]
    if at not in makers or not (FULLY_CONNECTED.serves(makers[at]) or CONV_2D.serves(makers[at])):
        raise InputError(
            "the logits do not come from a fully connected layer or a convolution",
            "choose another payload",
            key="payload features",
        )
    return int(np.prod(graph.tensor(makers[at].inputs[0]).shape))


def _keeps_order(op: Op[Any]) -> bool:
    """True for what may stand between a layer and the logits that it makes."""
    return traits(op).view or SOFTMAX.serves(op) or QUANTIZE.serves(op)
