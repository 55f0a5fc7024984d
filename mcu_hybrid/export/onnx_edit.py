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
from mcu_hybrid.graph.pixels import UNIT, PixelForm

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


def embed_pixels(model: Any, image: ImageInput, form: PixelForm) -> None:
    """Put the form in front: the network then takes [0, 1] and computes its own range."""
    from onnx import helper

    if form.is_unit:
        return
    gain, offset = form.affine()
    axes = (1, -1, 1, 1) if image.is_nchw else (1, 1, 1, -1)
    named = {}
    for role, values in (("gain", gain), ("offset", offset)):
        shaped = values.astype(np.float32).reshape(axes)
        named[role] = add_constant(model, f"{PREFIX}_pixel_{role}", shaped)
    scaled, ranged = f"{PREFIX}_pixels_scaled", f"{PREFIX}_pixels"
    rename_reads(model, image.name, ranged)
    first = [
        helper.make_node("Mul", [image.name, named["gain"]], [scaled], name=scaled),
        helper.make_node("Add", [scaled, named["offset"]], [ranged], name=ranged),
    ]
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*first, *nodes])


def rename_reads(model: Any, old: str, new: str) -> None:
    """Let every node read ``new`` where it read ``old``."""
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = new


def fold_pixels(model: Any, image: ImageInput, form: PixelForm, channels: int) -> PixelForm:
    """Let the network take pixels whose 256 values are 256 levels; returns their form.

    Where the first layers are convolutions without zero padding, gain and offset go into their
    weights and bias, and pixels are x / 255. With padding a real 0 must stay a level, as that is
    what the border holds. One gain and offset for all channels then become the input's scale and
    zero point, shifted by less than half a level, which the bias takes back; others become one
    1x1 depthwise convolution ahead.
    """
    if form.is_unit:
        return UNIT
    gain, offset = form.affine()
    firsts = readers(model, image.name)
    foldable = bool(firsts) and all(_is_conv(model, node, image) for node in firsts)
    if foldable and not any(_pads(node) for node in firsts):
        for node in firsts:
            _into_conv(model, node, np.broadcast_to(gain, channels), np.zeros(channels) + offset)
        return UNIT
    if form.is_uniform:
        level = float(gain[0]) / 255
        zero = round(-128 - float(offset[0]) / level)
        if not -128 <= zero <= 127:  # no real 0 among the pixels' values
            return form
        shift = level * (-128 - zero) - float(offset[0])
        if foldable:
            for node in firsts:
                _into_conv(model, node, np.ones(channels), np.full(channels, -shift))
        std = form.scale / float(gain[0])
        return PixelForm(form.scale, (float(form.mean[0]) - shift * std,), (std,))
    _depthwise_ahead(model, image, np.zeros(channels) + gain, np.zeros(channels) + offset)
    return UNIT


def _is_conv(model: Any, node: Any, image: ImageInput) -> bool:
    known = constants(model)
    return bool(
        node.op_type == "Conv"
        and image.is_nchw
        and node.input[0] == image.name
        and all(name in known for name in node.input[1:] if name)
    )


def _pads(node: Any) -> bool:
    auto = attribute(node, "auto_pad", b"NOTSET")
    return auto in (b"SAME_UPPER", b"SAME_LOWER") or any(attribute(node, "pads", []))


def _into_conv(model: Any, node: Any, gain: np.ndarray, offset: np.ndarray) -> None:
    """conv(gain * x + offset) as a convolution of x: new weights and bias, exact without padding.

    Args:
        gain, offset: one of each a channel of the input.
    """
    known = constants(model)
    weights = known[node.input[1]].astype(np.float64)
    bias = known[node.input[2]].astype(np.float64) if len(node.input) > 2 and node.input[2] else 0.0
    groups = attribute(node, "group", 1)
    each, out = weights.shape[1], weights.shape[0] // groups
    # Of output channel o, input channel i of its group is channel (o // out) * each + i.
    index = (np.arange(weights.shape[0]) // out)[:, None] * each + np.arange(each)[None]
    more = (weights.sum(axis=tuple(range(2, weights.ndim))) * offset[index]).sum(axis=1)
    scaled = weights * gain[index].reshape(*index.shape, *([1] * (weights.ndim - 2)))
    stem = f"{PREFIX}_{node.output[0]}"
    node_inputs = [node.input[0], f"{stem}_weights", f"{stem}_bias"]
    add_constant(model, node_inputs[1], scaled.astype(np.float32))
    add_constant(model, node_inputs[2], (bias + more).astype(np.float32))
    del node.input[:]
    node.input.extend(node_inputs)


def _depthwise_ahead(model: Any, image: ImageInput, gain: np.ndarray, offset: np.ndarray) -> None:
    """gain * x + offset of each channel as a 1x1 convolution with a group a channel."""
    from onnx import helper

    stem, count = f"{PREFIX}_pixels", len(gain)
    weights = add_constant(
        model, f"{stem}_weights", gain.astype(np.float32).reshape(count, 1, 1, 1)
    )
    bias = add_constant(model, f"{stem}_bias", offset.astype(np.float32))
    rename_reads(model, image.name, stem)
    given, made, ahead, behind = image.name, stem, [], []
    if not image.is_nchw:
        given, made = f"{stem}_nchw", f"{stem}_ranged"
        ahead = [helper.make_node("Transpose", [image.name], [given], perm=[0, 3, 1, 2])]
        behind = [helper.make_node("Transpose", [made], [stem], perm=[0, 2, 3, 1])]
    conv = helper.make_node(
        "Conv", [given, weights, bias], [made], name=stem, group=count, kernel_shape=[1, 1]
    )
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*ahead, conv, *behind, *nodes])
