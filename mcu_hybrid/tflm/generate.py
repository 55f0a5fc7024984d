"""Engine tflm: the sources that run a graph with TensorFlow Lite for Microcontrollers.

Which networks and operators these are is in networks.py, the arena's size in arena.py, the flags of
the user's TFLM checkout in tree.py. The application around it (protocol,
boards) is the one of the engine aot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from mcu_hybrid import resources
from mcu_hybrid.artifacts.build import LayerRow
from mcu_hybrid.compiler.emit import ctext
from mcu_hybrid.compiler.emit.known_answers import KnownAnswer, known_answers
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.image.firmware import Footprint
from mcu_hybrid.mechanisms.base import SCORES
from mcu_hybrid.ops import operator, route_features
from mcu_hybrid.templates import source_template
from mcu_hybrid.tflm.networks import Networks, flatbuffers, split

NO_OUTPUT = 0xFF


def emit_tflm(
    data: bytes,
    graph: Graph,
    *,
    metadata: Mapping[str, Any] | None = None,
    arena_bytes: int | None = None,
    answers: Sequence[KnownAnswer] | None = None,
    library: str = "",
) -> dict[str, str]:
    """Return the generated and fixed sources of the engine, by file name.

    Args:
        data: the .tflite file that ``graph`` was read (and linked) from.
        metadata: the model's own, for the router and threshold at reset.
        arena_bytes: size of the arena; None takes the upper bound.
        answers: known answers of the self-test; None computes them with the reference interpreter.
        library: what it will be linked with, so that another library gives another build id.

    Raises:
        UnsupportedOp: an operator that the engine does not run.
    """
    nets = split(graph)
    answers = known_answers(graph) if answers is None else answers
    base, router = flatbuffers(data, nets)
    folder = resources.root("firmware_templates") / "tflm"
    values = {
        "model": ctext.comment(graph.name),
        "ops": [_registration(kind) for kind in nets.kinds],
        "arena_bytes": arena_bytes or nets.arena_bytes,
        "base": base,
        "router": router,
        "link": _link(nets),
        "outputs": _outputs(nets),
        "notes": [ctext.comment(note) for note in (*graph.notes, library) if note],
        "digest": ctext.lines([f"0x{b:02x}" for b in hashlib.sha256(data).digest()], indent=8),
        "layers": len(nets.layers),
        "inputs": len(graph.inputs),
        "info": _info(graph, metadata or {}),
        "kat": [(f"{a.seed}u", f"0x{a.crc:08x}u") for a in answers],
        "base_text": _bytes_text(base),
        "router_text": _bytes_text(router),
    }
    names = ("mh_tflm_ops.h", "mh_tflm_model.h", "mh_tflm_model.c")
    files = {name: source_template(folder / f"{name}.j2").render(values) for name in names}
    fixed = resources.root("firmware_templates") / "tflm" / "mh_tflm.cc"
    return {**files, fixed.name: fixed.read_text(encoding="utf-8")}


def layer_rows(graph: Graph) -> tuple[LayerRow, ...]:
    """One row per layer that the firmware reports, in its order."""
    return tuple(
        LayerRow(
            name=op.name,
            op=op.kind,
            macs=operator(op.kind).macs(graph, op),
            out_bytes=graph.tensor(op.outputs[0]).bytes,
        )
        for op in split(graph).layers
    )


def footprint(data: bytes, graph: Graph, arena_bytes: int | None = None) -> Footprint:
    """What the model asks of a board: its flatbuffers (not their weights alone) and the arena."""
    nets = split(graph)
    sizes = [len(part) for part in flatbuffers(data, nets)]
    arena_bytes = arena_bytes or nets.arena_bytes
    return Footprint(
        arena_bytes=arena_bytes,
        weights_bytes=sum(sizes),
        layers=len(nets.layers),
        kernels=() if nets.link is None else ("route_features_s8",),
        largest_ram=(f"TFLM's arena {arena_bytes:,} B",),
        largest_flash=tuple(f"flatbuffer {size:,} B" for size in sizes if size),
    )


def _registration(kind: str) -> dict[str, str]:
    known = operator(kind).traits.tflm
    assert known is not None, kind
    registration = f"tflite::Register_{kind}_INT8()" if known.has_int8 else ""
    return {"kind": kind, "add": known.add, "registration": registration}


def _link(nets: Networks) -> dict[str, object] | None:
    """The parameters of our kernel between the networks, as C."""
    if nets.link is None:
        return None
    call = route_features.lower(nets.graph, nets.link)
    assert call is not None
    tables = ctext.struct_tables(call.params)
    names = {table.name: f"route_{table.name}" for table in tables}
    struct = ctext.struct_text(call.params, "mh_tflm_route", names).removeprefix("static ")
    attrs: route_features.Attrs = nets.link.attrs
    return {
        "layer": nets.logits_layer,
        "classes": attrs.classes,
        "features": attrs.top + 1,
        "text": "\n\n".join(
            [*(ctext.table_text(t, names[t.name], section=None) for t in tables), struct]
        ),
    }


def _outputs(nets: Networks) -> list[tuple[str, int]]:
    """Where each of the graph's outputs is read from."""
    found = []
    for tensor in nets.graph.outputs:
        if nets.link is not None and tensor == nets.link.outputs[1]:
            found.append(("SCORES", 0))
        elif nets.router is not None and tensor in nets.router.outputs:
            found.append(("ROUTER", nets.router.outputs.index(tensor)))
        elif nets.router is not None and nets.link is not None and tensor == nets.link.inputs[0]:
            found.append(("LOGITS", 0))
        else:
            found.append(("BASE", nets.base.outputs.index(tensor)))
    return found


def _info(graph: Graph, metadata: Mapping[str, Any]) -> dict[str, int]:
    """Fields of ``mh_model`` that come from the metadata of a hybrid."""
    names = [graph.tensor(t).name for t in graph.outputs]

    def index(name: object) -> int:
        return names.index(name) if name in names else NO_OUTPUT

    deployed = metadata.get("deployed") or {}
    return {
        "logits": index(metadata.get("logits")),
        "route": index(metadata.get("route_score")),
        "scores": index(SCORES),
        "router": int(deployed.get("router", 0)),
        "threshold": int(deployed.get("threshold", 0)),
    }


def _bytes_text(data: bytes) -> str:
    """C initialisers of a byte array, 16 a row."""
    cells = [f"0x{byte:02x}," for byte in data]
    return "\n".join("    " + " ".join(cells[i : i + 16]) for i in range(0, len(cells), 16))
