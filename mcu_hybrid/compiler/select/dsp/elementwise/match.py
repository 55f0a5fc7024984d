"""ADD, SUB and MUL on kernels that run along both operands: loops of broadcasting around runs.

Not here: the constants of the arithmetic (pack.py).
"""

from __future__ import annotations

from math import prod

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.dsp.elementwise.pack import find_linear, product_fields
from mcu_hybrid.compiler.select.dsp.limits import bound_sources
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import broadcast, operator
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.base import CStruct, Field, KernelCall, KernelId
from mcu_hybrid.ops.mul import MUL
from mcu_hybrid.ops.sub import is_sum


def match(graph: Graph, op: Op) -> Choice | None:
    """The kernel of an ADD, SUB or MUL, or None (no runs, no exact form)."""
    if not (is_sum(op) or MUL.serves(op)) or not _has_runs(graph, op):
        return None
    return _product(graph, op) if MUL.serves(op) else _sum(graph, op)


def _sum(graph: Graph, op: Op) -> Choice | None:
    found = find_linear(graph, op)
    if found is None:
        return None
    fields = (("a_mul", found.a_mul), ("b_mul", found.b_mul), ("start", found.start))
    return _choice(graph, op, "add_fast", fields)


def _product(graph: Graph, op: Op) -> Choice | None:
    fields = product_fields(graph, op)
    return None if fields is None else _choice(graph, op, "mul_fast", fields)


def _has_runs(graph: Graph, op: Op) -> bool:
    """True where both operands have neighbours along the innermost loop, 4 or more of them."""
    extents, a, b = broadcast.loops(graph, op)
    return bool(a[-1] == b[-1] == 1 and (extents[-1] >= 4 or prod(extents[:-1]) == 1))


def _choice(graph: Graph, op: Op, name: str, fields: tuple[tuple[str, int], ...]) -> Choice:
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
