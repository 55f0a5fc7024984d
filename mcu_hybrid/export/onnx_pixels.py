"""What a network takes for a pixel, put into an ONNX file: as operators, or into its first layer.

Other edits are in onnx_edit.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mcu_hybrid.export.onnx_edit import (
    PREFIX,
    add_constant,
    attribute,
    constants,
    readers,
    rename_reads,
)
from mcu_hybrid.export.onnx_file import ImageInput
from mcu_hybrid.graph.pixels import UNIT, PixelForm


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
