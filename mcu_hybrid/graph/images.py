"""Images as the int8 input of a graph: the one place that says what a pixel is worth."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph


def to_int8(graph: Graph, x: np.ndarray) -> np.ndarray:
    """Quantise uint8 images (real value x / 255) to the graph's int8 input, [N, H, W, C].

    With scale 1/255 and zero point -128, which our own exports have, this is x - 128.

    Raises:
        ModelError: the images have another shape than the input.
    """
    tensor = graph.tensor(graph.inputs[0])
    if tensor.shape[1:] != x.shape[1:]:
        raise ModelError(
            f"images are {_size(x.shape[1:])}, the model takes {_size(tensor.shape[1:])} "
            "(height x width x channels)",
            "give the data set that the model was trained on, or --size HEIGHTxWIDTH",
            path=graph.name,
        )
    quant = tensor.require_quant()
    steps = np.rint(x.astype(np.float64) / 255 / float(quant.scale)) + quant.zero_point
    return np.clip(steps, -128, 127).astype(np.int8)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
