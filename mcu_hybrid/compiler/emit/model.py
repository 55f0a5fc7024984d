"""C text of a program: tables, parameter structs, one call per layer.

All values are made here and arrive ready in the templates; the arithmetic is that of the operators'
``lower``, the places are those of the plan. Neither boards nor files are known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np

from mcu_hybrid import mechanisms, plugins, resources
from mcu_hybrid.compiler.arena.plan import MemoryPlan
from mcu_hybrid.compiler.emit import ctext, stream
from mcu_hybrid.compiler.emit.known_answers import KnownAnswer, known_answers
from mcu_hybrid.compiler.program import Layer, Program
from mcu_hybrid.compiler.schedule.call import Place, StreamCall
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.mechanisms.base import SCORES
from mcu_hybrid.ops.base import CStruct, CTable, KernelCall
from mcu_hybrid.templates import source_template

NO_OUTPUT = "MH_NO_OUTPUT"


@dataclass(frozen=True)
class _LayerText:
    """What the template prints of one layer."""

    index: int
    comment: str
    places: str
    call: str
    out: str
    out_bytes: int


@dataclass(frozen=True)
class _SegmentText:
    """What the template prints of one segment; ``exits``: bit i for output i."""

    layers: Sequence[_LayerText]
    core: int
    exits: int
    cut: tuple[str, int, str] = ("NULL", 0, "the end")  # address, bytes, name


def emit(
    program: Program,
    *,
    digest: bytes,
    metadata: Mapping[str, Any] | None = None,
    answers: Sequence[KnownAnswer] | None = None,
) -> dict[str, str]:
    """Return ``{"model.c": ..., "model.h": ...}``, the same text for the same model everywhere.

    Args:
        digest: sha256 of the .tflite file, 32 bytes.
        metadata: the model's own metadata (outputs of a hybrid, router and threshold at reset).
        answers: known answers of the self-test; None computes them with the reference interpreter.
    """
    if len(digest) != 32:
        raise ValueError("the digest is a sha256: 32 bytes")
    graph, plan = program.graph, program.plan
    answers = known_answers(graph) if answers is None else answers
    values = {
        "name": ctext.comment(graph.name),
        "digest_hex": digest.hex(),
        "digest": ctext.lines([f"0x{byte:02x}" for byte in digest], indent=8),
        "headers": [path.name for path in resources.kernel_headers(program.kernel_stems)],
        "arena_bytes": plan.arena_bytes,
        "rows": _plan_rows(plan),
        "info": _info(graph, metadata or {}),
        "answers": [(f"{a.seed}u", f"0x{a.crc:08x}u") for a in answers],
        **_Emitter(program).values(),
    }
    return {name: _template(f"{name}.j2").render(values) for name in ("model.c", "model.h")}


class _Emitter:
    """Collects definitions in the order of their first use; equal tables are stored once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.graph, self.plan = program.graph, program.plan
        self.tables: dict[tuple[str, bytes], str] = {}
        self.definitions: list[str] = []

    def values(self) -> dict[str, object]:
        """The template's values that depend on operators and places."""
        if not self.program.layers:
            raise ModelError(
                "the model computes nothing", "export a model with layers", path=self.graph.name
            )
        done = [self.layer(n, layer) for n, layer in enumerate(self.program.layers)]
        return {
            "layers": done,
            "segments": list(self.segments(done)),
            "inputs": self.buffers(self.graph.inputs),
            "outputs": self.buffers(self.graph.outputs),
            "definitions": self.definitions,
        }

    def layer(self, n: int, layer: Layer) -> _LayerText:
        """Define the layer's tables and params; return its call."""
        call = layer.call
        what = f"op {n}  {layer.op.kind}  {ctext.comment(layer.op.name)}"
        if isinstance(call, StreamCall):
            text = self.stream(n, what, call)
        else:
            self.params(call.params, f"op{n}", f"/* {what} */\n")
            arguments = ", ".join([f"&op{n}", *self.pointers(n, call), self.scratch(layer)])
            text = f"{call.kernel.symbol}({arguments})"
        shapes = " -> ".join(
            " ".join(str(list(self.graph.tensor(t).shape)) for t in tensors)
            for tensors in (call.ins, call.outs)
        )
        places = " -> ".join(
            ", ".join("flash" if at is None else str(at) for at in offsets)
            for offsets in (layer.places.ins, layer.places.outs)
        )
        return _LayerText(
            index=n,
            comment=what,
            places=f"{shapes}  arena {places}",
            call=text,
            out=self.address(call.outs[0]),
            out_bytes=self.graph.tensor(call.outs[0]).bytes,
        )

    def segments(self, layers: Sequence[_LayerText]) -> Iterator[_SegmentText]:
        """The rows of the table of segments, which the template prints where there are several."""
        first = 0
        for segment in self.program.segments:
            end = first + len(segment.layers)
            exits = sum(1 << self.graph.outputs.index(output) for output in segment.exit)
            cut = self.buffers(() if segment.cut is None else (segment.cut,))
            yield _SegmentText(layers[first:end], segment.core, exits, *cut)
            first = end

    def params(self, params: CStruct, name: str, comment: str = "") -> None:
        """Define a params struct and the tables that it points to."""
        names = {
            table.name: self.table(table, f"{name}_{table.name}")
            for table in ctext.struct_tables(params)
        }
        self.definitions.append(comment + ctext.struct_text(params, name, names))

    def stream(self, n: int, what: str, call: StreamCall) -> str:
        """Define the function of a stream; equal params of its parts are stored once."""
        names: dict[int, str] = {}
        texts: dict[str, str] = {}
        for part in call.calls():
            if id(part) in names:
                continue
            name = f"op{n}_{len(texts)}"
            before = len(self.definitions)
            self.params(part.params, name)
            text = self.definitions[-1].replace(f" {name} = ", " = ")
            if text in texts:  # its tables were there too
                del self.definitions[before:]
            names[id(part)] = texts.setdefault(text, name)
        function = stream.stream_text(
            f"stream{n}",
            call.steps,
            lambda part: names[id(part)],
            lambda place: self.stream_address(n, place),
        )
        self.definitions.append(f"/* {what} */\n{function}")
        return f"stream{n}()"

    def stream_address(self, n: int, place: Place) -> tuple[str, int]:
        """Base and offset of a place of stream ``n``."""
        if place.tensor is None:
            return "arena", self.plan.scratch_offsets[n] + place.offset
        if place.tensor in self.plan.offsets:
            return "arena", self.plan.offsets[place.tensor] + place.offset
        return self.address(place.tensor), place.offset

    def pointers(self, n: int, call: KernelCall) -> list[str]:
        """The pointer arguments between params and scratch, by the call's form."""
        ins = [self.address(t) for t in call.ins]
        outs = [self.address(t) for t in call.outs]
        if call.form == "nary_in":
            ins = [self.array(f"op{n}_ins", "const int8_t *const", ins)]
        elif call.form == "nary_out":
            outs = [self.array(f"op{n}_outs", "int8_t *const", outs)]
        elif call.form not in ("unary", "binary", "unary_two"):
            raise ValueError(f"unknown call form '{call.form}' of {call.kernel.symbol}")
        return [*ins, *outs]

    def array(self, name: str, ctype: str, addresses: Sequence[str]) -> str:
        """Define an array of pointers; returns its name."""
        text = ctext.lines(list(addresses))
        self.definitions.append(f"static {ctype} {name}[{len(addresses)}] = {{\n{text}\n}};")
        return name

    def table(self, table: CTable, name: str) -> str:
        """Define a table unless an equal one is there; returns the name to use."""
        key = (table.ctype, np.ascontiguousarray(table.data).tobytes())
        if key not in self.tables:
            self.tables[key] = name
            self.definitions.append(ctext.table_text(table, name))
        return self.tables[key]

    def address(self, tensor: int) -> str:
        """Where a tensor lies: in the arena, or a constant table."""
        if tensor in self.plan.offsets:
            return f"arena + {self.plan.offsets[tensor]}"
        while tensor in self.program.views:
            tensor = self.program.views[tensor]
        found = self.graph.tensor(tensor)
        if found.data is None:
            raise ValueError(f"tensor '{found.name}' is neither planned nor constant")
        return self.table(CTable(found.name, f"{found.dtype}_t", found.data), f"const{tensor}")

    def scratch(self, layer: Layer) -> str:
        """The layer's scratch argument."""
        offset = layer.places.scratch
        return "NULL" if offset is None else f"arena + {offset}"

    def buffers(self, tensors: Sequence[int]) -> list[tuple[str, int, str]]:
        """(address, bytes, name) of the model's inputs or outputs."""
        for index in tensors:
            if index not in self.plan.offsets:
                raise ModelError(
                    "a model output is a constant: nothing computes it",
                    "export the model without this output",
                    path=self.graph.name,
                    key=self.graph.tensor(index).name,
                )
        found = [(self.address(t), self.graph.tensor(t)) for t in tensors]
        return [(address, t.bytes, ctext.comment(t.name)) for address, t in found]


def _info(graph: Graph, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Fields of ``mh_model`` that come from the metadata of a hybrid."""
    names = [graph.tensor(t).name for t in graph.outputs]

    def output(name: object) -> str:
        return f"{names.index(name)}u" if name in names else NO_OUTPUT

    deployed = metadata.get("deployed") or {}
    router, threshold = deployed.get("router", 0), deployed.get("threshold", 0)
    routers = {one.id: one.c_name for one in mechanisms.every()} | {0: "MH_ROUTER_NONE"}
    if router not in routers or type(threshold) is not int:
        raise ModelError(
            f"router {router!r} with threshold {threshold!r} is not known",
            f"export the model again, or load the router's plug-in ({plugins.VARIABLE})",
            path=graph.name,
            key="deployed",
        )
    return {
        "logits": output(metadata.get("logits")),
        "route": output(metadata.get("route_score")),
        "scores": output(SCORES),
        "router": routers[router],
        "threshold": ctext.number(threshold),
    }


def _plan_rows(plan: MemoryPlan) -> list[str]:
    """The memory plan as lines of a comment."""
    rows = [f"{'offset':>8} {'bytes':>8}  {'ops':>9}  what"]
    for row in plan.lifetimes:
        ops = f"{row.first}..{row.last}"
        rows.append(f"{row.offset:>8} {row.bytes:>8}  {ops:>9}  {ctext.comment(row.label)}")
    return rows


def _template(name: str) -> jinja2.Template:
    return source_template(resources.root("firmware_templates") / "model" / name)
