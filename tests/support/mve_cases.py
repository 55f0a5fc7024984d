"""Random layers for the kernels of the vector extension: graphs of one operator.

Most come from the generators of the DSP kernels; here are the shapes that only these kernels treat
apart (many channels, blocks of them, factors that shift left). Not here: running them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.mve.add import match as mve_add
from mcu_hybrid.compiler.select.mve.depthwise import match as mve_depthwise
from mcu_hybrid.compiler.select.mve.matrix import match as mve_matrix
from mcu_hybrid.compiler.select.mve.pool import match as mve_pool
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.ops.padding import SAME, VALID, Window
from mcu_hybrid.quant import QuantParams
from tests.support import dw_cases, matrix_cases
from tests.support.arm_rig import ArmCase

MODULES = (mve_matrix, mve_depthwise, mve_add, mve_pool)


def match(graph: Graph) -> Choice | None:
    """What the modules choose for the only operator."""
    (op,) = graph.ops
    return next((c for m in MODULES if (c := m.match(graph, op)) is not None), None)


def as_cases(graph: Graph, choice: Choice, rng: np.random.Generator, name: str) -> list[ArmCase]:
    """A case with random inputs, and one per operand that may be overwritten."""
    (op,) = graph.ops
    values = {i: dw_cases._input(rng, graph, i) for i in graph.inputs}
    inputs = [values.get(i, graph.tensor(i).data) for i in op.inputs]
    outputs = ops.operator(op.kind).reference(graph, op, inputs)
    label = f"{name} {choice.call.kernel} {graph.tensor(op.inputs[0]).shape} {op.attrs}"
    ins = tuple(values[i] for i in choice.call.ins)
    case = ArmCase(label, choice.call, ins, outputs, choice.scratch_bytes)
    places = sorted({choice.call.ins.index(op.inputs[p]) for p, _ in choice.inplace})
    return [case, *(replace(case, name=f"{label} over {p}", inplace=p) for p in places)]


def wide_conv(rng: np.random.Generator) -> Graph:
    """Sums of several blocks, with every remainder, and more channels than a tile has."""
    kernel = tuple(int(n) for n in rng.integers(1, 4, 2))
    size = tuple(int(n) for n in rng.integers(1, 9, 2))
    stride = tuple(int(n) for n in rng.integers(1, 3, 2))
    window = Window(stride, (int(rng.integers(1, 3)), 1), int(rng.choice([SAME, VALID])))
    if min(window.out_size(size, kernel)) < 1:
        window = replace(window, padding=SAME)
    in_c, out_c = int(rng.integers(14, 70)), int(rng.integers(1, 40))
    weights = rng.integers(-128, 128, (out_c, *kernel, in_c)).astype(np.int8)
    out = (1, *window.out_size(size, kernel), out_c)
    return matrix_cases.conv_graph(rng, (1, *size, in_c), weights, out, window)


def wide_depthwise(rng: np.random.Generator) -> Graph:
    """Enough channels and pixels that they go to their planes in groups, and in blocks."""
    kernel = tuple(int(n) for n in rng.choice([3, 3, 5, 7], 2))
    size = (int(rng.integers(1, 9)), int(rng.choice([3, 5, 9, 40])))
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    window = Window(stride, (1, 1), SAME)
    channels = int(rng.choice([15, 17, 20, 24, 31, 32, 33, 40, 60, 64, 100]))
    return dw_cases.depthwise_graph(rng, (*size, channels), kernel, window)


def loud_layer(rng: np.random.Generator) -> Graph:
    """Factors around one: shifts to the left, none, and to the right in one layer."""
    graph = matrix_cases.random_fc(rng) if rng.random() < 0.5 else matrix_cases.random_conv(rng)
    (op,) = graph.ops
    weights = graph.tensor(op.inputs[1])
    if weights.data.size // len(weights.data) > 64:
        return loud_layer(rng)
    scales = 2 ** rng.uniform(-3.0, 2.0, len(weights.data))
    quant = QuantParams(tuple(float(np.float32(s)) for s in scales), (0,) * scales.size, 0)
    small = (weights.data // 30).astype(np.int8)
    tensors = list(graph.tensors)
    one = QuantParams((1.0,), tensors[op.inputs[0]].require_quant().zero_points)
    tensors[op.inputs[0]] = replace(tensors[op.inputs[0]], quant=one)
    tensors[op.inputs[1]] = replace(weights, data=small, quant=quant)
    out = tensors[op.outputs[0]]
    tensors[op.outputs[0]] = replace(
        out, quant=QuantParams((1.0,), out.require_quant().zero_points)
    )
    return replace(graph, tensors=tuple(tensors))


GENERATORS: tuple[Callable[[np.random.Generator], Graph], ...] = (
    matrix_cases.random_conv,
    matrix_cases.random_fc,
    wide_conv,
    loud_layer,
    dw_cases.random_depthwise,
    wide_depthwise,
    dw_cases.random_add,
    dw_cases.random_pool,
    dw_cases.random_mean,
)
