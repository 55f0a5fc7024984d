"""What an ONNX classifier ends in, and the end that a device can route by: one logit a class.

Softmax and sigmoid over the classes stay (the routers read their input, ends.py); what hides the
logits from int8 (LogSoftmax, ArgMax, a single probability of two classes) is taken off and said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid.export.onnx_edit import PREFIX, add_constant, attribute

_VIEWS = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Dropout")
_SQUASH = ("Softmax", "Sigmoid")
_OFF = ("LogSoftmax", "ArgMax", "TopK", "Hardmax")
LOGITS, PROBABILITIES = "logits", "probabilities"


@dataclass(frozen=True)
class OnnxEnd:
    """The output's name in the .tflite, and in words what was taken off."""

    output: str
    note: str = ""


def tame_end(model: Any, width: int, classes: int) -> OnnxEnd:
    """Change the model's end where it hides its logits.

    Args:
        width: how many values the only output has.
        classes: of the data.
    """
    last = _last(model)
    if last is None:
        return OnnxEnd(LOGITS)
    where = f"{last.op_type} '{last.name or last.output[0]}'"
    before = _writer(model, last.input[0])
    if last.op_type == "Log" and before is not None and before.op_type == "Softmax":
        _end_at(model, before.input[0])
        return OnnxEnd(LOGITS, f"Log of Softmax at the end taken off ({where})")
    if last.op_type in _OFF:
        _end_at(model, last.input[0])
        if last.op_type == "LogSoftmax" or not _softmax_ahead(model):
            return OnnxEnd(LOGITS, f"{where} at the end taken off: the device gives its input")
        return OnnxEnd(PROBABILITIES, f"{where} at the end taken off: the device gives its input")
    if width == 1 and classes == 2:
        _end_at(model, last.input[0] if last.op_type == "Sigmoid" else last.output[0])
        _two_logits(model)
        return OnnxEnd(
            LOGITS,
            f"one value for two classes ({where}): the device gives the logits 0 and its own, "
            "which have the same probabilities",
        )
    return OnnxEnd(PROBABILITIES if last.op_type in _SQUASH else LOGITS)


def predictions(values: np.ndarray, classes: int) -> np.ndarray | None:
    """The class of each image [N] by the network's own output; None where it has none.

    One value for two classes is a probability or a logit, whichever its range says; one value for
    more is the class itself.
    """
    flat = values.reshape(len(values), -1)
    if flat.shape[1] == classes and classes > 1:
        return np.asarray(flat.argmax(axis=1))
    if flat.shape[1] != 1:
        return None
    column = flat[:, 0]
    if classes > 2 or np.issubdtype(column.dtype, np.integer):
        is_class = np.issubdtype(column.dtype, np.integer)
        return column.astype(np.int64) if is_class else None
    is_probability = bool(column.min() >= 0 and column.max() <= 1)
    return (column > (0.5 if is_probability else 0.0)).astype(np.int64)


def _writer(model: Any, name: str) -> Any:
    return next((node for node in model.graph.node if name in node.output), None)


def _last(model: Any) -> Any:
    """The node that makes the output's values, views skipped."""
    node = _writer(model, model.graph.output[0].name)
    while node is not None and node.op_type in _VIEWS:
        before = _writer(model, node.input[0])
        if before is None:
            return node
        node = before
    return node


def _softmax_ahead(model: Any) -> bool:
    node = _last(model)
    return node is not None and node.op_type in _SQUASH


def _end_at(model: Any, name: str) -> None:
    """Make the tensor the only output, and drop the nodes that nothing needs any more."""
    from onnx import TensorProto, helper

    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    wanted, kept = {name}, []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
            wanted.update(_captured(node))
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))


def _captured(node: Any) -> set[str]:
    """Names that the node's subgraphs read from outside."""
    found: set[str] = set()
    for name in ("then_branch", "else_branch", "body"):
        graph = attribute(node, name)
        for inner in graph.node if graph is not None else ():
            found.update(inner.input)
            found.update(_captured(inner))
    return found


def _two_logits(model: Any) -> None:
    """z becomes [0, z]: softmax of it is sigmoid of z."""
    from onnx import TensorProto, helper

    source = model.graph.output[0].name
    shape = add_constant(model, f"{PREFIX}_end_shape", np.array([1, 1], np.int64))
    weights = add_constant(model, f"{PREFIX}_end_weights", np.array([[0.0, 1.0]], np.float32))
    flat, both = f"{PREFIX}_end_flat", f"{PREFIX}_end"
    model.graph.node.extend(
        [
            helper.make_node("Reshape", [source, shape], [flat], name=flat),
            helper.make_node("Gemm", [flat, weights], [both], name=both),
        ]
    )
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(both, TensorProto.FLOAT, [1, 2]))
