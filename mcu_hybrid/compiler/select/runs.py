"""Calls of kernels of two operands that run along both: loops of broadcasting around runs.

Not here: the arithmetic (add.py, mul.py).
"""

from __future__ import annotations

from math import prod

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.limits import bound_sources
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import broadcast, operator
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.base import CStruct, Field, KernelCall, KernelId


def has_runs(graph: Graph, op: Op) -> bool:
    """True where both operands have neighbours along the innermost loop, 4 or more of them."""
    extents, a, b = broadcast.loops(graph, op)
    return bool(a[-1] == b[-1] == 1 and (extents[-1] >= 4 or prod(extents[:-1]) == 1))


def choice(graph: Graph, op: Op, name: str, fields: tuple[tuple[str, int], ...]) -> Choice:
    """The call of ``mh_<name>_s8``."""
    lo, hi = activation_range(op.attrs.activation, graph.tensor(op.outputs[0]).require_quant())
    loops: Field = ("loops", broadcast.loop_table(graph, op))
    all_fields: tuple[Field, ...] = (loops, *fields, ("lo", lo), ("hi", hi))
    call = KernelCall(
        KernelId(name),
        CStruct(f"mh_{name}_params", all_fields),
        "binary",
        op.inputs,
        op.outputs,
        f"{name}_s8",
        ("runs_s8", *bound_sources(lo, hi)),
    )
    inplace, found = operator(op.kind).inplace(graph, op), cost.instructions(call, cost.DSP)
    return Choice(call, 0, inplace, found, {})
