"""Frozen types of the graph IR. Tensors are addressed by their index in ``Graph.tensors``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Generic, TypeVar

import numpy as np

from mcu_hybrid.graph.pixels import UNIT, PixelForm
from mcu_hybrid.quant import QuantParams

# Of one value, by dtype; those below 8 are several to a byte.
BITS = {
    "int2": 2,
    "int4": 4,
    "int8": 8,
    "uint8": 8,
    "bool": 8,
    "int16": 16,
    "int32": 32,
    "float32": 32,
    "int64": 64,
}
AttrsT = TypeVar("AttrsT", covariant=True)
ABSENT = -1  # an optional input that is not there (a convolution without bias)


@dataclass(frozen=True)
class Tensor:
    """One tensor: ``data`` is set for constants only. Shapes are NHWC, batch 1.

    ``packed`` is the bits of a value where they are fewer than the dtype's (int8 values of 1, 2 or
    4 bits). A ``state`` lives from one inference to the next. Nothing runs either yet:
    reference/verify.py refuses both by name.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quant: QuantParams | None = None
    data: np.ndarray | None = field(default=None, compare=False)
    packed: int | None = None
    state: bool = False

    @property
    def elements(self) -> int:
        """Number of elements (1 for a scalar)."""
        return prod(self.shape)

    @property
    def bits(self) -> int:
        """Bits of one value."""
        return BITS[self.dtype] if self.packed is None else self.packed

    @property
    def bytes(self) -> int:
        """Size in bytes, rounded up."""
        return -(-self.elements * self.bits // 8)

    @property
    def is_const(self) -> bool:
        """True for weights and other constants."""
        return self.data is not None

    def require_quant(self) -> QuantParams:
        """Return the quantisation; the graph verifier guarantees it for every int8 tensor."""
        assert self.quant is not None, self.name
        return self.quant


@dataclass(frozen=True)
class Op(Generic[AttrsT]):
    """One operator. ``kind`` is TFLite's builtin name or one of our own; ``attrs`` is its own type.

    ``Op[conv2d.Attrs]`` is one whose attributes are known, ``Op[object]`` one whose are not asked.
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: AttrsT


@dataclass(frozen=True)
class Graph:
    """A verified order of operators over tensors; ``notes`` name what was taken off or changed.

    ``pixels`` says which real numbers the first input takes for an image's pixels.
    """

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op[Any], ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    notes: tuple[str, ...] = ()
    pixels: PixelForm = UNIT

    def tensor(self, index: int) -> Tensor:
        """Return the tensor with this index."""
        return self.tensors[index]

    def in_tensors(self, op: Op[object]) -> tuple[Tensor, ...]:
        """The operator's inputs, absent ones left out."""
        return tuple(self.tensors[i] for i in op.inputs if i != ABSENT)

    def out_tensors(self, op: Op[object]) -> tuple[Tensor, ...]:
        """The operator's outputs."""
        return tuple(self.tensors[i] for i in op.outputs)

    def activations(self) -> Iterator[int]:
        """Indices of the tensors that live in the arena: graph inputs and operator outputs."""
        seen = dict.fromkeys(self.inputs)
        for op in self.ops:
            seen.update(dict.fromkeys(op.outputs))
        return iter(seen)

    def producer(self, tensor: int) -> Op[Any] | None:
        """The operator that writes this tensor, or None."""
        return next((op for op in self.ops if tensor in op.outputs), None)

    def consumers(self, tensor: int) -> tuple[Op[Any], ...]:
        """The operators that read this tensor."""
        return tuple(op for op in self.ops if tensor in op.inputs)

    def with_(self, **changes: Any) -> Graph:
        """A copy with these fields replaced."""
        return replace(self, **changes)
