"""Dynamic dimensions: refused by name, or fixed to a given input shape all through the file.

A converter writes 1 in place of an unknown size and keeps -1 in the tensor's ``shape_signature``.
Built as it stands, such a file is another network. Fixing writes the derived shapes into the file
itself, so that TFLM, our reader and the firmware see one model. The operators' own checks verify
each derived shape afterwards.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcu_hybrid.compiler.read.derived_shapes import output_shapes
from mcu_hybrid.compiler.read.float_edges import Edges
from mcu_hybrid.compiler.read.shape_ops import shape_value
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.graph.types import Tensor
from mcu_hybrid.ops import known
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.ops.file_kinds import SHAPE

Shape = tuple[int, ...]
Signatures = Sequence[Shape]
_SHAPE_SLOT, _SIGNATURE_SLOT = 4, 18  # fields of the schema's Tensor


def signature(raw: Any) -> Shape:
    """The schema's shape_signature of a Tensor; empty where the file has none."""
    return tuple(int(raw.ShapeSignature(i)) for i in range(raw.ShapeSignatureLength()))


def require_fixed_inputs(edges: Edges, signatures: Signatures) -> None:
    """Raise ModelError where an input's size beyond the batch is not fixed in the file."""
    for index in edges.inputs:
        given = signatures[index] or edges.tensors[index].shape
        if -1 in given[1:] or given == (-1,):
            tensor = edges.tensors[index]
            placed = f" (the file holds {list(tensor.shape)} in their place)"
            placed = placed if given != tensor.shape else ""
            raise ModelError(
                f"input '{tensor.name}' has dynamic dimensions {list(given)}{placed}",
                f"give the size: --input-shape {_example(given)}, or export with fixed dimensions",
            )


def require_fixed_views(edges: Edges, signatures: Signatures) -> None:
    """Raise ModelError where a view's dynamic size does not follow from its operands.

    Every other operator's check derives the output's size from the inputs'.
    """
    for op in edges.ops:
        dynamic = [i for i in op.outputs if -1 in signatures[i][1:]]
        if dynamic and _is_view(op) and not _is_derived(op):
            raise ModelError(
                f"'{edges.tensors[dynamic[0]].name}' has dynamic dimensions "
                f"{list(signatures[dynamic[0]])} that do not follow from the input's",
                "export with fixed dimensions and batch 1",
                key=f"{op.kind} '{op.name}'",
            )


def _is_view(op: RawOp) -> bool:
    """True for an operator whose check only counts elements."""
    return op.kind in known() and known()[op.kind].traits.view


def _example(given: Shape) -> str:
    """A shape to type: the file's own sizes, 96 for the open ones."""
    return "x".join(str(n if n > 0 else 96 if i else 1) for i, n in enumerate(given))


def _is_derived(op: RawOp) -> bool:
    """True where the output's shape in the file is what the operator's own operands say."""
    try:
        return output_shapes(op) == [op.tensors[i].shape for i in op.outputs]
    except ModelError:
        return False


def with_input_shapes(
    data: bytes, edges: Edges, raw_tensors: Sequence[Any], wanted: Mapping[str, Shape]
) -> bytes:
    """The file with these input shapes and all that follow from them.

    Args:
        data: the file.
        edges: its graph, as it stands in the file.
        raw_tensors: the schema's Tensor of each tensor.
        wanted: shape by the input's name; "" is the only input.

    Raises:
        InputError: a shape is none of this model's input.
        ModelError: a shape cannot be derived.
    """
    tensors = list(edges.tensors)
    for index, shape in _by_input(edges, raw_tensors, wanted).items():
        tensors[index] = replace(tensors[index], shape=shape)
    for op in edges.ops:
        here = replace(op, tensors=tuple(tensors))
        if op.kind == SHAPE or tensors[op.outputs[0]].dtype in ("int32", "int64"):
            value = shape_value(here)
            if value is not None:
                tensors[op.outputs[0]] = replace(tensors[op.outputs[0]], data=value)
                continue
        for index, shape in zip(op.outputs, output_shapes(here), strict=True):
            tensors[index] = replace(tensors[index], shape=shape)
    return _patched(data, edges.tensors, tensors, raw_tensors)


def _by_input(
    edges: Edges, raw_tensors: Sequence[Any], wanted: Mapping[str, Shape]
) -> dict[int, Shape]:
    names = {edges.tensors[i].name: i for i in edges.inputs}
    listed = ", ".join(f"'{name}'" for name in names)
    found = {}
    for name, shape in wanted.items():
        if name == "" and len(names) == 1:
            name = next(iter(names))
        if name not in names:
            fact = f"has no input '{name}'" if name else f"has {len(names)} inputs"
            raise InputError(
                f"{fact}; its inputs are {listed}", "give --input-shape NAME=1x96x96x3 for each"
            )
        index = names[name]
        file = signature(raw_tensors[index]) or edges.tensors[index].shape
        _require_match(name, shape, file)
        found[index] = shape
    return found


def _require_match(name: str, shape: Shape, file: Shape) -> None:
    fits = len(shape) == len(file) and all(
        wanted == fixed or fixed == -1 for wanted, fixed in zip(shape, file, strict=True)
    )
    if not fits or min(shape, default=0) < 1:
        raise InputError(
            f"--input-shape {'x'.join(map(str, shape))} does not fit input '{name}', which is "
            f"{list(file)} in the file (-1: any size)",
            f"give, for example, --input-shape {_example(file)}",
        )
    if len(shape) > 1 and shape[0] != 1:
        raise InputError(
            f"--input-shape {'x'.join(map(str, shape))} has batch {shape[0]}; the device runs one "
            "input at a time",
            f"give --input-shape {'x'.join(map(str, (1, *shape[1:])))}",
        )


def _patched(
    data: bytes, old: Sequence[Tensor], new: Sequence[Tensor], raw_tensors: Sequence[Any]
) -> bytes:
    """The file with the new shapes written over the old ones, of the same ranks."""
    patched = bytearray(data)
    written: dict[int, int] = {}
    for before, after, raw in zip(old, new, raw_tensors, strict=True):
        changed = after.shape != before.shape or -1 in signature(raw)
        if changed and not before.is_const:
            for slot in (_SHAPE_SLOT, _SIGNATURE_SLOT):
                _write(patched, raw, slot, after, written)
    return bytes(patched)


def _write(
    patched: bytearray, raw: Any, slot: int, tensor: Tensor, written: dict[int, int]
) -> None:
    offset = raw._tab.Offset(slot)
    if not offset:
        return
    start, length = raw._tab.Vector(offset), raw._tab.VectorLen(offset)
    if length != len(tensor.shape):
        raise ModelError(
            f"tensor '{tensor.name}' would change from {length} to {len(tensor.shape)} dimensions",
            "export the model again with fixed dimensions",
        )
    for at, size in zip(range(start, start + 4 * length, 4), tensor.shape, strict=True):
        if written.setdefault(at, size) != size:
            raise ModelError(
                f"tensor '{tensor.name}' shares its shape with another one in the file",
                "export the model again with fixed dimensions",
            )
        struct.pack_into("<i", patched, at, size)
