"""Plain data about a program: layers, flash by layer, memory over time, what it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mcu_hybrid.artifacts.build import BufferRow, LayerRow, Plan, PlanRow, StreamRow
from mcu_hybrid.compiler.arena.plan import MemoryPlan
from mcu_hybrid.compiler.program import Layer, Program
from mcu_hybrid.compiler.schedule.call import Call, kernel_calls
from mcu_hybrid.compiler.schedule.rows import rows_made
from mcu_hybrid.compiler.schedule.stream import Stream
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.image.firmware import Footprint
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.base import CTable

TABLE_ALIGN = 4  # of every table in the generated C
NAMED = 3  # how many of the largest a message names


def layer_rows(program: Program) -> tuple[LayerRow, ...]:
    """One row per layer that runs, in the firmware's order.

    ``macs`` are those that the layer executes: of the graph as it is here, folded or not.
    """
    return tuple(
        LayerRow(
            name=layer.op.name,
            op=layer.op.kind,
            macs=executed_macs(program.graph, layer),
            out_bytes=program.graph.tensor(layer.call.outs[0]).bytes,
        )
        for layer in program.layers
    )


def executed_macs(graph: Graph, layer: Layer) -> int:
    """Multiply-accumulates of one layer; a stream's rows count as often as they are computed."""
    macs = [int(operator(op.kind).macs(graph, op)) for op in layer.ops]
    if not isinstance(layer.op, Stream):
        return sum(macs)
    made = rows_made(graph, layer.ops, layer.op.rows, layer.op.keep)
    heights = [graph.tensor(op.outputs[0]).shape[1] for op in layer.ops]
    return sum(m // h * rows for m, h, rows in zip(macs, heights, made, strict=True))


def model_macs(graph: Graph) -> int:
    """Multiply-accumulates of a model as given, before any pass: ``macs`` wherever it is told."""
    return sum(int(operator(op.kind).macs(graph, op)) for op in graph.ops)


def stream_rows(program: Program) -> tuple[StreamRow, ...]:
    """One row per stream: its layer number, operators, and how it is cut."""
    return tuple(
        StreamRow(
            layer=n,
            operators=tuple(op.kind for op in stream.run),
            rows=stream.rows,
            keeps_rows=stream.keep,
        )
        for n, stream in program.streams
    )


def flash_rows(program: Program) -> list[dict[str, Any]]:
    """Bytes of tables per layer; a table that several layers share counts at the first."""
    seen: set[tuple[str, bytes]] = set()
    return [
        {
            "layer": n,
            "name": layer.op.name,
            "op": layer.op.kind,
            "bytes": table_bytes(program.graph, layer.call, seen),
        }
        for n, layer in enumerate(program.layers)
    ]


def table_bytes(graph: Graph, call: Call, seen: set[tuple[str, bytes]]) -> int:
    """Bytes of a call's tables without those that were ``seen``; they are then."""
    size = 0
    for table in _tables(graph, call):
        key = (table.ctype, table.data.tobytes())
        if key not in seen:
            seen.add(key)
            size += -(-table.data.nbytes // TABLE_ALIGN) * TABLE_ALIGN
    return size


def weights_bytes(program: Program) -> int:
    """Flash that weights and all other tables take."""
    return sum(row["bytes"] for row in flash_rows(program))


def memory_map(program: Program) -> Plan:
    """The arena over time: one entry per layer, one box per buffer."""
    plan = program.plan
    return Plan(
        arena_bytes=plan.arena_bytes,
        lower_bound_bytes=plan.lower_bound_bytes,
        is_optimal=plan.is_optimal,
        scratch_bytes=plan.scratch_bytes,
        peak_op=plan.peak_op,
        ops=tuple(
            PlanRow(name=layer.op.name, op=layer.op.kind, live_bytes=_live(plan, n))
            for n, layer in enumerate(program.layers)
        ),
        buffers=tuple(
            BufferRow(
                name=row.label,
                tensor=row.tensor,
                first_op=row.first,
                last_op=row.last,
                offset=row.offset,
                bytes=row.bytes,
            )
            for row in plan.lifetimes
        ),
    )


def footprint(program: Program) -> Footprint:
    """What the model asks of a board."""
    graph, plan, layers = program.graph, program.plan, program.layers
    fullest = sorted(range(len(layers)), key=lambda n: (-_live(plan, n), n))[:NAMED]
    flash = flash_rows(program)
    heaviest = sorted(flash, key=lambda row: -row["bytes"])[:NAMED]
    return Footprint(
        arena_bytes=plan.arena_bytes,
        weights_bytes=sum(row["bytes"] for row in flash),
        layers=len(layers),
        kernels=program.kernel_stems,
        largest_ram=tuple(
            _named(n, kind_of(layers[n]), _live(plan, n)) + _tensors(graph, plan, n)
            for n in fullest
        ),
        largest_flash=tuple(_named(r["layer"], r["op"], r["bytes"]) for r in heaviest),
    )


def kind_of(layer: Layer) -> str:
    """A layer's kind for readers: a stream with what runs in it."""
    if not isinstance(layer.op, Stream):
        return layer.op.kind
    return f"{layer.op.kind} of " + ", ".join(op.kind for op in layer.ops)


def _named(n: int, kind: str, size: int) -> str:
    return f"op {n} {kind} {size:,} B"


def _tensors(graph: Graph, plan: MemoryPlan, time: int) -> str:
    """The two largest tensors that live then, by shape: layers' names can be lines long."""
    rows = [row for row in plan.lifetimes if row.first <= time <= row.last]
    largest = sorted(rows, key=lambda row: -row.bytes)[:2]
    return " (" + " + ".join(f"{_shape(graph, row.tensor)} {row.bytes:,}" for row in largest) + ")"


def _shape(graph: Graph, tensor: int | None) -> str:
    return "scratch" if tensor is None else "x".join(map(str, graph.tensor(tensor).shape))


def _live(plan: MemoryPlan, time: int) -> int:
    """Bytes of the arena that hold something then; what overlaps another counts once."""
    alive = (row for row in plan.lifetimes if row.first <= time <= row.last)
    end = total = 0
    for start, stop in sorted((row.offset, row.offset + row.bytes) for row in alive):
        total += max(stop - max(start, end), 0)
        end = max(end, stop)
    return total


def _tables(graph: Graph, layer: Call) -> Iterator[CTable]:
    """Tables of the params, then constant operands, as the emitter defines them."""
    for call in kernel_calls(layer):
        values: Iterable[Any] = (value for _, value in call.params.fields)
        yield from (value for value in values if isinstance(value, CTable))
        for index in call.ins:
            tensor = graph.tensor(index)
            if tensor.data is not None:
                yield CTable(tensor.name, f"{tensor.dtype}_t", tensor.data)
