"""Engine tflm: renders the sources that run a graph with TensorFlow Lite for Microcontrollers.

Which networks, which operators, which outputs: decided here. The user's TFLM checkout and library
are checked in tflm_tree.py, the arena's size is in tflm_arena.py, flatbuffers are rewritten in
tflite_cut.py. The application around it (protocol, boards) is the one of the engine aot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jinja2
import tflite

from mcu_hybrid import resources
from mcu_hybrid.codegen import ctext, flatbuffer
from mcu_hybrid.codegen.known_answers import KnownAnswer, known_answers
from mcu_hybrid.codegen.passes.link_route import ENTROPY_NAME
from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.firmware.tflite_cut import cut
from mcu_hybrid.firmware.tflm_arena import arena_bound
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import route_features

LINK = "ROUTE_FEATURES"  # ours; everything else is TFLM's
NO_OUTPUT = 0xFF
# TFLite's name -> method of MicroMutableOpResolver, and TFLM's registration for int8 alone
OPS: dict[str, tuple[str, str]] = {
    "ADD": ("AddAdd", "Register_ADD_INT8"),
    "AVERAGE_POOL_2D": ("AddAveragePool2D", "Register_AVERAGE_POOL_2D_INT8"),
    "CONCATENATION": ("AddConcatenation", ""),
    "CONV_2D": ("AddConv2D", "Register_CONV_2D_INT8"),
    "DEPTHWISE_CONV_2D": ("AddDepthwiseConv2D", "Register_DEPTHWISE_CONV_2D_INT8"),
    "EXPAND_DIMS": ("AddExpandDims", ""),
    "FULLY_CONNECTED": ("AddFullyConnected", "Register_FULLY_CONNECTED_INT8"),
    "HARD_SWISH": ("AddHardSwish", ""),
    "LEAKY_RELU": ("AddLeakyRelu", ""),
    "LOGISTIC": ("AddLogistic", ""),
    "MAX_POOL_2D": ("AddMaxPool2D", "Register_MAX_POOL_2D_INT8"),
    "MEAN": ("AddMean", ""),
    "MUL": ("AddMul", "Register_MUL_INT8"),
    "PAD": ("AddPad", "Register_PAD_INT8"),
    "PADV2": ("AddPadV2", ""),
    "QUANTIZE": ("AddQuantize", ""),
    "RELU": ("AddRelu", ""),
    "RELU6": ("AddRelu6", ""),
    "RESHAPE": ("AddReshape", ""),
    "RESIZE_NEAREST_NEIGHBOR": ("AddResizeNearestNeighbor", ""),
    "SOFTMAX": ("AddSoftmax", "Register_SOFTMAX_INT8"),
    "SPLIT": ("AddSplit", ""),
    "SPLIT_V": ("AddSplitV", ""),
    "SQUEEZE": ("AddSqueeze", ""),
    "STRIDED_SLICE": ("AddStridedSlice", ""),
    "SUB": ("AddSub", ""),
    "TANH": ("AddTanh", ""),
    "TRANSPOSE": ("AddTranspose", "Register_TRANSPOSE_INT8"),
}


@dataclass(frozen=True)
class Networks:
    """A linked graph as TFLM runs it: base, then (hybrids) our link kernel, then the router."""

    graph: Graph
    base: Graph
    link: Op | None
    router: Graph | None

    @cached_property
    def layers(self) -> tuple[Op, ...]:
        """Operators in the order in which the firmware reports them."""
        base = list(self.base.ops)
        if self.link is not None:
            base.insert(self.logits_layer + 1, self.link)
        return (*base, *(self.router.ops if self.router else ()))

    @property
    def logits_layer(self) -> int:
        """Position, among the base's operators, of the one that writes the logits."""
        assert self.link is not None
        return next(i for i, op in enumerate(self.base.ops) if self.link.inputs[0] in op.outputs)

    @property
    def kinds(self) -> tuple[str, ...]:
        """TFLite names of the operators that TFLM must offer, sorted."""
        return tuple(sorted({op.kind for op in self.layers} - {LINK}))

    @property
    def arena_bytes(self) -> int:
        """Upper bound of the arena that both interpreters share."""
        return arena_bound([part for part in (self.base, self.router) if part is not None])


def split(graph: Graph) -> Networks:
    """Tell base and router of a linked graph (``link_route``) apart; raises UnsupportedOp."""
    for op in graph.ops:
        if op.kind not in OPS and op.kind != LINK:
            raise UnsupportedOp(
                f"the engine tflm does not run {op.kind}",
                "build with --engine aot",
                path=graph.name,
                key=f"layer '{op.name}'",
            )
    link = next((op for op in graph.ops if op.kind == LINK), None)
    if link is None:
        return Networks(graph, graph, None, None)
    features, entropy = link.outputs
    scores = [t for t in graph.outputs if features in _reads(graph, t)]
    ends = [t for t in graph.outputs if t not in (*scores, entropy)]
    base = graph.with_(ops=_needed(graph, ends), outputs=tuple(ends))
    if not scores:
        return Networks(graph, base, link, None)
    ops = tuple(op for op in _needed(graph, scores) if op not in base.ops and op is not link)
    router = graph.with_(ops=ops, inputs=(features,), outputs=tuple(scores))
    return Networks(graph, base, link, router)


def _needed(graph: Graph, outputs: Iterable[int]) -> tuple[Op, ...]:
    """The operators that compute these tensors, in order."""
    wanted, kept = set(outputs), []
    for op in reversed(graph.ops):
        if wanted.intersection(op.outputs):
            kept.append(op)
            wanted |= set(op.inputs)
    return tuple(reversed(kept))


def _reads(graph: Graph, output: int) -> set[int]:
    return {t for op in _needed(graph, [output]) for t in op.inputs}


def render_tflm(
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
    base, router = _flatbuffers(data, nets)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.root("firmware_templates") / "tflm"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
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
    files = {name: environment.get_template(f"{name}.j2").render(values) for name in names}
    fixed = resources.root("firmware_templates") / "tflm" / "mh_tflm.cc"
    return {**files, fixed.name: fixed.read_text(encoding="utf-8")}


def _registration(kind: str) -> dict[str, str]:
    add, int8 = OPS[kind]
    return {"kind": kind, "add": add, "registration": f"tflite::{int8}()" if int8 else ""}


def _flatbuffers(data: bytes, nets: Networks) -> tuple[bytes, bytes]:
    """Base and router as files of their own; the file as it is where nothing is to be taken off."""
    file = tflite.Model.GetRootAsModel(data, 0).Subgraphs(0)

    def indices(tensors: Sequence[int]) -> list[int]:
        return [_file_index(file, nets.graph, t) for t in tensors]

    ins, outs = indices(nets.base.inputs), indices(nets.base.outputs)
    ports = (list(file.InputsAsNumpy()), list(file.OutputsAsNumpy()))
    whole = (ins, outs) == ports and len(nets.base.ops) == file.OperatorsLength()
    base = data if whole else cut(data, ins, outs)
    if nets.router is None:
        return base, b""
    return base, cut(data, indices(nets.router.inputs), indices(nets.router.outputs))


def _file_index(file: Any, graph: Graph, tensor: int) -> int:
    """The tensor's index in the file; raises ModelError where passes have made it another one."""
    name = graph.tensor(tensor).name
    named = tensor < file.TensorsLength() and file.Tensors(tensor).Name()
    if named is not False and flatbuffer.text(named, f"tensor_{tensor}") == name:
        return tensor
    raise ModelError(
        f"tensor '{name}' is not in the file", "build with --engine aot", path=graph.name
    )


def _link(nets: Networks) -> dict[str, Any] | None:
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
        "text": "\n\n".join([*(ctext.table_text(t, names[t.name]) for t in tables), struct]),
    }


def _outputs(nets: Networks) -> list[tuple[str, int]]:
    """Where each of the graph's outputs is read from."""
    found = []
    for tensor in nets.graph.outputs:
        if nets.link is not None and tensor == nets.link.outputs[1]:
            found.append(("ENTROPY", 0))
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
        "entropy": index(ENTROPY_NAME),
        "router": int(deployed.get("router", 0)),
        "threshold": int(deployed.get("threshold", 0)),
    }


def _bytes_text(data: bytes) -> str:
    """C initialisers of a byte array, 16 a row."""
    cells = [f"0x{byte:02x}," for byte in data]
    return "\n".join("    " + " ".join(cells[i : i + 16]) for i in range(0, len(cells), 16))
