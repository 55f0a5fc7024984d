"""Reads what an ONNX file of the user takes: shape and layout of its image input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcu_hybrid.errors import MissingTool, ModelError


@dataclass(frozen=True)
class OnnxInput:
    """Options for the converter: fixed shapes, and inputs that are NHWC already."""

    shapes: tuple[str, ...]
    keep_nhwc: tuple[str, ...]


def describe_input(path: Path, image: tuple[int, ...]) -> OnnxInput:
    """Check that the file takes one image of shape ``image`` (H, W, C), as NCHW or NHWC.

    Raises:
        ModelError: it is no ONNX file, or takes something else.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingTool("onnx is not installed", "pip install 'mcu-hybrid[export]'") from error
    try:
        graph = onnx.load(str(path)).graph
    except FileNotFoundError as error:
        raise ModelError("does not exist", "give an ONNX file", path=path) from error
    except Exception as error:  # protobuf raises several classes for damaged bytes
        raise ModelError(
            f"is not a readable ONNX file: {error}", "copy or export the file again", path=path
        ) from error
    fixed = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in fixed]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ModelError(
            f"has {len(inputs)} inputs and {len(graph.output)} outputs, expected one of each",
            "export a classifier: one image in, one vector of logits out",
            path=path,
        )
    if inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise ModelError(
            f"input '{inputs[0].name}' is not float32",
            "export the network with a float32 image in [0, 1] as its input",
            path=path,
        )
    dims = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim]
    height, width, channels = image
    layouts = {"nchw": (channels, height, width), "nhwc": (height, width, channels)}
    for name, wanted in layouts.items():
        if len(dims) == 4 and all(d in (0, w) for d, w in zip(dims[1:], wanted, strict=True)):
            shape = ",".join(str(v) for v in (1, *wanted))
            return OnnxInput((f"image:{shape}",), ("image",) if name == "nhwc" else ())
    raise ModelError(
        f"input '{inputs[0].name}' has shape {dims}, the images are {list(image)} (HWC)",
        "give the data that the model was made for",
        path=path,
    )
