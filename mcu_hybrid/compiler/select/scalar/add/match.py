"""ADD and SUB of equal shapes on the scalar kernel.

Not here: the line that they are (pack.py); where there is none, the reference kernel stays.
"""

from __future__ import annotations

from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.scalar.add.pack import add_line
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.base import CStruct, KernelCall, KernelId
from mcu_hybrid.ops.sub import is_sum


def match(graph: Graph, op: Op) -> Choice | None:
    """The scalar kernel of an addition or subtraction of equal shapes, or None."""
    if not is_sum(op):
        return None
    a, b, out = (graph.tensor(i) for i in (*op.inputs, *op.outputs))
    line = add_line(graph, op) if a.shape == b.shape == out.shape else None
    if line is None:
        return None
    lo, hi = activation_range(op.attrs.activation, out.require_quant())
    names = ("mul_a", "mul_b", "addend", "shift")
    fields = (("size", out.elements), *zip(names, line, strict=True), ("lo", lo), ("hi", hi))
    params = CStruct("mh_scalar_add_params", fields)
    call = KernelCall(
        KernelId("scalar_add"),
        params,
        "binary",
        op.inputs,
        op.outputs,
        "scalar_add_s8",
        ("scalar_matrix_s8", "scalar_dot_s8"),
    )
    return Choice(call, 0, operator(op.kind).inplace(graph, op), None, {})
