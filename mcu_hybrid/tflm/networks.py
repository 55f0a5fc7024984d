"""A linked graph as TFLM can run it: base network, our link kernel, router network.

Also which of TFLM's operators it takes. No C here (tflm.py), and no rewriting (tflite_cut.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import tflite

from mcu_hybrid import mechanisms
from mcu_hybrid.compiler.read import flatbuffer
from mcu_hybrid.compiler.read.cut import cut
from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops import known
from mcu_hybrid.ops.route_features import ROUTE_FEATURES, link_of
from mcu_hybrid.ops.table import TABLE
from mcu_hybrid.tflite_file import builtin_code, without_absent_bias
from mcu_hybrid.tflm.arena import arena_bound

ALIGN = 16  # of a flatbuffer in flash


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
        return tuple(sorted({op.kind for op in self.layers if op is not self.link}))

    @property
    def arena_bytes(self) -> int:
        """Upper bound of the arena that both interpreters share."""
        return arena_bound([part for part in (self.base, self.router) if part is not None])


def split(graph: Graph) -> Networks:
    """Tell base and router of a linked graph (``link_route``) apart; raises UnsupportedOp."""
    for op in graph.ops:
        if not _is_tflms(op) and not ROUTE_FEATURES.serves(op):
            kind = "float operators inside an int8 model" if TABLE.serves(op) else op.kind
            raise UnsupportedOp(
                f"the engine tflm does not run {kind}",
                "build with --engine aot",
                path=graph.name,
                key=f"layer '{op.name}'",
            )
    link = link_of(graph)
    if link is None:
        return Networks(graph, graph, None, None)
    if mechanisms.c_files():
        raise UnsupportedOp(
            "the engine tflm does not compute the scores of plug-ins",
            "build with --engine aot, or without the plug-ins",
            path=graph.name,
            key=", ".join(mechanisms.c_files()),
        )
    features, entropy = link.outputs
    scores = [t for t in graph.outputs if features in _reads(graph, t)]
    ends = [t for t in graph.outputs if t not in (*scores, entropy)]
    base = graph.with_(ops=_needed(graph, ends), outputs=tuple(ends))
    if not scores:
        return Networks(graph, base, link, None)
    ops = tuple(op for op in _needed(graph, scores) if op not in base.ops and op is not link)
    _require_alone(graph, ops, features)
    router = graph.with_(ops=ops, inputs=(features,), outputs=tuple(scores))
    return Networks(graph, base, link, router)


def _is_tflms(op: Op[Any]) -> bool:
    """True where TFLM has a kernel for it."""
    return op.kind in known() and known()[op.kind].traits.tflm is not None


def _require_alone(graph: Graph, router: Sequence[Op], features: int) -> None:
    """The router's network has one input: the base's activations are gone when it runs."""
    made = {features, ABSENT, *(t for op in router for t in op.outputs)}
    for op in router:
        for index in op.inputs:
            if index not in made and graph.tensor(index).data is None:
                raise UnsupportedOp(
                    "the engine tflm does not run a router that reads the base's features",
                    "build with --engine aot, or train with --router-inputs top_k",
                    path=graph.name,
                    key=f"layer '{op.name}'",
                )


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


def flatbuffers(data: bytes, nets: Networks) -> tuple[bytes, bytes]:
    """Base and router (or nothing) as TFLM reads them, filled up to a multiple of 16 bytes.

    The file stays as it is where nothing is to be taken off.

    Raises:
        ModelError: the graph is not one that was read from this file.
    """
    file = tflite.Model.GetRootAsModel(data, 0).Subgraphs(0)

    def indices(tensors: Sequence[int]) -> list[int]:
        return [_file_index(file, nets.graph, t) for t in tensors]

    ins, outs = indices(nets.base.inputs), indices(nets.base.outputs)
    ports = (list(file.InputsAsNumpy()), list(file.OutputsAsNumpy()))
    whole = (ins, outs) == ports and len(nets.base.ops) == file.OperatorsLength()
    base = _filled(without_absent_bias(data) if whole else cut(data, ins, outs))
    _require_known(base, nets)
    if nets.router is None:
        return base, b""
    return base, _filled(cut(data, indices(nets.router.inputs), indices(nets.router.outputs)))


def _require_known(part: bytes, nets: Networks) -> None:
    """The graph may have lost operators that the file still has: those that compute shapes."""
    model = tflite.Model.GetRootAsModel(part, 0)
    names = {code: name for name, code in vars(tflite.BuiltinOperator).items()}
    known = {vars(tflite.BuiltinOperator)[kind] for kind in nets.kinds}
    graph = model.Subgraphs(0)
    for number in range(graph.OperatorsLength()):  # a list of codes may name more than is used
        code = builtin_code(model.OperatorCodes(graph.Operators(number).OpcodeIndex()))
        if code not in known:
            raise UnsupportedOp(
                f"the engine tflm does not run {names.get(code, code)}",
                "build with --engine aot",
                path=nets.graph.name,
            )


def _filled(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGN)


def _file_index(file: Any, graph: Graph, tensor: int) -> int:
    """The tensor's index in the file; raises ModelError where passes have made it another one."""
    name = graph.tensor(tensor).name
    named = tensor < file.TensorsLength() and file.Tensors(tensor).Name()
    if named is not False and flatbuffer.text(named, f"tensor_{tensor}") == name:
        return tensor
    raise ModelError(
        f"tensor '{name}' is not in the file", "build with --engine aot", path=graph.name
    )
