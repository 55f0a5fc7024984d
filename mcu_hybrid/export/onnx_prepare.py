"""An ONNX classifier as the converter and int8 need it: shapes, constants, range, pools, end.

Each change is exact and in a module of its own; here is their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid.export import onnx_edit, onnx_ends, onnx_gelu, onnx_pixels, onnx_pools
from mcu_hybrid.export.onnx_file import ImageInput, one_file
from mcu_hybrid.export.onnx_run import FloatNet
from mcu_hybrid.graph.pixels import PixelForm
from mcu_hybrid.nets.checkpoint import Splits


@dataclass(frozen=True)
class Prepared:
    """What the converter gets: the file's bytes, its output's name, and the form of its pixels."""

    data: bytes
    image: ImageInput
    output: str
    pixels: PixelForm
    x_fit: np.ndarray
    original: Any
    notes: tuple[str, ...]


def prepare(
    original: Any, path: Path, image: ImageInput, splits: Splits, form: PixelForm, net: FloatNet
) -> Prepared:
    """Change a copy of the model.

    Args:
        net: the model as it is.
    """
    shape = splits.x_fit.shape[1:]
    notes = []
    model = onnx_edit.copy_of(original)
    onnx_edit.fix_input(model, image, shape)
    width = int(net.run(splits.x_fit[:1], form)[0].size)
    end = onnx_ends.tame_end(model, width, len(splits.labels))
    if end.note:
        notes.append(end.note)
    model = onnx_edit.simplified(model, path)
    model, names = onnx_gelu.fuse(model)
    notes += [f"GELU of '{name}' as one operator" for name in names]
    pixels = onnx_pixels.fold_pixels(model, image, form, shape[-1])
    look = _Look(model, path, image, pixels.real(splits.x_fit))
    for name in onnx_pools.tame_pools(model, look.shape, look.least):
        notes.append(f"the padding of '{name}' is its smallest real value, not minus infinity")
    data = one_file(model, path)
    return Prepared(data, image, end.output, pixels, splits.x_fit, original, tuple(notes))


class _Look:
    """Shapes and least values of inner tensors, from one run on the calibration images."""

    def __init__(self, model: Any, path: Path, image: ImageInput, real: np.ndarray) -> None:
        self._model, self._path, self._image, self._real = model, path, image, real
        self._known: dict[str, tuple[tuple[int, ...], float]] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        """The tensor's shape, batch 1."""
        return self._of(name)[0]

    def least(self, name: str) -> float:
        """The tensor's smallest value."""
        return self._of(name)[1]

    def _of(self, name: str) -> tuple[tuple[int, ...], float]:
        if not self._known:
            self._run()
        return self._known[name]

    def _run(self) -> None:
        """All inputs and outputs of pools and pads at once."""
        from onnx import TensorProto, helper

        kinds = ("MaxPool", "AveragePool", "Pad")
        nodes = [node for node in self._model.graph.node if node.op_type in kinds]
        names = list(dict.fromkeys(n for v in nodes for n in (v.input[0], v.output[0])))
        model = onnx_edit.copy_of(self._model)
        del model.graph.output[:]
        for name in names:
            if name != self._image.name:
                model.graph.output.append(
                    helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
                )
        net = FloatNet(one_file(model, self._path), self._image, self._path)
        if self._image.name in names:
            size = self._real[:1].transpose(0, 3, 1, 2) if self._image.is_nchw else self._real[:1]
            self._known[self._image.name] = (size.shape, float(self._real.min()))
        for start in range(len(self._real)):
            for name, out in zip(
                net.outputs, net.run_real(self._real[start : start + 1]), strict=True
            ):
                least = float(out.min())
                if name in self._known:
                    least = min(least, self._known[name][1])
                self._known[name] = (out.shape, least)
