"""An ONNX model behind the Open Inference Protocol: its tensors' types and checked inference.

Which requests reach it is service.py's. onnxruntime is imported when a model is opened.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid.cloud.oip_tensors import DTYPES, OipError, TensorSpec, datatype_of
from mcu_hybrid.errors import MissingTool, ModelError

ONNX_TYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


MAX_BATCH = 64  # inputs of a request: more would hold the model, and its memory, for seconds


class OnnxModel:
    """An open model; ``infer`` may be called from several threads at once."""

    platform = "onnx_onnxv1"
    version = "1"

    def __init__(self, path: Path, *, threads: int = 0, max_batch: int = MAX_BATCH) -> None:
        """Open a model with ``threads`` threads per inference (0: onnxruntime decides)."""
        self._max_batch = max_batch
        self._session = _open(Path(path), threads)
        self.inputs = tuple(_spec(arg, path) for arg in self._session.get_inputs())
        self.outputs = tuple(_spec(arg, path) for arg in self._session.get_outputs())

    @property
    def max_batch(self) -> int:
        """Inputs of one request: the model's own number, or the limit where it takes any."""
        fixed = [spec.shape[0] for spec in self.inputs if spec.shape and spec.shape[0] > 0]
        return min(fixed, default=self._max_batch)

    def check(self, inputs: Mapping[str, np.ndarray], outputs: Collection[str] | None) -> None:
        """Raise OipError(400) naming what the model takes, where a request does not fit it."""
        takes = "; ".join(str(spec) for spec in self.inputs)
        specs = {spec.name: spec for spec in self.inputs}
        if set(inputs) != set(specs):
            given = ", ".join(inputs) or "none"
            raise OipError(f"inputs given: {given}; the model takes {takes}")
        for name, array in inputs.items():
            spec = specs[name]
            if datatype_of(array) != spec.datatype:
                raise OipError(f"input '{name}' is {datatype_of(array)}; the model takes {takes}")
            if not spec.accepts(array.shape):
                shape = list(array.shape)
                raise OipError(f"input '{name}' has shape {shape}; the model takes {takes}")
            if spec.shape and spec.shape[0] < 0 and array.shape[0] > self._max_batch:
                raise OipError(
                    f"input '{name}' holds a batch of {array.shape[0]}; this server takes at most "
                    f"{self._max_batch} at a time (max_batch_size of the model's metadata)"
                )
        known = [spec.name for spec in self.outputs]
        for name in outputs or ():
            if name not in known:
                raise OipError(f"no output '{name}'; the model has {', '.join(known)}")

    def raw_input(self, body: bytes) -> dict[str, np.ndarray]:
        """A whole body as the model's only input ("raw binary request"), one size may be free."""
        if len(self.inputs) != 1 or self.inputs[0].datatype == "BYTES":
            raise OipError("a raw binary request needs a model with one numeric input")
        spec = self.inputs[0]
        array = np.frombuffer(body, np.uint8)
        fixed = int(np.prod([n for n in spec.shape if n > 0])) * DTYPES[spec.datatype].itemsize
        if spec.shape.count(-1) > 1 or not body or len(body) % fixed:
            raise OipError(f"{len(body)} raw bytes do not fit {spec}")
        try:
            return {spec.name: array.view(DTYPES[spec.datatype]).reshape(spec.shape)}
        except ValueError as error:
            raise OipError(f"{len(body)} raw bytes do not fit {spec}") from error

    def infer(
        self, inputs: Mapping[str, np.ndarray], outputs: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Run the model; raises OipError(400) for a misfit and OipError(500) where it fails."""
        self.check(inputs, outputs)
        feeds = {
            name: np.vectorize(_text, otypes=[object])(array) if array.dtype == object else array
            for name, array in inputs.items()
        }
        names = list(outputs) if outputs else [spec.name for spec in self.outputs]
        try:
            values = self._session.run(names, feeds)
        except Exception as error:  # onnxruntime's own classes share no base but Exception
            raise OipError(f"the model failed: {_first_line(error)}", 500) from error
        return dict(zip(names, values, strict=True))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]


def _open(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingTool(
            "onnxruntime is not installed", "pip install 'mcu-hybrid[cloud]'"
        ) from error
    if not path.is_file():
        raise ModelError("no such file", "give an ONNX model (--model FILE)", path=path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # failures come back as errors of the request
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        hint = "is it a complete ONNX file, of an opset that this onnxruntime knows?"
        raise ModelError(
            f"not a usable ONNX model: {_first_line(error)}", hint, path=path
        ) from error


def _spec(arg: Any, path: Path) -> TensorSpec:
    if arg.type not in ONNX_TYPES:
        hint = f"tensors of these types work: {', '.join(DTYPES)}"
        raise ModelError(f"'{arg.name}' is a {arg.type}", hint, path=path)
    shape = tuple(n if isinstance(n, int) and n >= 0 else -1 for n in arg.shape)
    return TensorSpec(arg.name, ONNX_TYPES[arg.type], shape)
