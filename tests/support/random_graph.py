"""Random int8 graphs of cheap operators, and a planned arena in numpy to run them in."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.compiler.arena.plan import MemoryPlan
from mcu_hybrid.compiler.lowering import lower_graph
from mcu_hybrid.graph.types import ABSENT, Graph, Op, Tensor
from mcu_hybrid.ops import operator
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.quant import QuantParams
from mcu_hybrid.reference.verify import verify

QUANT = QuantParams((0.05000000074505806,), (-3,))
KINDS = ("RELU", "LOGISTIC", "ADD", "RESHAPE", "CONCATENATION", "SPLIT")


class Builder:
    """Grows a graph operator by operator; tensors are rows ``[1, n]`` of one quantisation."""

    def __init__(self, inputs: int, size: int) -> None:
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.inputs = [self.add_tensor((1, size)) for _ in range(inputs)]

    def add_tensor(
        self, shape: tuple[int, ...], data: np.ndarray | None = None, quant: bool = True
    ) -> int:
        params = QUANT if quant else None
        dtype = "int8" if quant else "int32"
        self.tensors.append(Tensor(f"t{len(self.tensors)}", shape, dtype, params, data))
        return len(self.tensors) - 1

    def op(
        self, kind: str, ins: list[int], outs: list[tuple[int, ...]], **options: int
    ) -> list[int]:
        outputs = [self.add_tensor(shape) for shape in outs]
        if kind == "LOGISTIC":  # its output scale is fixed
            fixed = QuantParams((1 / 256,), (-128,))
            self.tensors[-1] = Tensor(self.tensors[-1].name, outs[0], "int8", fixed)
        raw = RawOp(
            kind, f"layer{len(self.ops)}", tuple(ins), tuple(outputs), options, tuple(self.tensors)
        )
        attrs = operator(kind).read(raw)
        self.ops.append(Op(kind, raw.name, raw.inputs, raw.outputs, attrs))
        return outputs

    def graph(self, outputs: list[int], name: str = "random") -> Graph:
        graph = Graph(
            name, tuple(self.tensors), tuple(self.ops), tuple(self.inputs), tuple(outputs)
        )
        verify(graph)
        return graph


def random_graph(seed: int, count: int = 14) -> Graph:
    """A DAG with views, in-place candidates, long skips, unused results and several outputs."""
    rng = np.random.default_rng(seed)
    b = Builder(inputs=int(rng.integers(1, 3)), size=int(rng.integers(1, 40)) * 2)
    live = list(b.inputs)
    for _ in range(count):
        kind = str(rng.choice(KINDS))
        x = int(rng.choice(live[-4:] if rng.random() < 0.7 else live))
        same = [t for t in live if b.tensors[t].quant == QUANT]
        if b.tensors[x].quant != QUANT and kind not in ("ADD", "LOGISTIC", "RESHAPE"):
            x = int(rng.choice(same))
        shape, n = b.tensors[x].shape, b.tensors[x].elements
        if kind == "ADD":
            y = int(rng.choice([t for t in live if b.tensors[t].shape == shape]))
            live += b.op(kind, [x, y], [shape], fused_activation_function=0)
        elif kind == "RESHAPE" and b.tensors[x].quant == QUANT:
            live += b.op(kind, [x], [(1, n) if len(shape) > 2 else (1, 1, 1, n)])
        elif kind == "CONCATENATION" and n < 200:
            y = int(rng.choice([t for t in same if len(b.tensors[t].shape) == len(shape)]))
            both = (*shape[:-1], shape[-1] + b.tensors[y].shape[-1])
            live += b.op(kind, [x, y], [both], axis=-1, fused_activation_function=0)
        elif kind == "SPLIT" and shape[-1] % 2 == 0:
            axis = b.add_tensor((), np.array(len(shape) - 1, np.int32), quant=False)
            live += b.op(kind, [axis, x], [(*shape[:-1], shape[-1] // 2)] * 2, num_splits=2)
        elif kind == "RELU":
            live += b.op(kind, [x], [shape])
        else:
            live += b.op("LOGISTIC", [x], [shape])
    made = [t for t in live if t not in b.inputs]
    outputs = {int(t) for t in rng.choice(made, 2)} | {live[-1]}
    return b.graph(sorted(outputs))


def run_in_arena(graph: Graph, plan: MemoryPlan, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Run with every activation in one poisoned byte array, at the plan's places."""
    arena = np.random.default_rng(1).integers(0, 256, plan.arena_bytes).astype(np.uint8)

    def view(tensor: int) -> np.ndarray:
        t = graph.tensor(tensor)
        at = plan.offsets[tensor]
        return arena[at : at + t.bytes].view(t.dtype).reshape(t.shape)

    for tensor, data in zip(graph.inputs, inputs, strict=True):
        view(tensor)[...] = data
    running = (step.op for step in lower_graph(graph) if step.kernel is not None)
    for n, op in enumerate(running):
        operands = [
            None if t == ABSENT else graph.tensor(t).data if graph.tensor(t).is_const else view(t)
            for t in op.inputs
        ]
        results = operator(op.kind).reference(graph, op, operands)
        if n in plan.scratch_offsets:
            at = plan.scratch_offsets[n]
            arena[at : at + operator(op.kind).scratch_bytes(graph, op)] = 0xA5
        for tensor, data in zip(op.outputs, results, strict=True):
            view(tensor)[...] = data
    return [view(tensor).copy() for tensor in graph.outputs]


def random_inputs(graph: Graph, seed: int) -> list[np.ndarray]:
    """One int8 array per graph input, over the whole range."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-128, 128, graph.tensor(t).shape).astype(np.int8) for t in graph.inputs]
