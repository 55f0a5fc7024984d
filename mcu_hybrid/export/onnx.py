"""torch -> ONNX: base + router as one file with two inputs, and the global for the cloud."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mcu_hybrid import folders
from mcu_hybrid.errors import ModelError
from mcu_hybrid.nets.checkpoint import Hybrid

IMAGE, FEATURES, LOGITS, SCORE = "image", "route_features", "logits", "route_score"
_OPSET = 17  # read by every onnxruntime and onnx2tf that setup.cfg allows


class _Pair(nn.Module):
    """Base and collapsed router side by side: what TFLite runs; the link between is not in it."""

    def __init__(self, hybrid: Hybrid) -> None:
        super().__init__()
        head = hybrid.router.head
        hidden, features = head.w1.shape
        self.base = hybrid.base
        self.hidden, self.gate = nn.Linear(features, hidden), nn.Linear(hidden, 1)
        for target, value in (
            (self.hidden.weight, head.w1),
            (self.hidden.bias, head.b1),
            (self.gate.weight, head.w2[None, :]),
            (self.gate.bias, [head.b2]),
        ):
            target.data = torch.as_tensor(value, dtype=torch.float32)

    def forward(self, image: Any, features: Any) -> Any:
        return self.base(image), self.gate(torch.relu(self.hidden(features)))


def write_pair(hybrid: Hybrid, path: Path) -> None:
    """Write base + router: (image [1, C, H, W], route_features) -> (logits, route_score)."""
    height, width, channels = hybrid.shape
    features = hybrid.router.head.w1.shape[1]
    example = torch.zeros(1, channels, height, width), torch.zeros(1, features)
    _export(_Pair(hybrid), example, path, [IMAGE, FEATURES], [LOGITS, SCORE], {})


def write_base(hybrid: Hybrid, path: Path) -> None:
    """Write the base alone: image [1, C, H, W] -> logits."""
    height, width, channels = hybrid.shape
    example = (torch.zeros(1, channels, height, width),)
    _export(hybrid.base, example, path, [IMAGE], [LOGITS], {})


class _OnBytes(nn.Module):
    """A network on raw pixels: a query then carries H * W * C bytes and not four times as many."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Any) -> Any:
        return self.net(image.permute(0, 3, 1, 2).float() / 255)


def write_global(hybrid: Hybrid, path: Path) -> None:
    """Write the global: image uint8 [N, H, W, C], any batch -> logits float [N, K]."""
    height, width, channels = hybrid.shape
    example = (torch.zeros(1, height, width, channels, dtype=torch.uint8),)
    axes = {IMAGE: {0: "batch"}, LOGITS: {0: "batch"}}
    _export(_OnBytes(hybrid.global_), example, path, [IMAGE], [LOGITS], axes)


def _export(
    net: nn.Module,
    example: tuple[Any, ...],
    path: Path,
    inputs: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
) -> None:
    """torch.onnx.export, quiet; what torch cannot export becomes a ModelError."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                net.eval(),
                example,
                str(path),
                input_names=inputs,
                output_names=outputs,
                dynamic_axes=axes,
                opset_version=_OPSET,
                dynamo=False,
            )
    except ImportError:
        raise
    except Exception as error:  # the user's network: the exporter fails in many ways
        if isinstance(error, OSError) and error.errno in folders.NO_ROOM:
            raise
        fact = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"torch cannot export the network to ONNX: {fact}",
            "replace the operation that it names, or give export an ONNX file of your own",
        ) from error
