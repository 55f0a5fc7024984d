"""MUL four elements at a time, with TFLite's own two roundings, rearranged (requant.py: exact)."""

from __future__ import annotations

from mcu_hybrid.compiler.select import Choice, runs
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.mul import MUL, rescaling

MAX_RIGHT = 23  # (zero point << right) must fit 31 bits


def match(graph: Graph, op: Op) -> Choice | None:
    """The fast kernel of a MUL, or None (no runs, a factor of 1/2 or more or next to nothing)."""
    if not MUL.serves(op) or not runs.has_runs(graph, op):
        return None
    mult, shift = rescaling(graph, op)
    right = -shift
    if not 1 <= right <= MAX_RIGHT:
        return None
    a, b, out = (graph.tensor(i).require_quant().zero_point for i in (*op.inputs, *op.outputs))
    fields = (
        ("a_offset", -a),
        ("b_offset", -b),
        ("mult", mult),
        ("addend", (out << right) + (1 << (right - 1))),
        ("right", right),
    )
    return runs.choice(graph, op, "mul_fast", fields)
