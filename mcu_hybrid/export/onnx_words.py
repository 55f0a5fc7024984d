"""Says what stops a conversion in the user's words: the ONNX operator, its layer, and a way out.

The converter names TensorFlow's operators and its own temporary files; here they are led back to
the nodes of the user's file. Every way out of the table was tried: tests/unit/test_onnx_ways.py
converts the layers that it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.export.onnx_edit import attribute

# ONNX operator -> (what TFLite makes of it, the way out); the first that fits is told.
_NORM = "use nn.BatchNorm2d, which becomes part of the convolution ahead of it"
_RECURRENT = "use nn.Conv2d along the time axis: kernel (3, features) first, then (3, 1)"
_CURVE = "use nn.ELU() (with its alpha of 1), nn.ReLU, nn.Hardswish or nn.SiLU"
WAYS: dict[str, tuple[tuple[str, ...], str]] = {
    "LayerNormalization": (("SQUARED_DIFFERENCE", "RSQRT"), _NORM),
    "GroupNormalization": (("SQUARED_DIFFERENCE", "RSQRT"), _NORM),
    "InstanceNormalization": (("SQUARED_DIFFERENCE", "RSQRT"), _NORM + " (GroupNorm is this too)"),
    "Sqrt": (("RSQRT", "SQRT", "SQUARED_DIFFERENCE"), _NORM),
    "Reciprocal": (("DIV",), _NORM),
    "Erf": (("Erf", "GELU"), 'use nn.GELU(approximate="tanh")'),
    "Gelu": (("Erf", "GELU"), 'use nn.GELU(approximate="tanh") with opset 17'),
    "GRU": (("WHILE",), _RECURRENT),
    "LSTM": (("WHILE", "UNIDIRECTIONAL_SEQUENCE_LSTM"), _RECURRENT),
    "RNN": (("WHILE",), _RECURRENT),
    "Elu": (("ELU",), _CURVE),
    "Selu": (("ELU",), _CURVE),
    "Celu": (("ELU",), _CURVE),
    "Softplus": (("EXP", "LOG"), _CURVE),
    "Mish": (("EXP", "LOG"), _CURVE),
    "HardSigmoid": (("RELU_0_TO_1", "MINIMUM", "MAXIMUM"), "use nn.Sigmoid, or nn.Hardswish"),
    "ConstantOfShape": (("MIRROR_PAD",), 'use zero padding (padding_mode="zeros")'),
    "PRelu": (("PRELU",), "use nn.LeakyReLU"),
    "ConvTranspose": (
        ("TRANSPOSE_CONV",),
        'use nn.Upsample(scale_factor=2, mode="nearest") and nn.Conv2d',
    ),
    "Resize": (("RESIZE_BILINEAR", "CUBIC", "Resize"), 'use nn.Upsample(mode="nearest")'),
    "DepthToSpace": (("DEPTH_TO_SPACE",), 'use nn.Upsample(mode="nearest") and nn.Conv2d'),
    "Transpose": (
        (),
        "use nn.Conv2d with stride 2 in place of nn.PixelUnshuffle, nn.Upsample and nn.Conv2d in "
        "place of nn.PixelShuffle",
    ),
    "SpaceToDepth": (("SPACE_TO_DEPTH",), "use nn.Conv2d with stride 2"),
    "LpPool": (("POW", "SQRT"), "use nn.AvgPool2d"),
    "Pow": (("POW",), "use a product: x * x; nn.AvgPool2d in place of nn.LPPool2d"),
    "Exp": (("EXP",), _CURVE),
    "Log": (("LOG",), _CURVE),
    "Div": (("DIV",), "divide by a constant: multiply by its inverse"),
    "Einsum": (("BATCH_MATMUL", "EINSUM"), "attention has no int8 form here: use convolutions"),
    "MatMul": (
        ("BATCH_MATMUL", "MatMul"),
        "a product of two activations (attention) has no int8 form here: use convolutions",
    ),
    "Gather": (("GATHER", "GATHER_ND"), "use slices with constant bounds, or convolutions"),
    "MaxPool": (("Dilation2D",), "use nn.MaxPool2d without dilation"),
    "TopK": (("TOPK_V2",), "end the network at its logits"),
    "ArgMax": (("ARG_MAX",), "end the network at its logits"),
}
_GENERAL = "use layers that the converter and int8 know, or convert it yourself, export the .tflite"
_USUAL = {
    *("Conv", "Gemm", "Relu", "Flatten", "Reshape", "Transpose", "Constant", "Identity"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "BatchNormalization", "Add", "Mul", "Concat"),
    *("Softmax", "Sigmoid", "Clip", "Shape", "Slice", "Squeeze", "Unsqueeze", "Cast", "Pad"),
}


@contextmanager
def in_the_users_words(model: Any, path: Path) -> Iterator[None]:
    """Errors of the conversion inside name the ONNX file's own operators.

    Args:
        model: the user's network, as it was given.
    """
    try:
        yield
    except ModelError as error:
        told = getattr(error, "log", "") or error.message
        nodes = _named(model, told) or _suspects(model, told)
        if nodes:
            kinds = list(dict.fromkeys(node.op_type for node in nodes))
            hints = [WAYS[kind][1] for kind in kinds if kind in WAYS]
            where = f"its {_words(nodes)} cannot run in int8: "
        else:
            where, hints = _unusual(model), []
        fact = re.sub(r"^[^:\s]*\.(tflite|onnx): ", "", error.message)
        kind = UnsupportedOp if isinstance(error, UnsupportedOp) else ModelError
        raise kind(where + fact, "; ".join(dict.fromkeys(hints)) or _GENERAL, path=path) from error


def _named(model: Any, log: str) -> list[Any]:
    """Nodes that the converter's log names: as a layer, or as an operator without an int8 form."""
    names = re.findall(r"onnx_op_name: *(\S+)", log) + re.findall(r"name='(?:wa)?(/?[^']+)'", log)
    wanted = {name.removeprefix("wa").strip("/") for name in names} - {""}
    found = [node for node in model.graph.node if node.name.strip("/") in wanted]
    flex = re.findall(r"(?:TF Select|Custom) ops: *([\w, ]+)", log)
    kinds = {word.strip().lower() for words in flex for word in words.split(",")}
    return found or [node for node in model.graph.node if node.op_type.lower() in kinds]


def _suspects(model: Any, told: str) -> list[Any]:
    """Nodes that become the TFLite operators that the message names."""
    for kind, (made, _) in WAYS.items():
        if any(re.search(rf"\b{word}\b", told) for word in made):
            nodes = [node for node in model.graph.node if node.op_type == kind]
            if kind == "MatMul":  # one by constant weights is a fully connected layer
                fixed = {tensor.name for tensor in model.graph.initializer}
                nodes = [node for node in nodes if not fixed.intersection(node.input)]
            if nodes:
                return nodes
    if "rank 6" in told:
        shuffles = [n for n in model.graph.node if len(attribute(n, "perm", ())) == 6]
        return shuffles or [n for n in model.graph.node if n.op_type in ("DepthToSpace",)]
    # What fails inside a recurrent layer, or is left in float, bears no name of the file's own.
    unusual = [n for n in model.graph.node if n.op_type in WAYS and n.op_type not in _USUAL]
    first = [n for n in unusual if n.op_type in ("GRU", "LSTM", "RNN")] or unusual
    return [node for node in first if node.op_type == first[0].op_type]


def _words(nodes: list[Any]) -> str:
    """GRU '/g/GRU' (and 2 more)."""
    first = nodes[0]
    more = f" (and {len(nodes) - 1} more)" if len(nodes) > 1 else ""
    return f"{first.op_type} '{first.name or first.output[0]}'{more}"


def _unusual(model: Any) -> str:
    kinds = sorted({node.op_type for node in model.graph.node} - _USUAL)
    return f"(operators beyond the usual: {', '.join(kinds)}) " if kinds else ""
