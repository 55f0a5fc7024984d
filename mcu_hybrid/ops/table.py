"""TABLE int8: any function of one byte, given as its 256 results. No file holds it.

Passes make it of chains (compiler/passes/compose_tables.py), the reader of float operators
(compiler/read/float_islands.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import KernelCall, Operands, Operator, RawOp, Traits, tied_along
from mcu_hybrid.ops.checks import where
from mcu_hybrid.ops.lut import check_unary, inplace_unary, lower_table


@dataclass(frozen=True)
class Attrs:
    """The 256 results as bytes, in the order of ``lut.EVERY_INT8``.

    ``not_in_tflm`` names the operators in it that TFLM has no kernel for.
    """

    table: bytes
    not_in_tflm: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Attrs(table={self.table[:4].hex()}..)"


def read(raw: RawOp) -> Attrs:
    """There is no such operator in TFLite: only the reader, which makes one, has its table."""
    if "table" in raw.options:
        return Attrs(raw.options["table"], raw.options["not_in_tflm"])
    raise UnsupportedOp(
        "operator TABLE is internal", "export the model again", key=f"{raw.kind} '{raw.name}'"
    )


def values(op: Op[Attrs]) -> np.ndarray:
    """The results as int8 [256]."""
    return np.frombuffer(op.attrs.table, np.int8)


def check(graph: Graph, op: Op[Attrs]) -> None:
    """One int8 tensor in, one of the same shape out, and 256 results."""
    check_unary(graph, op)
    if len(op.attrs.table) != 256:
        raise ModelError(
            f"has {len(op.attrs.table)} results, expected 256",
            "this is a fault of mcu-hybrid: report it",
            key=where(op),
        )


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The results for these bytes."""
    return (values(op)[np.asarray(inputs[0]).view(np.uint8)],)


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The call of mh_lut_s8."""
    return lower_table(graph, op, values(op))


TABLE = Operator(
    "TABLE",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    inplace=inplace_unary,
    traits=Traits(bytewise=True, pointwise=True, in_files=False),
    ties=tied_along,
)
