"""Random layers of every operator for the cost model: shapes that models have, and odd ones.

Maps of 1 to 4 rows, as schedules by strips of rows make them, are a third of all. The chooser of
kernels is the build's own (``lower_graph``). Not here: running them (arm_rig.py), and what a good
prediction is (benchmarks/cost_model.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mcu_hybrid import mechanisms, ops
from mcu_hybrid.compiler.lowering import lower_graph
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops import (
    concatenation,
    fully_connected,
    mean,
    pad,
    pooling,
    resize_nearest,
    route_features,
    softmax,
    split,
    transpose,
)
from mcu_hybrid.ops.activation import NONE, RELU, RELU6
from mcu_hybrid.ops.padding import SAME, VALID, Window
from mcu_hybrid.quant import QuantParams
from tests.support import dw_cases, matrix_cases, mve_cases
from tests.support.arm_rig import ArmCase

MOST_MACS, MOST_BYTES = 300_000, 20_000
Rng = np.random.Generator


def draw(
    rng: Rng, makers: Sequence[str], kernel_dirs: Sequence[str], core: str = "", turns: int = 4
) -> tuple[ArmCase, Choice] | None:
    """A case of one of the ``makers`` and its choice; None where the operator is only a view."""
    maker = str(rng.choice(list(makers)))
    graph = MAKERS[maker](rng)
    while any(t.bytes > MOST_BYTES for t in graph.tensors) or _macs(graph) > MOST_MACS:
        graph = MAKERS[maker](rng)
    (op,) = graph.ops
    ops.operator(op.kind).check(graph, op)
    (step,) = lower_graph(graph, tuple(kernel_dirs), core)
    choice = step.kernel
    if choice is None:
        return None
    choice = (choice, *choice.others)[int(rng.integers(1 + len(choice.others)))]
    sizes = {i: graph.tensor(i).shape for i in graph.inputs}
    values = {i: rng.integers(-128, 128, size).astype(np.int8) for i, size in sizes.items()}
    inputs = [values.get(i, graph.tensor(i).data) for i in op.inputs]
    outputs = ops.operator(op.kind).reference(graph, op, inputs)
    ins = tuple(values[i] for i in choice.call.ins)
    shapes = [graph.tensor(i).shape for i in (op.inputs[0], op.outputs[0])]
    label = f"{maker} {choice.call.kernel} {shapes[0]} -> {shapes[1]} {op.attrs}"
    return ArmCase(label, choice.call, ins, outputs, choice.scratch_bytes, turns), choice


def _macs(graph: Graph) -> int:
    return int(ops.operator(graph.ops[0].kind).macs(graph, graph.ops[0]))


def _size(rng: Rng, most: int) -> int:
    """Log-uniform."""
    return int(np.exp(rng.uniform(0, np.log(most + 1))))


def _map(rng: Rng, channels: int = 64) -> tuple[int, int, int]:
    height = int(rng.integers(1, 5)) if rng.random() < 0.35 else _size(rng, 40)
    return height, _size(rng, 40), _channels(rng, channels)


def _channels(rng: Rng, most: int) -> int:
    """Mostly multiples of 4 or 8, as models have them."""
    count, step = _size(rng, most), int(rng.choice([1, 4, 8]))
    return -(-count // step) * step


def _window(rng: Rng, size: Sequence[int], kernel: tuple[int, int], dilated: bool = True) -> Window:
    stride = (1, 1) if rng.random() < 0.5 else (2, 2)
    if rng.random() < 0.15:
        stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    dilation = (1, 1)
    if dilated and rng.random() < 0.1:
        dilation = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    window = Window(stride, dilation, int(rng.choice([SAME, SAME, VALID])))
    fits = min(window.out_size((size[0], size[1]), kernel)) >= 1
    return window if fits else Window(stride, dilation, SAME)


def _kernel(rng: Rng) -> tuple[int, int]:
    if rng.random() < 0.5:
        return 3, 3
    return int(rng.integers(1, 8)), int(rng.integers(1, 8))


def conv(rng: Rng) -> Graph:
    """A convolution; a third of them 1x1."""
    size = _map(rng)
    kernel = (1, 1) if rng.random() < 0.35 else _kernel(rng)
    window = _window(rng, size, kernel)
    weights = matrix_cases._weights(rng, (_channels(rng, 64), *kernel, size[2]))
    out = (1, *window.out_size(size[:2], kernel), len(weights))
    return matrix_cases.conv_graph(rng, (1, *size), weights, out, window)


def first_conv(rng: Rng) -> Graph:
    """A convolution of an image: one to three channels."""
    channels, kernel = int(rng.choice([1, 2, 3, 3, 3])), int(rng.choice([3, 3, 4, 5, 7]))
    height = int(rng.integers(1, 5)) if rng.random() < 0.35 else int(rng.integers(5, 60))
    size, step = (height, int(rng.integers(8, 80))), int(rng.choice([1, 2, 2]))
    window = Window((step, step), (1, 1), SAME)
    weights = matrix_cases._weights(rng, (_channels(rng, 16), kernel, kernel, channels))
    out = (1, *window.out_size(size, (kernel, kernel)), len(weights))
    return matrix_cases.conv_graph(rng, (1, *size, channels), weights, out, window)


def grouped_conv(rng: Rng) -> Graph:
    """A convolution of groups, which only the reference kernel computes."""
    height, width, depth = _map(rng, 16)
    groups, kernel = int(rng.integers(2, 4)), _kernel(rng)
    window = _window(rng, (height, width), kernel)
    weights = matrix_cases._weights(rng, (groups * _size(rng, 8), *kernel, depth))
    out = (1, *window.out_size((height, width), kernel), len(weights))
    return matrix_cases.conv_graph(rng, (1, height, width, groups * depth), weights, out, window)


def depthwise(rng: Rng) -> Graph:
    """Most of them 3x3."""
    size, kernel = _map(rng), _kernel(rng)
    multiplier = 1 if rng.random() < 0.85 else int(rng.integers(2, 5))
    window = _window(rng, size, kernel)
    return dw_cases.depthwise_graph(rng, size, kernel, window, multiplier)


def small_depthwise(rng: Rng) -> Graph:
    """Many channels of few pixels, as late layers have them."""
    kernel, step = int(rng.choice([3, 5, 7])), int(rng.choice([1, 1, 2]))
    size = (int(rng.integers(1, 12)), int(rng.choice([3, 5, 6, 10])), 4 * int(rng.integers(8, 40)))
    return dw_cases.depthwise_graph(rng, size, (kernel, kernel), Window((step, step), (1, 1), SAME))


def fc(rng: Rng) -> Graph:
    """One input vector or some."""
    rows = 1 if rng.random() < 0.6 else _size(rng, 12)
    weights = matrix_cases._weights(rng, (_channels(rng, 64), _channels(rng, 600)))
    source, target = matrix_cases._quants(rng, weights)
    tensors = [
        Tensor("x", (rows, weights.shape[1]), "int8", source),
        Tensor("w", weights.shape, "int8", matrix_cases._weight_quant(rng, len(weights)), weights),
    ]
    shape = (rows, len(weights))
    attrs = fully_connected.Attrs
    return matrix_cases._finish(rng, "FULLY_CONNECTED", tensors, shape, target, attrs)


def add(rng: Rng) -> Graph:
    """ADD or SUB of equal shapes."""
    return _resized(rng, dw_cases.random_add(rng), (1, *_map(rng)))


def broadcast(rng: Rng) -> Graph:
    """MUL, ADD or SUB; an operand without height and width, or without some axes."""
    graph, shape = dw_cases.random_broadcast(rng), (1, *_map(rng))
    small = list(shape)
    kind = rng.random()
    if kind < 0.4:
        small[1:3] = [1, 1]
    elif kind < 0.7:
        small[int(rng.integers(1, 4))] = 1
    return _resized(rng, graph, shape, tuple(small))


def _resized(
    rng: Rng, graph: Graph, shape: tuple[int, ...], second: tuple[int, ...] | None = None
) -> Graph:
    shapes = (shape, second or shape, shape)
    tensors = tuple(
        Tensor(t.name, size, "int8", t.quant) for t, size in zip(graph.tensors, shapes, strict=True)
    )
    return Graph(graph.name, tensors, graph.ops, graph.inputs, graph.outputs)


def _quant(rng: Rng) -> QuantParams:
    return QuantParams(
        (float(np.float32(10 ** rng.uniform(-2, -1))),), (int(rng.integers(-128, 128)),)
    )


def pool(rng: Rng) -> Graph:
    """Pools; often over the whole map."""
    size, quant = _map(rng), _quant(rng)
    kernel = (min(size[0], 16), min(size[1], 16))
    window = Window((1, 1), (1, 1), VALID)
    if rng.random() < 0.7:
        kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
        window = _window(rng, size, kernel, dilated=False)
    attrs = pooling.PoolAttrs(window, kernel, int(rng.choice([NONE, RELU, RELU6])))
    out = (1, *window.out_size(size[:2], kernel), size[2])
    tensors = (Tensor("x", (1, *size), "int8", quant), Tensor("y", out, "int8", quant))
    kind = str(rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
    return dw_cases._graph(kind, tensors, attrs, (0,))


def mean_of(rng: Rng) -> Graph:
    """MEAN, mostly over height and width."""
    shape, source = (1, *_map(rng)), _quant(rng)
    axes: tuple[int, ...] = (1, 2)
    if rng.random() < 0.5:
        axes = tuple(sorted(int(n) for n in rng.choice(4, rng.integers(1, 4), replace=False)))
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    target = source if rng.random() < 0.5 else _quant(rng)
    tensors = (Tensor("x", shape, "int8", source), Tensor("y", kept, "int8", target))
    return dw_cases._graph("MEAN", tensors, mean.Attrs(axes, True), (0,))


def softmax_of(rng: Rng) -> Graph:
    """One row or some."""
    shape = (1 if rng.random() < 0.5 else _size(rng, 40), _size(rng, 300))
    tensors = (
        Tensor("x", shape, "int8", _quant(rng)),
        Tensor("y", shape, "int8", QuantParams((1 / 256,), (-128,))),
    )
    return dw_cases._graph("SOFTMAX", tensors, softmax.Attrs(1.0), (0,))


def table_of(rng: Rng) -> Graph:
    """A function of one byte."""
    shape = (1, *_map(rng))
    tensors = (Tensor("x", shape, "int8", _quant(rng)), Tensor("y", shape, "int8", _quant(rng)))
    return dw_cases._graph("RELU", tensors, ops.operator("RELU").attrs(), (0,))


def concatenated(rng: Rng) -> Graph:
    """Two to four maps along channels or rows."""
    shape, quant = [1, *_map(rng)], _quant(rng)
    axis, parts = int(rng.choice([1, 3, 3])), int(rng.integers(2, 5))
    sizes = [_size(rng, 32) for _ in range(parts)]
    shapes = [tuple(n if i == axis else m for i, m in enumerate(shape)) for n in sizes]
    total = tuple(sum(sizes) if i == axis else m for i, m in enumerate(shape))
    tensors = tuple(Tensor(f"x{n}", s, "int8", quant) for n, s in enumerate([*shapes, total]))
    attrs = concatenation.Attrs(axis)
    return dw_cases._graph("CONCATENATION", tensors, attrs, tuple(range(parts)))


def split_up(rng: Rng) -> Graph:
    """SPLIT into two to four."""
    height, width, depth = _map(rng, 16)
    quant, axis, parts = _quant(rng), int(rng.choice([1, 3, 3])), int(rng.integers(2, 5))
    part = (1, height, width, depth)
    whole = tuple(n * parts if i == axis else n for i, n in enumerate(part))
    operand = Tensor("axis", (1,), "int32", None, np.array([axis], np.int32))
    outs = tuple(Tensor(f"y{n}", part, "int8", quant) for n in range(parts))
    tensors = (operand, Tensor("x", whole, "int8", quant), *outs)
    numbers = tuple(range(2, 2 + parts))
    op = Op("SPLIT", "split", (0, 1), numbers, split.Attrs(axis))
    return Graph("one", tensors, (op,), (1,), numbers)


def resized(rng: Rng) -> Graph:
    """Usually twice as large."""
    size, quant = _map(rng), _quant(rng)
    out = (2 * size[0], 2 * size[1])
    operand = Tensor("size", (2,), "int32", None, np.array(out, np.int32))
    x, y = Tensor("x", (1, *size), "int8", quant), Tensor("y", (1, *out, size[2]), "int8", quant)
    attrs = resize_nearest.Attrs(*out, align_corners=False, half_pixel_centers=False)
    return dw_cases._graph("RESIZE_NEAREST_NEIGHBOR", (x, operand, y), attrs, (0,))


def padded(rng: Rng) -> Graph:
    """A border of height and width."""
    shape, quant = (1, *_map(rng)), _quant(rng)
    low, high = ((0, int(rng.integers(0, 4)), int(rng.integers(0, 4)), 0) for _ in range(2))
    out = tuple(a + n + b for a, n, b in zip(low, shape, high, strict=True))
    operand = Tensor("operand", (4,), "int32", None, np.zeros(4, np.int32))
    x, y = Tensor("x", shape, "int8", quant), Tensor("y", out, "int8", quant)
    return dw_cases._graph("PAD", (x, operand, y), pad.Attrs(low, high, None), (0,))


def transposed(rng: Rng) -> Graph:
    """Any order of the axes."""
    shape, quant = (1, *_map(rng)), _quant(rng)
    perm = tuple(int(n) for n in rng.permutation(4))
    operand = Tensor("operand", (4,), "int32", None, np.zeros(4, np.int32))
    x = Tensor("x", shape, "int8", quant)
    y = Tensor("y", tuple(shape[i] for i in perm), "int8", quant)
    return dw_cases._graph("TRANSPOSE", (x, operand, y), transpose.Attrs(perm), (0,))


def moved(rng: Rng) -> Graph:
    """PAD, TRANSPOSE or STRIDED_SLICE with unusual steps."""
    return dw_cases.random_move(rng)


def route(rng: Rng) -> Graph:
    """What a router reads of the logits."""
    classes = int(rng.choice([2, 10, 12, 100, _size(rng, 300) + 1]))
    top, scale = route_features.top_of(classes), 0.1
    attrs = route_features.make_attrs(classes, scale, [0.5] * (top + 1), [0.3] * (top + 1), 0.03, 3)
    tensors = (
        Tensor("x", (1, classes), "int8", QuantParams((scale,), (0,))),
        Tensor("y", (1, top + 1), "int8", QuantParams((0.03,), (3,))),
        Tensor("scores", (1, len(mechanisms.of_logits())), "int32", None),
    )
    op = Op("ROUTE_FEATURES", "route", (0,), (1, 2), attrs)
    return Graph("one", tensors, (op,), (0,), (1, 2))


MAKERS: dict[str, Callable[[Rng], Graph]] = {
    "conv": conv,
    "first_conv": first_conv,
    "grouped_conv": grouped_conv,
    "odd_conv": matrix_cases.random_conv,
    "odd_fc": matrix_cases.random_fc,
    "loud": mve_cases.loud_layer,
    "depthwise": depthwise,
    "small_depthwise": small_depthwise,
    "odd_depthwise": dw_cases.random_depthwise,
    "fc": fc,
    "add": add,
    "broadcast": broadcast,
    "pool": pool,
    "mean": mean_of,
    "softmax": softmax_of,
    "table": table_of,
    "concatenation": concatenated,
    "split": split_up,
    "resize": resized,
    "pad": padded,
    "transpose": transposed,
    "move": moved,
    "route": route,
}
