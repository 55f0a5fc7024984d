"""Finds the logits of a classifier that was not made here: what a router can read.

Most published files end in SOFTMAX, often behind a RESHAPE or ahead of a DEQUANTIZE: the routers
then read what the softmax reads. Ends that hold no logits are named in words. Nothing is rewritten
here (metadata.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import traits
from mcu_hybrid.ops.quantize import QUANTIZE
from mcu_hybrid.ops.softmax import SOFTMAX

_NAMED = 60  # characters of a tensor's name in a message


@dataclass(frozen=True)
class End:
    """How a model ends: the index of its logits tensor, or None and the reason in words.

    ``note`` says which tensor was taken where that is not simply the only output.
    """

    logits: int | None
    reason: str = ""
    note: str = ""


def find_logits(graph: Graph, labels: Sequence[str]) -> End:
    """The one tensor with a logit per class, among what the graph's outputs are made of."""
    ends = [_of_output(graph, index, len(labels)) for index in graph.outputs]
    if len(ends) == 1:
        return ends[0]
    fitting = [(i, end) for i, end in enumerate(ends) if end.logits is not None]
    names = ", ".join(_name(graph, index) for index in graph.outputs)
    if len({end.logits for _, end in fitting}) != 1:
        which = "none of them ends" if not fitting else f"{len(fitting)} of them end"
        return End(None, f"has {len(ends)} outputs ({names}), and {which} in {len(labels)} logits")
    number, end = fitting[0]
    taken = f"of the outputs {names} the routers read {_name(graph, graph.outputs[number])}"
    return End(end.logits, note=f"{taken}; {end.note}" if end.note else taken)


def _of_output(graph: Graph, output: int, classes: int) -> End:
    tensor = graph.tensor(output)
    last = _behind_views(graph, output)
    kind = last.kind if last is not None else "the input"
    end = f"ends in {kind} ({_name(graph, output)})"
    if tensor.elements == 1 and classes > 1:
        return End(
            None, f"{end} with one value; a router needs one logit for each of {classes} classes"
        )
    if tensor.elements != classes:
        return End(None, f"{end} with {tensor.elements} values, the data has {classes} classes")
    if last is None or not traits(last).squashes:
        return _checked(graph, output, end, _after_softmax(graph, output, classes), "")
    source = last.inputs[0]
    if SOFTMAX.serves(last) and graph.tensor(source).shape[-1] != classes:
        shape = list(graph.tensor(source).shape)
        return End(None, f"{end} over the last axis of {shape}, which is not that of the classes")
    note = f"{last.kind} at the end: the routers read its input {_name(graph, source)} as logits"
    return _checked(graph, source, end, None, note)


def _checked(graph: Graph, logits: int, end: str, squashed: Op | None, note: str) -> End:
    """The end itself, where the tensor can be named and read."""
    tensor = graph.tensor(logits)
    if squashed is not None:
        return End(None, f"{end} behind {squashed.kind} '{squashed.name}': its logits are lost")
    if logits in graph.inputs or tensor.is_const:
        return End(None, f"{end}: {_name(graph, logits)} is no layer's output")
    if tensor.dtype != "int8":
        return End(None, f"{end}: {_name(graph, logits)} is {tensor.dtype}, not int8")
    if sum(other.name == tensor.name for other in graph.tensors) != 1:
        return End(None, f"{end}: several tensors are named {_name(graph, logits)}")
    return End(logits, note=note)


def _behind_views(graph: Graph, tensor: int) -> Op | None:
    """The operator that makes this tensor's values, views skipped."""
    op = graph.producer(tensor)
    while op is not None and (traits(op).view or QUANTIZE.serves(op)):
        before = graph.producer(op.inputs[0])
        if before is None:
            return op
        op = before
    return op


def _after_softmax(graph: Graph, tensor: int, classes: int) -> Op | None:
    """A softmax over the classes further up: what comes behind it are no logits."""
    op = graph.producer(tensor)
    while op is not None:
        ins = [i for i in op.inputs if i >= 0 and not graph.tensor(i).is_const]
        if len(ins) != 1:
            return None
        is_end = graph.tensor(op.outputs[0]).elements == classes
        if traits(op).squashes and is_end:
            return op
        if not is_end:
            return None
        op = graph.producer(ins[0])
    return None


def _name(graph: Graph, index: int) -> str:
    name = graph.tensor(index).name
    return f"'{name if len(name) <= _NAMED else name[: _NAMED - 3] + '...'}'"
