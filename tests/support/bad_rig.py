"""A small model, data for it, the folders made of it, and what a failed command said (no tests)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.support.tflite_builder import OpSpec, Spec, build

CLASSES, SIDE = 3, 4
Refused = Callable[..., "Told"]


@dataclass(frozen=True)
class Told:
    """What a failed command said."""

    kind: str
    message: str
    hint: str

    def __contains__(self, text: str) -> bool:
        return text in f"{self.message}\n{self.hint}"


def listing(folder: Path) -> Mapping[str, str]:
    """Everything under a folder, with the digest of each file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


def classifier(dtype: str = "int8") -> bytes:
    """image [1, 4, 4, 1] -> logits [1, 3]: one convolution over all of it."""
    rng = np.random.default_rng(1)
    quantised = {"scale": 1 / 255, "zero": -128 if dtype == "int8" else 0}
    if dtype == "float32":
        quantised = {}
    weights = rng.integers(-127, 128, (CLASSES, SIDE, SIDE, 1))
    kind = "float32" if dtype == "float32" else "int8"
    scale = None if dtype == "float32" else 0.02
    tensors = [
        Spec("image", (1, SIDE, SIDE, 1), dtype, **quantised),
        Spec("w", weights.shape, kind, scale=scale, data=weights.astype(kind)),
        Spec("conv", (1, 1, 1, CLASSES), dtype, scale=scale and 0.25),
        Spec("shape", (2,), "int32", data=np.array([1, CLASSES], np.int32)),
        Spec("logits", (1, CLASSES), dtype, scale=scale and 0.25),
    ]
    window = {"stride_h": 1, "stride_w": 1, "padding": 1}
    ops = [OpSpec("CONV_2D", (0, 1), (2,), window), OpSpec("RESHAPE", (2, 3), (4,))]
    return build(tensors, ops, [0], [4])


def global_onnx(path: Path, side: int = SIDE, classes: int = CLASSES) -> Path:
    """A global model as ours is exported: float NCHW in [0, 1] to logits, any batch."""
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.random.default_rng(2).normal(size=(side * side, classes)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("image", float32, ["n", 1, side, side])],
        [helper.make_tensor_value_info("logits", float32, ["n", classes])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


def npz(path: Path, side: int = SIDE, per_class: int = 30) -> Path:
    rng = np.random.default_rng(3)
    y = np.arange(CLASSES * per_class) % CLASSES
    x = rng.integers(0, 256, (len(y), side, side, 1)).astype(np.uint8)
    np.savez(path, x=x, y=y)
    return path


@dataclass(frozen=True)
class Steps:
    """Folders of a hybrid: exported with the entropy as its router, built for the host."""

    root: Path

    @property
    def export(self) -> Path:
        return self.root / "export"

    @property
    def build(self) -> Path:
        return self.root / "build"
