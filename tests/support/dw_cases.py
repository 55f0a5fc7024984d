"""Random depthwise layers, ADDs, pools and moves for the fast kernels: graphs of one operator.

Scales, zero points and activations are drawn so that every form of requantisation and every path of
the kernels occur, and inputs so that accumulators reach both ends. Not here: running them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.dsp.depthwise import match as dsp_depthwise
from mcu_hybrid.compiler.select.dsp.elementwise import match as dsp_elementwise
from mcu_hybrid.compiler.select.dsp.move import match as dsp_move
from mcu_hybrid.compiler.select.dsp.pool import match as dsp_pool
from mcu_hybrid.graph.types import ABSENT, Graph, Op, Tensor
from mcu_hybrid.ops import broadcast, depthwise_conv2d, mean, pad, pooling, strided_slice, transpose
from mcu_hybrid.ops.activation import NONE, RELU, RELU6, RELU_N1_TO_1
from mcu_hybrid.ops.padding import SAME, VALID, Window
from mcu_hybrid.quant import QuantParams
from tests.support.arm_rig import ArmCase

MATCHERS = (dsp_depthwise, dsp_elementwise, dsp_pool, dsp_move)
CHANNELS = (1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 12, 16, 18)
_ACTIVATIONS = (NONE, RELU, RELU, RELU, RELU6, RELU_N1_TO_1)


def as_cases(
    graph: Graph, rng: np.random.Generator, name: str
) -> tuple[list[ArmCase], Choice] | None:
    """A case, and one per operand that may be overwritten; None where no fast kernel matches."""
    (op,) = graph.ops
    choice = next((c for m in MATCHERS if (c := m.match(graph, op)) is not None), None)
    if choice is None:
        return None
    if choice.others and rng.random() < 0.5:  # a way that shares code with other layers
        choice = choice.others[int(rng.integers(len(choice.others)))]
    values = {i: _input(rng, graph, i) for i in graph.inputs}
    inputs = [None if i == ABSENT else values.get(i, graph.tensor(i).data) for i in op.inputs]
    outputs = ops.operator(op.kind).reference(graph, op, inputs)
    ins = tuple(values[i] for i in choice.call.ins)
    label = f"{name} {choice.call.kernel} {graph.tensor(op.inputs[0]).shape} {op.attrs}"
    case = ArmCase(label, choice.call, ins, outputs, choice.scratch_bytes)
    places = {choice.call.ins.index(op.inputs[p]) for p, _ in choice.inplace}
    over = (replace(case, name=f"{label} over {p}", inplace=p) for p in sorted(places))
    return [case, *over], choice


def _input(rng: np.random.Generator, graph: Graph, index: int) -> np.ndarray:
    """Random bytes; sometimes those that drive sums to an end of their range."""
    shape = graph.tensor(index).shape
    x = rng.integers(-128, 128, shape)
    (op,) = graph.ops
    extreme = rng.random()
    if extreme < 0.15:
        x[...] = rng.choice([-128, 127])
    elif extreme < 0.4 and op.kind == "DEPTHWISE_CONV_2D" and min(shape[1:3]) > 1:
        weights = graph.tensor(op.inputs[1]).data
        assert weights is not None
        multiplier, ends = op.attrs.multiplier, ((-128, 127) if extreme < 0.28 else (127, -128))
        pattern = np.where(weights[0, :, :, ::multiplier] > 0, ends[1], ends[0])
        height, width = (min(a, b) for a, b in zip(shape[1:3], pattern.shape[:2], strict=True))
        x[0, :height, :width] = pattern[:height, :width]
    return x.astype(np.int8)


def random_depthwise(rng: np.random.Generator) -> Graph:
    """Any kernel up to 9x9, most of them 3x3; strides, paddings, multipliers, zero points."""
    kernel = (3, 3) if rng.random() < 0.45 else tuple(int(n) for n in rng.integers(1, 10, 2))
    stride = (1, 1) if rng.random() < 0.45 else (2, 2)
    if rng.random() < 0.25:
        stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    dilation = (1, 1) if rng.random() < 0.9 else tuple(int(n) for n in rng.integers(1, 4, 2))
    limit = 12 if rng.random() < 0.8 else 70
    size = tuple(int(n) for n in (rng.integers(1, 15), rng.integers(1, limit)))
    window = Window(stride, dilation, int(rng.choice([SAME, SAME, VALID])))
    if min(window.out_size(size, kernel)) < 1:
        window = Window(stride, dilation, SAME)
    channels = int(rng.choice(CHANNELS))
    multiplier = 1 if rng.random() < 0.75 else int(rng.integers(2, 5))
    return depthwise_graph(rng, (*size, channels), kernel, window, multiplier)


def depthwise_graph(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    kernel: tuple[int, int],
    window: Window,
    multiplier: int = 1,
) -> Graph:
    """A depthwise layer with random weights and quantisation."""
    out_c = shape[2] * multiplier
    weights = rng.integers(-128 if rng.random() < 0.3 else -127, 128, (1, *kernel, out_c))
    if rng.random() < 0.3:
        weights[..., rng.integers(0, out_c)] = rng.choice([0, 1])
    source = _quant(rng, 10 ** rng.uniform(-2.5, -0.5))
    wide = 2.5 if rng.random() < 0.2 else 0.5  # powers of ten between channels
    scales = np.float32(10 ** rng.uniform(-2 - wide, -2, out_c))
    spread = source.scale * float(scales.max()) * 74 * 74 * (kernel[0] * kernel[1]) ** 0.5
    target = _quant(rng, spread / 60 * 10 ** rng.choice([0, 0, 0, 0, 0, -0.7, 0.7, -2, 2]))
    bias = rng.integers(-3000, 3001, out_c).astype(np.int32)
    tensors = (
        Tensor("x", (1, *shape), "int8", source),
        Tensor(
            "w",
            weights.shape,
            "int8",
            QuantParams(tuple(float(s) for s in scales), (0,) * out_c, 3),
            weights.astype(np.int8),
        ),
        Tensor("b", bias.shape, "int32", None, bias),
        Tensor("y", (1, *window.out_size(shape[:2], kernel), out_c), "int8", target),
    )
    attrs = depthwise_conv2d.Attrs(window, multiplier, int(rng.choice(_ACTIVATIONS)))
    return _graph("DEPTHWISE_CONV_2D", tensors, attrs, (0,))


def random_add(rng: np.random.Generator) -> Graph:
    """ADD or SUB of two tensors of one shape."""
    return _binary(rng, ("ADD", "SUB"), broadcasting=0.0)


def random_broadcast(rng: np.random.Generator) -> Graph:
    """MUL, ADD or SUB, often with an operand that is broadcast."""
    return _binary(rng, ("MUL", "MUL", "ADD", "SUB"), broadcasting=0.6)


def _binary(rng: np.random.Generator, kinds: tuple[str, ...], broadcasting: float) -> Graph:
    shape = (1, *(int(n) for n in rng.integers(1, 9, 3)))
    kind = str(rng.choice(kinds))
    scales = 10 ** rng.uniform(-2.5, -1.5, 3)
    if rng.random() < 0.4:
        scales[1] = scales[0]  # sums that fall between two outputs
    if rng.random() < 0.2:
        scales[2] = scales[0] * rng.choice([1, 2])
    if kind == "MUL":
        scales[2] = scales[0] * scales[1] * 128 * 10 ** rng.uniform(-0.5, 0.5)
    quants = [_quant(rng, float(s)) for s in scales]
    shapes = [shape, shape, shape]
    if rng.random() < broadcasting:
        shapes[int(rng.integers(0, 2))] = tuple(
            1 if rng.random() < 0.4 and i < 3 else n for i, n in enumerate(shape)
        )
    tensors = tuple(
        Tensor(name, size, "int8", q) for name, size, q in zip("aby", shapes, quants, strict=True)
    )
    attrs = broadcast.ArithmeticAttrs(int(rng.choice(_ACTIVATIONS)))
    return _graph(kind, tensors, attrs, (0, 1))


def random_pool(rng: np.random.Generator) -> Graph:
    """Average and max pools."""
    kernel, stride = (tuple(int(n) for n in rng.integers(1, high, 2)) for high in (6, 4))
    size = tuple(int(n) for n in rng.integers(1, 12, 2))
    if rng.random() < 0.1:
        size = kernel = (16, 16)  # as many pixels as 16 bits can sum
    window = Window(stride, (1, 1), int(rng.choice([SAME, VALID])))
    if min(window.out_size(size, kernel)) < 1:
        window = Window(stride, (1, 1), SAME)
    channels = int(rng.integers(4, 21))
    quant = _quant(rng, 0.05)
    tensors = (
        Tensor("x", (1, *size, channels), "int8", quant),
        Tensor("y", (1, *window.out_size(size, kernel), channels), "int8", quant),
    )
    attrs = pooling.PoolAttrs(window, kernel, int(rng.choice(_ACTIVATIONS)))
    return _graph(str(rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"])), tensors, attrs, (0,))


def random_mean(rng: np.random.Generator) -> Graph:
    """MEAN over neighbouring axes, with one scale or two."""
    shape = (1, *(int(n) for n in rng.integers(1, 13, 3)))
    first = int(rng.integers(1, 4))
    axes = tuple(range(first, int(rng.integers(first, 4)) + 1))
    source = _quant(rng, 0.05)
    target = source if rng.random() < 0.5 else _quant(rng, 0.05 * 10 ** rng.uniform(-0.5, 0.5))
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    tensors = (Tensor("x", shape, "int8", source), Tensor("y", kept, "int8", target))
    return _graph("MEAN", tensors, mean.Attrs(axes, True), (0,))


def random_move(rng: np.random.Generator) -> Graph:
    """PAD, TRANSPOSE and STRIDED_SLICE."""
    kind = str(rng.choice(["PAD", "TRANSPOSE", "STRIDED_SLICE"]))
    shape = (1, *(int(n) for n in rng.integers(1, 10, 3)))
    quant = _quant(rng, 0.05)
    if kind == "PAD":
        low, high = (tuple(int(n) for n in rng.integers(0, 4, 4)) for _ in range(2))
        if rng.random() < 0.6:
            low, high = (0, *low[1:3], 0), (0, *high[1:3], 0)
        attrs = pad.Attrs(low, high, None)
        out = tuple(a + n + b for a, n, b in zip(low, shape, high, strict=True))
    elif kind == "TRANSPOSE":
        perm = tuple(int(n) for n in rng.permutation(4))
        attrs, out = transpose.Attrs(perm), tuple(shape[i] for i in perm)
    else:
        begin = tuple(int(rng.integers(0, n)) for n in shape)
        strides = tuple(int(n) for n in rng.integers(1, 4, 4))
        attrs = strided_slice.Attrs(begin, shape, strides)
        out = tuple(len(range(b, n, s)) for b, n, s in zip(begin, shape, strides, strict=True))
    operand = Tensor("operand", (4,), "int32", None, np.zeros(4, np.int32))  # attrs hold it already
    operands = (operand,) * {"PAD": 1, "TRANSPOSE": 1, "STRIDED_SLICE": 3}[kind]
    ends = Tensor("x", shape, "int8", quant), Tensor("y", out, "int8", quant)
    return _graph(kind, (ends[0], *operands, ends[1]), attrs, (0,))


def _quant(rng: np.random.Generator, scale: float) -> QuantParams:
    zero_point = int(rng.choice([-128, -128, 127, 0, int(rng.integers(-128, 128))]))
    return QuantParams((float(np.float32(scale)),), (zero_point,))


def _graph(kind: str, tensors: tuple[Tensor, ...], attrs: object, inputs: tuple[int, ...]) -> Graph:
    last = len(tensors) - 1
    op = Op(kind, kind.lower(), tuple(range(last)), (last,), attrs)
    return Graph("one", tensors, (op,), inputs, (last,))


def alone(graph: Graph, op: Op) -> Graph:
    """A graph of one operator of a larger graph; its constants stay constants."""
    tensors = [graph.tensor(i) for i in (*(i for i in op.inputs if i != ABSENT), *op.outputs)]
    places = iter(range(len(tensors)))
    ins = tuple(ABSENT if i == ABSENT else next(places) for i in op.inputs)
    outs = tuple(next(places) for _ in op.outputs)
    variable = tuple(i for i in ins if i != ABSENT and not tensors[i].is_const)
    moved = Op(op.kind, op.name, ins, outs, op.attrs)
    return Graph("one", tuple(tensors), (moved,), tuple(dict.fromkeys(variable)), outs)
