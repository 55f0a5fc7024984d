"""Runs a scheduled graph in one byte array at the plan's places, strip by strip, in numpy.

Kernels are replaced by the operators' own references on each strip's small map; what is checked is
the schedule: rows, windows, moves, padding, and how far output overlaps input.
"""

from __future__ import annotations

import numpy as np

from mcu_hybrid.compiler.program import Program
from mcu_hybrid.compiler.schedule.call import KernelAct, Place, StreamCall
from mcu_hybrid.compiler.schedule.lower import strip
from mcu_hybrid.compiler.schedule.rows import reach_of, steps_of
from mcu_hybrid.compiler.schedule.stream import Stream
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops import operator


class Arena:
    """A poisoned arena and the program that runs in it."""

    def __init__(self, program: Program) -> None:
        self.program, self.graph, self.plan = program, program.graph, program.plan
        rng = np.random.default_rng(1)
        self.bytes = rng.integers(-128, 128, self.plan.arena_bytes).astype(np.int8)

    def whole(self, tensor: int) -> np.ndarray:
        found = self.graph.tensor(tensor)
        at = self.plan.offsets[tensor]
        return self.bytes[at : at + found.bytes].reshape(found.shape)

    def operand(self, tensor: int) -> np.ndarray | None:
        if tensor == ABSENT:
            return None
        found = self.graph.tensor(tensor)
        return found.data if found.is_const else self.whole(tensor)

    def run(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        for tensor, data in zip(self.graph.inputs, inputs, strict=True):
            self.whole(tensor)[...] = data
        for n, layer in enumerate(self.program.layers):
            op = layer.op
            if isinstance(op, Stream):
                assert isinstance(layer.call, StreamCall)
                self.stream(op, layer.call, layer.places.scratch or 0)
            else:
                results = operator(op.kind).reference(
                    self.graph, op, [self.operand(t) for t in op.inputs]
                )
                self.poison(n, layer.kernel.scratch_bytes)
                for tensor, data in zip(op.outputs, results, strict=True):
                    self.whole(tensor)[...] = data
        return [self.whole(tensor).copy() for tensor in self.graph.outputs]

    def poison(self, layer: int, size: int) -> None:
        if layer in self.plan.scratch_offsets:
            at = self.plan.scratch_offsets[layer]
            self.bytes[at : at + size] = 0x5A

    def stream(self, stream: Stream, call: StreamCall, base: int) -> None:
        run = stream.run
        steps = steps_of(self.graph, run, stream.rows, stream.keep)
        for step, acts in zip(steps, call.steps, strict=True):
            parts = iter(step.parts)
            for act in acts:
                if not isinstance(act, KernelAct):
                    to, start = base + act.target, base + act.source
                    self.bytes[to : to + act.bytes] = self.bytes[start : start + act.bytes].copy()
                    continue
                part = next(parts)
                one, reach = run[part.op], reach_of(self.graph, run[part.op])
                seen = reach.start(part.rows[0]), reach.end(part.rows[1])
                small, small_op = strip(self.graph, one, seen, part.rows, reach.padding(part.rows))
                self.part(small, small_op, act, base)

    def part(self, small: Graph, op: Op, act: KernelAct, base: int) -> None:
        places = dict(zip((*act.call.ins, *act.call.outs), act.places, strict=True))
        operands = [
            None
            if t == ABSENT
            else small.tensor(t).data
            if small.tensor(t).is_const
            else self.at(places[t], small, t, base).copy()
            for t in op.inputs
        ]
        results = operator(op.kind).reference(small, op, operands)
        for tensor, data in zip(op.outputs, results, strict=True):
            self.at(places[tensor], small, tensor, base)[...] = data

    def at(self, place: Place, small: Graph, tensor: int, base: int) -> np.ndarray:
        found = small.tensor(tensor)
        whole = None if place.tensor is None else self.plan.offsets[place.tensor]
        start = (base if whole is None else whole) + place.offset
        return self.bytes[start : start + found.bytes].reshape(found.shape)
