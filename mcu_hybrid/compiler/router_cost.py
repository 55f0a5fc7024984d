"""What each router of a model costs: its layers, MACs, bytes of constants, predicted instructions.

A simple router is ROUTE_FEATURES alone, which gives the scores of all of them; the learned one is
that and everything that reads its features. All other layers are the base.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcu_hybrid import mechanisms
from mcu_hybrid.artifacts.build import RouterRow
from mcu_hybrid.compiler.program import Program
from mcu_hybrid.compiler.report import flash_rows, layer_rows, table_bytes
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.route_features import ROUTE_FEATURES


def router_costs(program: Program) -> tuple[RouterRow, ...]:
    """One row per router that the model has; none where it has no route features."""
    run = [layer.ops for layer in program.layers]
    sizes = [int(row["bytes"]) for row in flash_rows(program)]
    macs = [row.macs for row in layer_rows(program)]
    return _rows(program.graph, run, macs, sizes, program.predicted)


def network_costs(graph: Graph, run: Sequence[Op]) -> tuple[RouterRow, ...]:
    """The same for the engine tflm, whose layers ``run`` are not ours: nothing is predicted."""
    macs = [operator(op.kind).macs(graph, op) for op in run]
    sizes = []
    for op in run:
        constants = (graph.tensor(t) for t in op.inputs if t >= 0)
        sizes.append(sum(t.data.nbytes for t in constants if t.data is not None))
    for n, op in enumerate(run):
        call = operator(op.kind).lower(graph, op) if ROUTE_FEATURES.serves(op) else None
        if call is not None:  # its tables are parameters
            sizes[n] = table_bytes(graph, call, set())
    return _rows(graph, [(op,) for op in run], macs, sizes, [None] * len(run))


def _rows(
    graph: Graph,
    run: Sequence[tuple[Op, ...]],
    macs: Sequence[int],
    sizes: Sequence[int],
    known: Sequence[int | None],
) -> tuple[RouterRow, ...]:
    link = next((n for n, ops in enumerate(run) if ROUTE_FEATURES.serves(ops[0])), None)
    if link is None:
        return ()
    behind = _behind(graph.ops, run[link][0].outputs[0])
    head = [n for n, ops in enumerate(run) if ops[0] in behind]
    base = _sum(known, [n for n in range(len(run)) if n not in (link, *head)])
    names = [graph.tensor(t).name for t in graph.outputs]
    rows = []
    for router in mechanisms.every():
        if router.scope == "model":
            has_it, mine = bool(head), [link, *head]
        else:
            has_it, mine = router.output in names, [link]
        if not has_it:
            continue
        predicted = _sum(known, mine)
        rows.append(
            RouterRow(
                router=router.name,
                layers=tuple(mine),
                macs=sum(macs[n] for n in mine),
                constant_bytes=sum(sizes[n] for n in mine),
                predicted_instructions=predicted,
                predicted_share=predicted / base if predicted and base else None,
            )
        )
    return tuple(rows)


def _behind(ops: Sequence[Op], start: int) -> list[Op]:
    """The operators that depend on the tensor ``start``; some of them may be views."""
    made, found = {start}, []
    for op in ops:
        if made.intersection(op.inputs):
            found.append(op)
            made.update(op.outputs)
    return found


def _sum(known: Sequence[int | None], numbers: Sequence[int]) -> int | None:
    values = [known[n] for n in numbers]
    return None if None in values else sum(value for value in values if value is not None)
