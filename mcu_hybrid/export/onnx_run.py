"""Runs an ONNX classifier in float on images: its own accuracy, and what its layers give.

The engine is onnxruntime on one thread; nothing of the network is changed here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid.errors import MissingTool, ModelError
from mcu_hybrid.export.onnx_file import ImageInput
from mcu_hybrid.graph.pixels import PixelForm

_BATCH = 64  # memory against speed; a foreign global may be large


class FloatNet:
    """An open ONNX model with one image input.

    Raises:
        MissingTool: onnxruntime is not installed.
        ModelError: onnxruntime cannot open the model; the message names ``path``.
    """

    def __init__(self, data: bytes, image: ImageInput, path: Path) -> None:
        self._session, self._image, self._path = open_session(data, path), image, path
        self.outputs = [output.name for output in self._session.get_outputs()]
        first = self._session.get_inputs()[0].shape[0]
        self._step = 1 if isinstance(first, int) and first > 0 else _BATCH

    def run(self, x: np.ndarray, form: PixelForm) -> list[np.ndarray]:
        """All outputs for uint8 images [N, H, W, C] whose pixels are worth ``form``."""
        parts: list[list[np.ndarray]] = []
        for start in range(0, len(x), self._step):
            batch = x[start : start + self._step]
            real = batch if self._image.is_bytes else form.real(batch)
            parts.append(self.run_real(real))
            if self._step > 1 and any(len(out) != len(batch) for out in parts[-1]):
                self._step = 1  # a fixed batch inside: start anew, one by one
                return self.run(x, form)
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def run_real(self, real: np.ndarray) -> list[np.ndarray]:
        """All outputs for images NHWC in the network's own real numbers."""
        given = real.transpose(0, 3, 1, 2) if self._image.is_nchw else real
        try:
            found = self._session.run(None, {self._image.name: np.ascontiguousarray(given)})
        except Exception as error:  # onnxruntime's own classes share no base but Exception
            if len(real) > 1:
                self._step = 1
                rows = [self.run_real(real[i : i + 1]) for i in range(len(real))]
                return [np.concatenate(column) for column in zip(*rows, strict=True)]
            raise ModelError(
                f"does not run in onnxruntime: {first_line(error)}",
                "export it again; its shapes or operators do not fit its input",
                path=self._path,
            ) from error
        return [np.asarray(out) if np.ndim(out) else np.asarray(out)[None] for out in found]


def open_session(data: bytes, path: Path, *, save: Path | None = None) -> Any:
    """An onnxruntime session; with ``save`` the simplified model is written there.

    Simplified is onnxruntime's basic level: constants folded, nothing approximated.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingTool(
            "onnxruntime is not installed", "pip install 'mcu-hybrid[export]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if save is not None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(save)
    try:
        return onnxruntime.InferenceSession(
            data, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # as above
        raise ModelError(
            f"onnxruntime cannot open it: {first_line(error)}",
            "is it a complete ONNX file, of an opset that this onnxruntime knows?",
            path=path,
        ) from error


def first_line(error: Exception) -> str:
    """The first line of an error, short."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
