"""Images as the int8 input of a graph: the one place that says what a pixel is worth."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph

_ONE_TO_ONE = 1 / 64  # of a level over all 256: then a pixel is a level, and no rounding is due
_TIE = 1 / 32  # of a level: so near to a half a shift counts as one, for scales are rounded


def to_int8(graph: Graph, x: np.ndarray) -> np.ndarray:
    """Quantise uint8 images to the graph's int8 input, [N, H, W, C].

    Real values are those of ``graph.pixels``. With x / 255, scale 1/255 and zero point -128, which
    our own exports have, this is x - 128.

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
    gain, offset = graph.pixels.affine()
    slope = gain / 255 / float(quant.scale)
    shift = offset / float(quant.scale) + quant.zero_point
    if np.all(np.abs(slope - 1) * 255 < _ONE_TO_ONE):
        steps = x.astype(np.int64) + _whole(shift)
    else:
        real = x.astype(np.float64) / 255 * gain + offset
        steps = np.rint(real / float(quant.scale)) + quant.zero_point
    return np.clip(steps, -128, 127).astype(np.int8)


def _whole(shift: np.ndarray) -> np.ndarray:
    """The nearest whole shifts; a tie, as [-1, 1] has, goes to the one that loses no level."""
    nearest = np.rint(shift)
    tie = np.abs(np.abs(shift - np.floor(shift)) - 0.5) < _TIE
    low = np.floor(shift)
    towards = np.where(np.abs(low + 128) <= np.abs(low + 1 + 128), low, low + 1)
    return np.where(tie, towards, nearest).astype(np.int64)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
