"""Pools with padding, as int8 can hold them and TFLite means them.

The converter pads a MaxPool with float32's minimum, and the scale of all that follows is gone. Here
the padding becomes a Pad of its own with a value that no maximum can miss: the lower bound of the
layer ahead (0 behind a ReLU), else the least value seen on the calibration images, which int8
represents as its lowest level. An AveragePool's becomes a Pad of 0, and where the border's windows
hold fewer values a constant product behind it. Where TFLite's SAME means the same, it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mcu_hybrid.export.onnx_edit import (
    PREFIX,
    add_constant,
    attribute,
    constants,
    insert_before,
    insert_behind,
    readers,
)

Least = Callable[[str], float]  # a tensor's smallest value on the calibration images
Shape = Callable[[str], tuple[int, ...]]
_HUGE = 1e6  # a border below -1e6 stands for minus infinity
_BOUNDS = {
    "Relu": 0.0,
    "Sigmoid": 0.0,
    "Softmax": 0.0,
    "HardSigmoid": 0.0,
    "Tanh": -1.0,
    "Abs": 0.0,
    "Softplus": 0.0,
}
_KEEPS = ("MaxPool", "AveragePool", "Identity", "Reshape", "Transpose", "Flatten", "Squeeze")


def tame_pools(model: Any, shape: Shape, least: Least) -> list[str]:
    """Make the padding of every pool, and every Pad of minus infinity, a real value.

    Returns:
        The names of the layers whose padding was minus infinity.
    """
    changed = []
    for name in [node.output[0] for node in model.graph.node]:
        node = _writer(model, name)  # anew: what is inserted moves the others
        if node.op_type == "Pad" and _is_infinite(model, node):
            _fill(model, node, _bound(model, node.input[0], least))
            changed.append(node.name or node.output[0])
        if node.op_type not in ("MaxPool", "AveragePool") or any(list(node.output)[1:]):
            continue
        sizes = shape(node.input[0])[2:], shape(node.output[0])[2:]
        pads = _pads(node, *sizes)
        if pads is None:
            continue
        shares = _shares(node, pads, *sizes) if node.op_type == "AveragePool" else None
        if _is_same(node, pads, *sizes) and (shares is None or _is_tflite_mean(node)):
            _attributes(node, auto_pad="SAME_UPPER")
        elif node.op_type == "MaxPool":
            _pad_ahead(model, node, pads, _bound(model, node.input[0], least))
            changed.append(node.name or node.output[0])
        else:
            _pad_ahead(model, node, pads, 0.0)
            if shares is not None and not np.all(shares == 1.0):
                _scale_behind(model, _writer(model, name), 1.0 / shares)
    return changed


def _is_tflite_mean(node: Any) -> bool:
    """SAME of TFLite's AVERAGE_POOL_2D leaves the padding out of the mean."""
    return not attribute(node, "count_include_pad", 0)


def _shares(
    node: Any, pads: tuple[tuple[int, int], ...], size: tuple[int, ...], out: tuple[int, ...]
) -> np.ndarray:
    """Of each window, the share of values that the mean counts: [1, 1, *out]."""
    kernel, strides, dilations = _window(node)
    with_pad = bool(attribute(node, "count_include_pad", 0))
    stated = list(attribute(node, "pads", [0] * (2 * len(kernel))))
    found = np.ones((1, 1, *[1] * len(kernel)))
    for axis, (k, s, d, n, o) in enumerate(zip(kernel, strides, dilations, size, out, strict=True)):
        begin, end = pads[axis]
        low, high = 0, n
        if with_pad:
            is_auto = attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"")
            low, high = -begin, n + (end if is_auto else stated[axis + len(kernel)])
        places = (np.arange(o) * s - begin)[:, None] + (np.arange(k) * d)[None]
        counted = ((places >= low) & (places < high)).sum(axis=1) / k
        found = found * counted.reshape([-1 if i == axis + 2 else 1 for i in range(found.ndim)])
    return found


def _pads(
    node: Any, size: tuple[int, ...], out: tuple[int, ...]
) -> tuple[tuple[int, int], ...] | None:
    """(begin, end) of each axis that the windows really reach; None without padding."""
    kernel, strides, dilations = _window(node)
    begins = _begins(node, size, out)
    found = []
    for k, s, d, n, o, begin in zip(kernel, strides, dilations, size, out, begins, strict=True):
        reach = (o - 1) * s + (k - 1) * d + 1
        found.append((begin, max(0, reach - n - begin)))
    return tuple(found) if any(map(any, found)) else None


def _window(node: Any) -> tuple[list[int], list[int], list[int]]:
    kernel = list(attribute(node, "kernel_shape"))
    ones = [1] * len(kernel)
    return kernel, list(attribute(node, "strides", ones)), list(attribute(node, "dilations", ones))


def _begins(node: Any, size: tuple[int, ...], out: tuple[int, ...]) -> list[int]:
    kernel, strides, dilations = _window(node)
    auto = attribute(node, "auto_pad", b"NOTSET")
    if auto in (b"NOTSET", b""):
        return list(attribute(node, "pads", [0] * (2 * len(kernel))))[: len(kernel)]
    if auto == b"VALID":
        return [0] * len(kernel)
    totals = [
        max(0, (o - 1) * s + (k - 1) * d + 1 - n)
        for k, s, d, n, o in zip(kernel, strides, dilations, size, out, strict=True)
    ]
    return [t // 2 if auto == b"SAME_UPPER" else math.ceil(t / 2) for t in totals]


def _is_same(
    node: Any, pads: tuple[tuple[int, int], ...], size: tuple[int, ...], out: tuple[int, ...]
) -> bool:
    """True where TFLite's SAME places the windows alike: it pads without any value."""
    kernel, strides, dilations = _window(node)
    if len(kernel) != 2 or any(d != 1 for d in dilations):
        return False
    for i, (k, s, n, o) in enumerate(zip(kernel, strides, size, out, strict=True)):
        total = max(0, (o - 1) * s + k - n)
        if o != math.ceil(n / s) or pads[i] != (total // 2, total - total // 2):
            return False
    return True


def _attributes(node: Any, auto_pad: str = "") -> None:
    """Replace what the node says of its padding."""
    from onnx import helper

    gone = ("pads", "auto_pad", "ceil_mode", "count_include_pad")
    keep = [a for a in node.attribute if a.name not in gone]
    del node.attribute[:]
    node.attribute.extend(keep)
    if auto_pad:
        node.attribute.append(helper.make_attribute("auto_pad", auto_pad))


def _scale_behind(model: Any, node: Any, factors: np.ndarray) -> None:
    from onnx import helper

    name = node.output[0]
    means = f"{PREFIX}_{name}_means"
    factor = add_constant(model, f"{PREFIX}_{name}_factors", factors.astype(np.float32))
    node.output[0] = means
    insert_behind(model, node, [helper.make_node("Mul", [means, factor], [name], name=means)])


def _bound(model: Any, name: str, least: Least) -> float:
    """A value that no element of the tensor lies below, exactly or on the calibration images."""
    source = name
    known = constants(model)
    while True:
        node = _writer(model, source)
        if node is None:
            break
        if node.op_type in _BOUNDS:
            return _BOUNDS[node.op_type]
        if node.op_type == "Clip" and len(node.input) > 1 and node.input[1] in known:
            return float(known[node.input[1]])
        if node.op_type not in _KEEPS or (node.op_type == "AveragePool" and _padded_mean(node)):
            break
        source = node.input[0]
    return least(name)


def _writer(model: Any, name: str) -> Any:
    return next((node for node in model.graph.node if name in node.output), None)


def _padded_mean(node: Any) -> bool:
    return bool(attribute(node, "count_include_pad", 0))


def _is_infinite(model: Any, node: Any) -> bool:
    """A Pad whose value stands for minus infinity and that only maxima read."""
    known = constants(model)
    if attribute(node, "mode", b"constant") != b"constant":
        return False
    value = float(attribute(node, "value", 0.0))
    if len(node.input) > 2 and node.input[2]:
        value = float(known[node.input[2]]) if node.input[2] in known else 0.0
    behind = readers(model, node.output[0])
    return value < -_HUGE and bool(behind) and all(n.op_type == "MaxPool" for n in behind)


def _fill(model: Any, node: Any, value: float) -> None:
    """Give a Pad another constant."""
    stem = f"{PREFIX}_{node.output[0]}"
    if len(node.input) > 2 and node.input[2]:
        node.input[2] = add_constant(model, f"{stem}_value", np.array(value, np.float32))
        return
    for found in node.attribute:
        if found.name == "value":
            found.f = value


def _pad_ahead(model: Any, node: Any, pads: tuple[tuple[int, int], ...], value: float) -> None:
    from onnx import helper

    stem = f"{PREFIX}_{node.output[0]}"
    begin, end = ([0, 0, *(p[side] for p in pads)] for side in (0, 1))
    opset = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
    if opset < 11:
        pad = helper.make_node(
            "Pad", [node.input[0]], [f"{stem}_padded"], name=f"{stem}_padded",
            pads=[*begin, *end], value=value,
        )  # fmt: skip
    else:
        sizes = add_constant(model, f"{stem}_pads", np.array([*begin, *end], np.int64))
        given = [node.input[0], sizes]
        if value:
            given.append(add_constant(model, f"{stem}_value", np.array(value, np.float32)))
        pad = helper.make_node("Pad", given, [f"{stem}_padded"], name=f"{stem}_padded")
    insert_before(model, node, [pad])
    changed = _writer(model, node.output[0])
    changed.input[0] = f"{stem}_padded"
    _attributes(changed)
