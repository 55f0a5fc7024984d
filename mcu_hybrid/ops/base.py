"""What one operator offers, what compilers may ask of it, and the C it asks for.

An operator is a file ``ops/x.py`` that ends with an ``Operator`` a kind; ``ops/__init__.py`` finds
it there. Passes, scheduler, reader and engines ask its ``Traits`` and its functions; none of them
knows its name. Not here: what an operator computes (its file).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeGuard, TypeVar

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph, Op, Tensor

A = TypeVar("A")  # the type of an operator's attributes
Shape = tuple[int, ...]
Operands = Sequence[np.ndarray | None]  # one array an entry of op.inputs, None where ABSENT
# Channels with the same label go together: (tensor, label a channel). A tensor that is not listed
# keeps all its channels.
Ties = list[tuple[int, np.ndarray]]


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

    def shape(self, position: int) -> Shape:
        """The shape of an input."""
        return self.tensors[self.inputs[position]].shape


@dataclass(frozen=True)
class CTable:
    """A ``static const`` array in the generated C; the emitter prefixes the name with the op's."""

    name: str
    ctype: str
    data: np.ndarray


@dataclass(frozen=True)
class CSymbol:
    """A constant object of a kernel's file, by its C name; a field holds its address.

    ``source`` is the file stem that defines it, in kernels/<isa>/.
    """

    name: str
    source: str


Field = tuple[str, int | CTable | CSymbol | None]


@dataclass(frozen=True)
class CStruct:
    """Designated initialiser of a parameter struct: integers, tables, symbols, NULL for None."""

    ctype: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class KernelId:
    """Which kernel runs: the family is its C function, the rest is what its params select in it.

    tile: how much is computed at a time, in numbers of the family's own (its cost.py names them).
    form: the requantisation; ``shift`` where its code has one as an immediate.
    variant: other code for the same, with an advantage of its own.
    """

    family: str
    tile: tuple[int, ...] = ()
    form: str = ""
    shift: int | None = None
    variant: str = ""

    @property
    def symbol(self) -> str:
        """The C function."""
        return f"mh_{self.family}_s8"

    @property
    def form_name(self) -> str:
        """Form and shift in one word: line12, exact."""
        return self.form if self.shift is None else f"{self.form}{self.shift}"

    def __str__(self) -> str:
        tile = "x".join(map(str, self.tile))
        return " ".join(filter(None, (self.family, tile, self.form_name, self.variant)))


@dataclass(frozen=True)
class KernelCall:
    """One call: ``kernel.symbol(&params, inputs..., outputs..., scratch)``.

    ``form`` says how pointers are passed:
      "unary"     f(p, in, out, scratch)
      "binary"    f(p, a, b, out, scratch)
      "nary_in"   f(p, const int8_t *const *ins, out, scratch)
      "nary_out"  f(p, in, int8_t *const *outs, scratch)
      "unary_two" f(p, in, out0, out1, scratch)
    ``ins`` and ``outs`` are tensor indices (constants are allowed as inputs). ``source`` is the
    file stem of the kernel in kernels/<isa>/, ``also`` further stems that it needs.
    """

    kernel: KernelId
    params: CStruct
    form: str
    ins: tuple[int, ...]
    outs: tuple[int, ...]
    source: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tflm:
    """The method of TFLM's MicroMutableOpResolver, and whether it has a kernel for int8 alone."""

    add: str
    has_int8: bool = False


@dataclass(frozen=True)
class Weighted:
    """An operator with constant weights, a bias and one factor an output channel.

    ``sums(graph, op, data, weights)``: exact sums of products [..., channels], no bias.
    ``channel_axis`` is that of the weights.
    """

    sums: Callable[[Graph, Op[Any], np.ndarray, np.ndarray], np.ndarray]
    channel_axis: int


class Monotone(Enum):
    """How outputs move where one operand rises and the others stay.

    ``ALL``: none ever falls. ``EACH``: each rises or falls, which way the other operands decide.
    """

    NO = "no"
    ALL = "all"
    EACH = "each"


@dataclass(frozen=True)
class Traits:
    """What may be known of an operator without its name; nothing holds unless it is said.

    bytewise: an output byte depends on the one input byte at its place: 256 results say it all.
    pointwise: an output value depends on the operands' values at its place.
    windowed: ``attrs.window`` slides over the rows and columns of the first input.
    weighted: constant weights, see there.
    clamps: ``attrs.activation`` bounds the output, as the last thing that is done.
    moves: bytes are moved or set to a constant, none is computed.
    reduces: an output is a mean or a maximum of inputs; of equal ones it is their value.
    view: the output is the input's bytes in their order, under another shape.
    squashes: logits go in, and what comes out are none any more.
    monotone: see there.
    data_at: position of the operand that is moved or seen through.
    stateful: something lives from one inference to the next.
    in_files: a .tflite may hold it; else only the reader and the passes make it.
    tflm: how TFLM names it; None: TFLM has no kernel for it.
    """

    bytewise: bool = False
    pointwise: bool = False
    windowed: bool = False
    weighted: Weighted | None = None
    clamps: bool = False
    moves: bool = False
    reduces: bool = False
    view: bool = False
    squashes: bool = False
    monotone: Monotone = Monotone.NO
    data_at: int = 0
    stateful: bool = False
    in_files: bool = True
    tflm: Tflm | None = None


def no_scratch(graph: Graph, op: Op[object]) -> int:
    """scratch_bytes of a kernel that needs none."""
    return 0


def no_macs(graph: Graph, op: Op[object]) -> int:
    """macs of an operator without multiply-accumulates."""
    return 0


def not_inplace(graph: Graph, op: Op[object]) -> tuple[tuple[int, int], ...]:
    """inplace of an operator whose output must not overlap its inputs."""
    return ()


def untied(graph: Graph, op: Op[object]) -> Ties:
    """ties of an operator that needs all its channels."""
    return []


def tied_along(graph: Graph, op: Op[object]) -> Ties:
    """ties of an operator that makes each channel of its output of that channel of its input."""
    shape = graph.tensor(op.outputs[0]).shape
    labels = np.arange(shape[-1] if shape else 1)
    return [(op.inputs[0], labels), (op.outputs[0], labels)]


@dataclass(frozen=True)
class Operator(Generic[A]):
    """One kind of operator: TFLite's builtin name, or a name of our own, and all it can do.

    attrs: frozen dataclass of typed attributes.
    read: options and constant operands (axes, paddings ...) of a file's operator.
    check: shape, dtype and option rules; raises ModelError.
    reference: plain integer numpy, bit-exact with TFLM.
    lower: the C kernel's call; None = nothing to run (a view: the output aliases input 0).
    traits: what passes and engines may know.
    shapes: the outputs' shapes of a file's operator, from its inputs' and its options; None: they
        are the only input's.
    ties: which channels (entries of the last axis) of inputs and outputs can only go together.
    macs: nominal multiply-accumulates (padding counted).
    scratch_bytes: scratch that the C kernel asks of its caller.
    inplace: (input position, output position) that may share memory.
    """

    kind: str
    attrs: type[A]
    read: Callable[[RawOp], A]
    check: Callable[[Graph, Op[A]], None]
    reference: Callable[[Graph, Op[A], Operands], tuple[np.ndarray, ...]]
    lower: Callable[[Graph, Op[A]], KernelCall | None]
    traits: Traits = field(default_factory=Traits)
    shapes: Callable[[RawOp], list[Shape]] | None = None
    ties: Callable[[Graph, Op[A]], Ties] = untied
    macs: Callable[[Graph, Op[A]], int] = no_macs
    scratch_bytes: Callable[[Graph, Op[A]], int] = no_scratch
    inplace: Callable[[Graph, Op[A]], tuple[tuple[int, int], ...]] = not_inplace

    def serves(self, op: Op[object]) -> TypeGuard[Op[A]]:
        """True where this is the operator's kind; its attributes then have this one's type."""
        return op.kind == self.kind

    def call(self, graph: Graph, op: Op[A]) -> KernelCall:
        """``lower`` of an operator that is not a view."""
        found = self.lower(graph, op)
        assert found is not None, op.kind
        return found

    def make(self, name: str, inputs: Shape, outputs: Shape, attrs: A) -> Op[A]:
        """An operator of this kind in a graph."""
        return Op(self.kind, name, inputs, outputs, attrs)
