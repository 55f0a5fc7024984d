"""The shapes that an operator's outputs have, from those of its inputs and its options.

Only needed where an input's size is given anew (input_shapes.py); each operator's own check then
verifies the result. Not here: any arithmetic on values.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops import split, strided_slice
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.ops.checks import positive_axis, with_size

Shape = tuple[int, ...]


def output_shapes(raw: RawOp) -> list[Shape]:
    """One shape per output; raises ModelError where they do not follow."""
    rule = _RULES.get(raw.kind)
    if rule is None and not _keeps_shape(raw):
        raise _unknown(raw, "an operator whose output sizes are not derived")
    try:
        return rule(raw) if rule is not None else [_shape(raw, 0)] * len(raw.outputs)
    except ModelError:
        raise
    except (ArithmeticError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise _unknown(raw, f"inputs that do not fit together ({error})") from error


def _keeps_shape(raw: RawOp) -> bool:
    """QUANTIZE, activations, softmax: one value in, one value out."""
    data = [i for i in raw.inputs if i != ABSENT]
    is_known = raw.kind in ops.OPS or raw.kind == "DEQUANTIZE"
    return is_known and len(data) == 1 and len(raw.outputs) == 1


def _unknown(raw: RawOp, fact: str) -> ModelError:
    return ModelError(
        f"has {fact}: no shape follows from the given input shape",
        "export the model again with fixed dimensions",
        key=f"{raw.kind} '{raw.name}'",
    )


def _shape(raw: RawOp, position: int) -> Shape:
    return raw.tensors[raw.inputs[position]].shape


def _attrs(raw: RawOp) -> Any:
    return ops.module(raw.kind).from_tflite(raw)


def _map(raw: RawOp, kernel: Shape, channels: int) -> list[Shape]:
    _, height, width, _ = _shape(raw, 0)
    rows, columns = _attrs(raw).window.out_size((height, width), kernel)
    if min(rows, columns) < 1:
        raise ModelError(
            f"a kernel of {list(kernel)} does not fit into a map of {height} x {width}",
            "give a larger --input-shape",
            key=f"{raw.kind} '{raw.name}'",
        )
    return [(1, rows, columns, channels)]


def _convolved(raw: RawOp) -> list[Shape]:
    first, height, width, last = _shape(raw, 1)
    return _map(raw, (height, width), first if raw.kind == "CONV_2D" else last)


def _pooled(raw: RawOp) -> list[Shape]:
    return _map(raw, _attrs(raw).kernel, _shape(raw, 0)[3])


def _connected(raw: RawOp) -> list[Shape]:
    out_c, in_c = _shape(raw, 1)
    source = _shape(raw, 0)
    if prod(source) % in_c:
        raise ModelError(
            f"takes {in_c} values a row, the given input shape leads to {prod(source)}",
            "give the --input-shape that the network was made for: this layer fixes it",
            key=f"{raw.kind} '{raw.name}'",
        )
    if raw.options.get("keep_num_dims", False):
        return [(*source[:-1], out_c)]
    return [(prod(source) // in_c, out_c)]


def _padded(raw: RawOp) -> list[Shape]:
    attrs = _attrs(raw)
    both = zip(attrs.before, _shape(raw, 0), attrs.after, strict=True)
    return [tuple(sum(parts) for parts in both)]


def _averaged(raw: RawOp) -> list[Shape]:
    attrs, shape = _attrs(raw), _shape(raw, 0)
    kept = [1 if axis in attrs.axes else size for axis, size in enumerate(shape)]
    if attrs.keep_dims:
        return [tuple(kept)]
    return [tuple(size for axis, size in enumerate(shape) if axis not in attrs.axes)]


def _joined(raw: RawOp) -> list[Shape]:
    first = _shape(raw, 0)
    axis = positive_axis(f"{raw.kind} '{raw.name}'", _attrs(raw).axis, len(first))
    return [with_size(first, axis, sum(_shape(raw, i)[axis] for i in range(len(raw.inputs))))]


def _split(raw: RawOp) -> list[Shape]:
    attrs, shape = _attrs(raw), _shape(raw, 1 if raw.kind == "SPLIT" else 0)
    axis = positive_axis(f"{raw.kind} '{raw.name}'", attrs.axis, len(shape))
    graph = Graph("", raw.tensors, (), (), ())
    parts = split._parts(graph, Op(raw.kind, raw.name, raw.inputs, raw.outputs, attrs), axis)
    return [with_size(shape, axis, part) for part in parts]


def _sliced(raw: RawOp) -> list[Shape]:
    op = Op(raw.kind, raw.name, raw.inputs, raw.outputs, _attrs(raw))
    sizes = [len(strided_slice._range(op, axis, n)) for axis, n in enumerate(_shape(raw, 0))]
    return [tuple(n for i, n in enumerate(sizes) if not op.attrs.shrink_mask >> i & 1)]


def _resized(raw: RawOp) -> list[Shape]:
    batch, _, _, channels = _shape(raw, 0)
    attrs = _attrs(raw)
    return [(batch, attrs.height, attrs.width, channels)]


def _reshaped(raw: RawOp) -> list[Shape]:
    source = _shape(raw, 0)
    if len(raw.inputs) > 1 and raw.inputs[1] != ABSENT:
        wanted = [int(n) for n in raw.const(1).reshape(-1)]
    else:
        wanted = [int(n) for n in raw.options["new_shape"]]
    if -1 in wanted:
        rest = -prod(wanted)
        wanted[wanted.index(-1)] = prod(source) // rest if rest > 0 else 0
    if prod(wanted) != prod(source):
        raise ModelError(
            f"cannot view {list(source)} as {wanted}",
            "give the --input-shape that the network was made for: this layer fixes it",
            key=f"{raw.kind} '{raw.name}'",
        )
    return [tuple(wanted)]


def _squeezed(raw: RawOp) -> list[Shape]:
    source = _shape(raw, 0)
    given = raw.options.get("squeeze_dims", ())
    axes = {int(axis) % len(source) for axis in given}
    axes = axes or {axis for axis, size in enumerate(source) if size == 1}
    return [tuple(size for axis, size in enumerate(source) if axis not in axes)]


def _expanded(raw: RawOp) -> list[Shape]:
    source, axis = _shape(raw, 0), int(raw.const(1).reshape(-1)[0])
    at = axis + len(source) + 1 if axis < 0 else axis
    return [(*source[:at], 1, *source[at:])]


def _broadcast(raw: RawOp) -> list[Shape]:
    return [tuple(np.broadcast_shapes(_shape(raw, 0), _shape(raw, 1)))]


_RULES: dict[str, Callable[[RawOp], list[Shape]]] = {
    "ADD": _broadcast,
    "SUB": _broadcast,
    "MUL": _broadcast,
    "MINIMUM": _broadcast,
    "MAXIMUM": _broadcast,
    "CONV_2D": _convolved,
    "DEPTHWISE_CONV_2D": _convolved,
    "AVERAGE_POOL_2D": _pooled,
    "MAX_POOL_2D": _pooled,
    "FULLY_CONNECTED": _connected,
    "PAD": _padded,
    "PADV2": _padded,
    "MEAN": _averaged,
    "CONCATENATION": _joined,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "STRIDED_SLICE": _sliced,
    "TRANSPOSE": lambda raw: [tuple(_shape(raw, 0)[axis] for axis in _attrs(raw).perm)],
    "RESIZE_NEAREST_NEIGHBOR": _resized,
    "RESHAPE": _reshaped,
    "SQUEEZE": _squeezed,
    "EXPAND_DIMS": _expanded,
}
