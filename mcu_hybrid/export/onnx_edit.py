"""Small exact changes of an ONNX graph ahead of conversion: shapes, constants, the input's range.

Every change leaves what the network computes as it is (up to float rounding). Pools with padding
are in onnx_pools.py, the network's end in onnx_ends.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.export.onnx_file import ImageInput
from mcu_hybrid.export.onnx_run import open_session

PREFIX = "mcu_hybrid"
_SHAPING = ("Shape", "Size", "ConstantOfShape", "Range", "Expand", "If", "Loop", "Identity")


def copy_of(model: Any) -> Any:
    """A copy that may be changed."""
    made = type(model)()
    made.CopyFrom(model)
    return made


def constants(model: Any) -> dict[str, np.ndarray]:
    """Initializers and the values of Constant nodes, by name."""
    from onnx import numpy_helper

    found = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    found[node.output[0]] = numpy_helper.to_array(attribute.t)
    return found


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """The value of a node's attribute."""
    from onnx import helper

    for found in node.attribute:
        if found.name == name:
            return helper.get_attribute_value(found)
    return default


def add_constant(model: Any, name: str, values: np.ndarray) -> str:
    """Add an initializer; returns its name."""
    from onnx import numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(np.array(values, order="C"), name))
    return name


def readers(model: Any, name: str) -> list[Any]:
    """The nodes that read a tensor."""
    return [node for node in model.graph.node if name in node.input]


def is_output(model: Any, name: str) -> bool:
    """True for a tensor that is an output of the network."""
    return any(output.name == name for output in model.graph.output)


def insert_before(model: Any, node: Any, made: Sequence[Any]) -> None:
    """Put nodes directly ahead of ``node``; nodes that were looked up before are stale then."""
    _insert(model, node, made, 0)


def insert_behind(model: Any, node: Any, made: Sequence[Any]) -> None:
    """Put nodes directly behind ``node``; likewise."""
    _insert(model, node, made, 1)


def _insert(model: Any, node: Any, made: Sequence[Any], offset: int) -> None:
    nodes = list(model.graph.node)
    place = next(i for i, other in enumerate(nodes) if other.output[0] == node.output[0]) + offset
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:place], *made, *nodes[place:]])


def fix_input(model: Any, image: ImageInput, shape: tuple[int, ...]) -> None:
    """Give the image input its whole shape, batch 1, and forget shapes that were inferred."""
    height, width, channels = shape
    dims = (1, channels, height, width) if image.is_nchw else (1, height, width, channels)
    given = next(value for value in model.graph.input if value.name == image.name)
    del given.type.tensor_type.shape.dim[:]
    for size in dims:
        given.type.tensor_type.shape.dim.add().dim_value = size
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def plain_means(model: Any) -> None:
    """Without padding, a mean that counts the padding counts the same as one that does not.

    onnxruntime counts it wrongly where ceil_mode lets a window reach beyond the image.
    """
    for node in model.graph.node:
        if node.op_type == "AveragePool" and not any(attribute(node, "pads", [])):
            for found in node.attribute:
                if found.name == "count_include_pad":
                    found.i = 0


def simplified(model: Any, path: Path) -> Any:
    """The model with Constant nodes as initializers and shape arithmetic folded.

    Without this onnx2tf takes Constant nodes for outputs, and free shapes for unknown ones.
    onnxruntime folds; it also takes HardSwish apart, which is put together again.
    """
    import onnx
    from onnx import numpy_helper

    known = constants(model)
    nodes = [n for n in model.graph.node if n.op_type != "Constant" or n.output[0] not in known]
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output[0] in known:
            name = node.output[0]
            model.graph.initializer.append(numpy_helper.from_array(known[name], name))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    if any(node.op_type in _SHAPING for node in nodes):
        with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as folder:
            save = Path(folder) / "simple.onnx"
            try:
                open_session(model.SerializeToString(), path, save=save)
                model = _standard(onnx.load(str(save))) or model
            except ModelError:
                pass  # as it is: the converter says what is wrong with it
    _fuse_hard_swish(model)
    return model


def _standard(model: Any) -> Any:
    """The model without entries of other domains; None where it uses their operators."""
    standard = ("", "ai.onnx")
    if any(node.domain not in standard for node in model.graph.node):
        return None
    kept = [entry for entry in model.opset_import if entry.domain in standard]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return model


def _fuse_hard_swish(model: Any) -> None:
    """x * HardSigmoid(x) with slope 1/6 is HardSwish, for which int8 has an operator."""
    opset = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
    for node in model.graph.node:
        alpha, beta = attribute(node, "alpha", 0.2), attribute(node, "beta", 0.5)
        if node.op_type != "HardSigmoid" or abs(alpha - 1 / 6) > 1e-5 or beta != 0.5 or opset < 14:
            continue
        behind = readers(model, node.output[0])
        both = {node.input[0], node.output[0]}
        if len(behind) == 1 and behind[0].op_type == "Mul" and set(behind[0].input) == both:
            behind[0].op_type = "HardSwish"
            del behind[0].input[:]
            behind[0].input.append(node.input[0])
    _drop_unread(model)


def _drop_unread(model: Any) -> None:
    kept = [
        node
        for node in model.graph.node
        if node.op_type != "HardSigmoid"
        or readers(model, node.output[0])
        or is_output(model, node.output[0])
    ]
    if len(kept) < len(model.graph.node):
        copies = [type(node).FromString(node.SerializeToString()) for node in kept]
        del model.graph.node[:]
        model.graph.node.extend(copies)


def rename_reads(model: Any, old: str, new: str) -> None:
    """Let every node read ``new`` where it read ``old``."""
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = new
