"""PAD becomes padding of the windows that read it, and windows lose what only sees padding.

Exact: a convolution's padding adds 0, which is what a border of the zero point adds; a maximum's
padding is -128, the smallest byte there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.passes.edit import Edit, counted
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import max_pool2d, pad
from mcu_hybrid.ops.padding import SAME, VALID, Window
from mcu_hybrid.ops.weighted import WEIGHTS
from mcu_hybrid.quant import INT8_MIN


def fold_pad(graph: Graph, metadata: Mapping[str, Any] | None = None) -> Graph:
    """Return the graph without the PADs whose readers can all pad by themselves."""
    edit = Edit(graph)
    folded = 0
    # Last first: a PAD before a PAD goes into a window that has already taken the later one.
    for op in reversed(graph.ops):
        if not isinstance(op.attrs, pad.Attrs) or op.outputs[0] in graph.outputs:
            continue
        readers = edit.consumers(op.outputs[0])
        windows = [_padded_window(edit, op, reader) for reader in readers]
        if not readers or any(window is None for window in windows):
            continue
        for reader, window in zip(readers, windows, strict=True):
            attrs = replace(reader.attrs, window=window)
            inputs = (op.inputs[0], *reader.inputs[1:])
            edit.replace_op(reader, replace(reader, inputs=inputs, attrs=attrs))
        edit.remove(op)
        folded += 1
    return edit.finish("fold_pad", f"{counted(folded, 'PAD')} became padding of layers")


def _is_convolution(op: Op[Any]) -> bool:
    """True where padding adds 0 to sums of products: a window with weights."""
    traits = ops.traits(op)
    return traits.windowed and traits.weighted is not None


def _padded_window(edit: Edit, op: Op[pad.Attrs], reader: Op) -> Window | None:
    """The reader's window on the PAD's input, or None where it cannot pad so."""
    source, padded = edit.tensors[op.inputs[0]], edit.tensors[op.outputs[0]]
    before, after = op.attrs.before, op.attrs.after
    if (
        source.is_const
        or len(before) != 4
        or (before[0], after[0], before[3], after[3]) != (0,) * 4
    ):
        return None
    value = op.attrs.value
    zero_point = padded.require_quant().zero_point
    value = zero_point if value is None else value
    if _is_convolution(reader):
        if value != zero_point:
            return None
        _, height, width, _ = edit.tensors[reader.inputs[WEIGHTS]].shape
        kernel = (height, width)
    elif max_pool2d.MAX_POOL_2D.serves(reader) and value == INT8_MIN:
        kernel = reader.attrs.kernel
    else:
        return None
    window, size = reader.attrs.window, (padded.shape[1], padded.shape[2])
    top, left = window.before(size, kernel)
    bottom, right = window.after(size, kernel)
    sides = before[1] + top, after[1] + bottom, before[2] + left, after[2] + right
    inner = (source.shape[1], source.shape[2])
    found = tidy(replace(window, explicit=sides), inner, kernel)
    ends = found.before(inner, kernel), found.after(inner, kernel)
    reach = window.reach(kernel)
    if any(end[axis] >= reach[axis] for end in ends for axis in (0, 1)):
        return None  # a window that sees padding only: the kernels need not care for it
    return found


def tidy(window: Window, size: tuple[int, int], kernel: tuple[int, int]) -> Window:
    """The same window said as SAME or VALID where they mean it, without padding that none sees."""
    (top, left), (bottom, right) = window.before(size, kernel), window.after(size, kernel)
    exact = replace(window, explicit=(top, bottom, left, right))
    for padding in (VALID, SAME):
        plain = replace(window, padding=padding, explicit=None)
        same_out = plain.out_size(size, kernel) == exact.out_size(size, kernel)
        same_sides = (plain.before(size, kernel), plain.after(size, kernel)) == (
            (top, left),
            (bottom, right),
        )
        if same_out and same_sides:
            return plain
    return exact


def trim_kernels(graph: Graph, metadata: Mapping[str, Any] | None = None) -> Graph:
    """Return the graph with filters cut to the rows and columns that ever see the map.

    Rows of zeros at an edge of a filter go as well. A 7x7 filter on a 3x3 map is a 5x5 filter.
    """
    edit = Edit(graph)
    trimmed = 0
    for op in graph.ops:
        if _is_convolution(op):
            trimmed += _trim(edit, op)
    return edit.finish("trim_kernels", f"{counted(trimmed, 'filter')} cut to what sees the map")


def _trim(edit: Edit, op: Op) -> bool:
    source, weights = edit.tensors[op.inputs[0]], edit.tensors[op.inputs[WEIGHTS]]
    if weights.data is None:
        return False
    window, size = op.attrs.window, (source.shape[1], source.shape[2])
    kernel = (weights.shape[1], weights.shape[2])
    sides = list(zip(window.before(size, kernel), window.after(size, kernel), strict=True))
    out = window.out_size(size, kernel)
    cuts = []
    for axis in (0, 1):
        lines = np.moveaxis(weights.data, axis + 1, 0).reshape(kernel[axis], -1)
        place = np.arange(kernel[axis]) * window.dilation[axis] - sides[axis][0]
        seen = place[:, None] + np.arange(out[axis])[None, :] * window.stride[axis]
        used = ((seen >= 0) & (seen < size[axis])).any(1) & lines.any(1)
        cuts.append(_cut(used, sides[axis], window.dilation[axis]))
    if not any(first or last for first, last in cuts):
        return False
    (top, bottom), (left, right) = cuts
    data = weights.data[:, top : kernel[0] - bottom, left : kernel[1] - right]
    padding = [
        side - cut * window.dilation[axis]
        for axis in (0, 1)
        for side, cut in zip(sides[axis], cuts[axis], strict=True)
    ]
    smaller = (data.shape[1], data.shape[2])
    exact = replace(window, explicit=(padding[0], padding[1], padding[2], padding[3]))
    attrs = replace(op.attrs, window=tidy(exact, size, smaller))
    inputs = (op.inputs[0], edit.add_const(weights, data), *op.inputs[2:])
    edit.replace_op(op, replace(op, inputs=inputs, attrs=attrs))
    return True


def _cut(used: np.ndarray, sides: tuple[int, int], dilation: int) -> tuple[int, int]:
    """Lines to cut before and after, at least one left, and no more than padding makes up for."""
    if not used.any():
        return 0, 0
    first, last = int(used.argmax()), int(used[::-1].argmax())
    return min(first, sides[0] // dilation), min(last, sides[1] // dilation)
