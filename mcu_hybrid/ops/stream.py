"""STREAM: a run of operators that is computed strip by strip of rows, as one layer.

Our own operator: only the scheduler makes it (compiler/schedule). Its values are those of the run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops.base import KernelCall, Operands, Operator, RawOp, Traits
from mcu_hybrid.ops.checks import where


@dataclass(frozen=True)
class Attrs:
    """The run in order, and how it is cut.

    ``rows`` of the last operator's output are made at a time. ``keep``: rows that the next strip
    needs again are kept (a rolling window); False: they are computed again (patches with a halo).
    """

    run: tuple[Op, ...]
    rows: int
    keep: bool


def read(raw: RawOp) -> Attrs:
    """Raise ModelError: no file has this operator."""
    raise ModelError(
        "STREAM is no operator of a file",
        "export the model again",
        key=f"{raw.kind} '{raw.name}'",
    )


def check(graph: Graph, op: Op[Attrs]) -> None:
    """Each operator of the run by its own rules; the last one makes the output."""
    made: set[int] = set()
    for part in op.attrs.run:
        for index in part.inputs:
            if index != ABSENT and index not in made and index not in op.inputs:
                raise _fault(op, f"reads '{graph.tensor(index).name}', which it is not given")
        ops.operator(part.kind).check(graph, part)
        made.update(part.outputs)
    if op.attrs.rows < 1 or op.outputs != op.attrs.run[-1].outputs:
        raise _fault(op, f"makes {op.attrs.rows} rows at a time of another tensor than its output")


def _fault(op: Op[Attrs], fact: str) -> ModelError:
    return ModelError(fact, "this is a fault of mcu-hybrid: report it", key=where(op))


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The run's last output, of whole maps."""
    values = dict(zip(op.inputs, inputs, strict=True))
    for part in op.attrs.run:
        operands = [
            None if i == ABSENT else values.get(i, graph.tensor(i).data) for i in part.inputs
        ]
        results = ops.operator(part.kind).reference(graph, part, operands)
        values.update(zip(part.outputs, results, strict=True))
    return tuple(np.asarray(values[i]) for i in op.outputs)


def macs(graph: Graph, op: Op[Attrs]) -> int:
    """Those of the run; rows that are computed twice count once."""
    return sum(ops.operator(part.kind).macs(graph, part) for part in op.attrs.run)


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall | None:
    """Raise ValueError: a stream is many calls (compiler/schedule/lower.py)."""
    raise ValueError(f"{where(op)} is lowered by the scheduler")


STREAM = Operator(
    "STREAM",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    macs=macs,
    traits=Traits(in_files=False),
)
