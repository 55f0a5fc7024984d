"""torch -> ONNX for a network with several outputs: many classifiers, one conversion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from mcu_hybrid.export.onnx import IMAGE, _export


def write_heads(
    net: nn.Module, shape: tuple[int, int, int], outputs: Sequence[str], path: Path
) -> None:
    """Write image [1, C, H, W] -> the named outputs, in the network's order.

    Args:
        shape: image (height, width, channels).

    Raises:
        ModelError: torch cannot export the network.
    """
    height, width, channels = shape
    example = (torch.zeros(1, channels, height, width),)
    _export(net, example, path, [IMAGE], list(outputs), {})
