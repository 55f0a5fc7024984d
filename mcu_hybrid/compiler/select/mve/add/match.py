"""ADD and SUB of equal shapes on MVE.

Not here: the line that they are (pack.py), and broadcasting.
"""

from __future__ import annotations

from mcu_hybrid.compiler import cost
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.mve.add.pack import find_line
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.base import CStruct, KernelCall, KernelId
from mcu_hybrid.ops.sub import is_sum


def match(graph: Graph, op: Op) -> Choice | None:
    """The linear form of an ADD or SUB, or None (broadcast operands, no exact form)."""
    if not is_sum(op):
        return None
    a, b = (graph.tensor(i) for i in op.inputs)
    out = graph.tensor(op.outputs[0])
    found = find_line(graph, op) if a.shape == b.shape == out.shape else None
    if found is None:
        return None
    lo, hi = activation_range(op.attrs.activation, out.require_quant())
    fields = (
        ("size", out.elements),
        ("a_mul", found.a_mul),
        ("b_mul", found.b_mul),
        ("start", found.start),
        ("right", found.fraction - 16),
        ("lo", lo),
        ("hi", hi),
    )
    call = KernelCall(
        KernelId("mve_add"),
        CStruct("mh_mve_add_params", fields),
        "binary",
        op.inputs,
        op.outputs,
        "mve_add_s8",
        ("mve_multiply_s8",),
    )
    inplace = operator(op.kind).inplace(graph, op)
    return Choice(call, 0, inplace, cost.instructions(call, cost.MVE), {})
