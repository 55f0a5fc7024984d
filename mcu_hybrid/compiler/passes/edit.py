"""A graph while a pass rewrites it: mutable here, immutable again after ``finish``.

Tensor indices never change: a tensor that survives keeps its index and name, so what a pass made
can be compared with what was read, tensor by tensor.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcu_hybrid.graph.types import ABSENT, Graph, Op, Tensor


class Edit:
    """Operators and tensors of a graph, with the few rewrites that passes are made of."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = list(graph.tensors)
        self.ops = list(graph.ops)

    def now(self) -> Graph:
        """The graph as it is rewritten so far; operators are in order, but may be unused."""
        return self.graph.with_(tensors=tuple(self.tensors), ops=tuple(self.ops))

    def add(self, tensor: Tensor) -> int:
        """Append a tensor and return its index."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_const(self, tensor: Tensor, data: np.ndarray) -> int:
        """Append a constant that is like this one but for its data and shape."""
        return self.add(replace(tensor, shape=data.shape, data=np.ascontiguousarray(data)))

    def replace_op(self, old: Op, new: Op) -> None:
        """Put ``new`` where ``old`` is."""
        self.ops[self._position(old)] = new

    def insert_before(self, op: Op, new: Op) -> None:
        """Put ``new`` right before ``op``."""
        self.ops.insert(self._position(op), new)

    def remove(self, op: Op) -> None:
        """Take an operator out; its outputs must have no readers left."""
        del self.ops[self._position(op)]

    def current(self, op: Op) -> Op:
        """What has become of an operator of the graph: the one that writes its first output."""
        return next(other for other in self.ops if op.outputs[0] in other.outputs)

    def producer(self, tensor: int) -> Op | None:
        """The operator that writes this tensor, or None."""
        return next((op for op in self.ops if tensor in op.outputs), None)

    def consumers(self, tensor: int) -> list[Op]:
        """The operators that read this tensor."""
        return [op for op in self.ops if tensor in op.inputs]

    def read_instead(self, old: int, new: int) -> None:
        """Let every operator that reads ``old`` read ``new``."""
        for n, op in enumerate(self.ops):
            if old in op.inputs:
                inputs = tuple(new if i == old else i for i in op.inputs)
                self.ops[n] = replace(op, inputs=inputs)

    def only_reader(self, tensor: int) -> Op | None:
        """The one operator that reads this tensor, which is no graph output; None otherwise."""
        readers = self.consumers(tensor)
        if len(readers) != 1 or tensor in self.graph.outputs:
            return None
        return readers[0]

    def bypass(self, op: Op, source: int) -> bool:
        """Take out an operator whose output equals ``source`` in every respect; False if stuck.

        A graph output keeps its tensor, so there the writer of the input must write the output.
        """
        target = op.outputs[0]
        if target not in self.graph.outputs:
            self.remove(op)
            self.read_instead(target, source)
            return True
        writer = self.producer(source)
        if writer is None or source in (*self.graph.outputs, *self.graph.inputs):
            return False
        self.remove(op)
        self.read_instead(source, target)
        outputs = tuple(target if i == source else i for i in writer.outputs)
        self.replace_op(writer, replace(writer, outputs=outputs))
        return True

    def finish(self, name: str = "", done: str = "") -> Graph:
        """The new graph without operators that nothing reads; the old one where nothing changed.

        Args:
            name: the pass.
            done: what it did, for the graph's notes.
        """
        self._remove_unread()
        if tuple(self.ops) == self.graph.ops:
            return self.graph
        notes = (*self.graph.notes, f"{name}: {done}") if done else self.graph.notes
        return self.now().with_(notes=notes)

    def _position(self, op: Op) -> int:
        return next(n for n, other in enumerate(self.ops) if other is op)

    def _remove_unread(self) -> None:
        needed = set(self.graph.outputs)
        kept = []
        for op in reversed(self.ops):
            if needed.intersection(op.outputs):
                needed.update(i for i in op.inputs if i != ABSENT)
                kept.append(op)
        self.ops = kept[::-1]


def same_quant(a: Tensor, b: Tensor) -> bool:
    """True where a byte means the same in both tensors."""
    if a.quant is None or b.quant is None:
        return a.quant is b.quant
    return (a.quant.scales, a.quant.zero_points) == (b.quant.scales, b.quant.zero_points)


def counted(count: int, noun: str) -> str:
    """'1 operator', '2 operators'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
