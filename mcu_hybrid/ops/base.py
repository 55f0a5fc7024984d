"""What one operator module offers, and the C it asks for.

An op module (``ops/conv2d.py`` ...) has these names; ``ops/__init__.py`` lists the modules:

    KINDS: tuple[str, ...]              TFLite builtin names (or our own) that it serves
    Attrs                               frozen dataclass of typed attributes
    from_tflite(raw: RawOp) -> Attrs    reads options and constant operands (axes, paddings ...)
    check(graph, op) -> None            shape, dtype and option rules; raises ModelError
    reference(graph, op, inputs) -> tuple[np.ndarray, ...]
                                        plain integer numpy, bit-exact with TFLM; ``inputs`` holds
                                        one array per entry of op.inputs (None where ABSENT)
    macs(graph, op) -> int              nominal multiply-accumulates (padding counted)
    scratch_bytes(graph, op) -> int     scratch that the C kernel asks of its caller
    inplace(graph, op) -> tuple[tuple[int, int], ...]
                                        (input position, output position) that may share memory
    lower(graph, op) -> KernelCall | None
                                        None = nothing to run (a view: output aliases input 0)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph, Op, Tensor


@dataclass(frozen=True)
class RawOp:
    """An operator as read from the flatbuffer, before its attributes are typed.

    ``options`` maps the field names of the TFLite options table (snake_case) to values; enums are
    integers. ``inputs`` and ``outputs`` are indices into ``tensors`` (-1 = absent). ``position`` is
    the operator's place in the file, for messages.
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    position: int = 0

    def const(self, position: int) -> np.ndarray:
        """The data of a constant input; raises ModelError where it is not constant."""
        tensor = self.tensors[self.inputs[position]]
        if tensor.data is None:
            raise ModelError(
                f"input {position} ('{tensor.name}') must be a constant",
                "fix the shape, axes or paddings when exporting the model",
                key=f"{self.kind} '{self.name}'",
            )
        return tensor.data


@dataclass(frozen=True)
class CTable:
    """A ``static const`` array in the generated C; the emitter prefixes the name with the op's."""

    name: str
    ctype: str
    data: np.ndarray


@dataclass(frozen=True)
class CStruct:
    """Designated initialiser of a parameter struct: integers, tables, or NULL for None."""

    ctype: str
    fields: tuple[tuple[str, int | CTable | None], ...]


@dataclass(frozen=True)
class KernelCall:
    """One call: ``function(&params, inputs..., outputs..., scratch)``.

    ``form`` says how pointers are passed:
      "unary"     f(p, in, out, scratch)
      "binary"    f(p, a, b, out, scratch)
      "nary_in"   f(p, const int8_t *const *ins, out, scratch)
      "nary_out"  f(p, in, int8_t *const *outs, scratch)
      "unary_two" f(p, in, out0, out1, scratch)
    ``ins`` and ``outs`` are tensor indices (constants are allowed as inputs). ``source`` is the
    file stem of the kernel in kernels/<isa>/, ``also`` further stems that it needs.
    """

    function: str
    params: CStruct
    form: str
    ins: tuple[int, ...]
    outs: tuple[int, ...]
    source: str
    also: tuple[str, ...] = ()


def no_scratch(graph: Graph, op: Op) -> int:
    """scratch_bytes of a kernel that needs none."""
    return 0


def no_macs(graph: Graph, op: Op) -> int:
    """macs of an operator without multiply-accumulates."""
    return 0


def not_inplace(graph: Graph, op: Op) -> tuple[tuple[int, int], ...]:
    """inplace of an operator whose output must not overlap its inputs."""
    return ()
