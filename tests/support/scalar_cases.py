"""Random layers of every kind that the scalar kernels take, as cases for both rigs.

Matrix layers are those of matrix_cases.py. Not here: running them.
"""

from __future__ import annotations

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.exact.breakpoints import thresholds
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.scalar import requant
from mcu_hybrid.compiler.select.scalar.add import match as scalar_add
from mcu_hybrid.compiler.select.scalar.average_pool import match as scalar_average_pool
from mcu_hybrid.compiler.select.scalar.depthwise import match as scalar_depthwise
from mcu_hybrid.compiler.select.scalar.matrix import match as scalar_matrix
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops import broadcast, depthwise_conv2d, fully_connected, pooling
from mcu_hybrid.ops.activation import NONE, RELU, RELU6
from mcu_hybrid.ops.padding import SAME, VALID, Window
from mcu_hybrid.quant import QuantParams
from tests.support import matrix_cases
from tests.support.arm_rig import ArmCase

FOLDERS = ("cortex_m_scalar", "ref")
MATCHERS = (
    scalar_matrix.match,
    scalar_depthwise.match,
    scalar_add.match,
    scalar_average_pool.match,
)


def random_graph(rng: np.random.Generator) -> Graph:
    """A graph of one operator."""
    makers = (
        *(matrix_cases.random_conv, matrix_cases.random_conv, matrix_cases.random_fc),
        *(_depthwise, _depthwise, random_sum, _average_pool),
    )
    return makers[int(rng.integers(len(makers)))](rng)


def choice_of(graph: Graph) -> Choice | None:
    """What the scalar modules make of the operator."""
    found = (match(graph, graph.ops[0]) for match in MATCHERS)
    return next((choice for choice in found if choice is not None), None)


def as_case(
    graph: Graph, choice: Choice, rng: np.random.Generator, name: str, turns: int = 1
) -> ArmCase:
    """Inputs and the reference's outputs."""
    op = graph.ops[0]
    inputs = [
        matrix_cases._input(rng, graph) if n == 0 else _operand(rng, graph.tensor(i))
        for n, i in enumerate(op.inputs)
    ]
    outputs = ops.operator(op.kind).reference(graph, op, inputs)
    fed = tuple(inputs[: len(choice.call.ins)])
    label = f"{name} {choice.call.kernel} {dict(choice.forms)}"
    return ArmCase(label, choice.call, fed, outputs, choice.scratch_bytes, turns)


def _operand(rng: np.random.Generator, tensor: Tensor) -> np.ndarray:
    if tensor.data is not None:
        return tensor.data
    return rng.integers(-128, 128, tensor.shape).astype(np.int8)


def _depthwise(rng: np.random.Generator) -> Graph:
    kernel = tuple(int(n) for n in rng.choice([1, 2, 3, 3, 3, 4, 5, 7, 8], 2))
    stride = tuple(int(n) for n in rng.choice([1, 1, 2, 2, 3], 2))
    dilation = (1, 1) if rng.random() < 0.8 else tuple(int(n) for n in rng.integers(1, 4, 2))
    size = tuple(int(n) for n in rng.integers(1, 20, 2))
    if rng.random() < 0.1:
        size = (int(rng.integers(40, 70)), int(rng.integers(40, 70)))  # several bands
    window = Window(stride, dilation, int(rng.choice([SAME, VALID])))
    if min(window.out_size(size, kernel)) < 1:
        window = Window(stride, dilation, SAME)
    in_c, multiplier = int(rng.integers(1, 9)), int(rng.choice([1, 1, 1, 2, 3]))
    out_c = in_c * multiplier
    weights = matrix_cases._weights(rng, (1, *kernel, out_c))
    source, target = matrix_cases._quants(rng, weights)
    # Sums mostly use the output's range, sometimes they are far off.
    typical = target.scale * 60 / (source.scale * 74 * 74 * (kernel[0] * kernel[1]) ** 0.5)
    wide = rng.choice([0.3, 0.3, 1.5])
    scales = np.float32(typical * 10 ** rng.uniform(-wide, wide, out_c))
    bias = rng.integers(-3000, 3001, out_c).astype(np.int32)
    activation = int(rng.choice([NONE, RELU, RELU6]))
    tensors = (
        Tensor("x", (1, *size, in_c), "int8", source),
        Tensor(
            *("w", weights.shape, "int8"),
            QuantParams(tuple(float(s) for s in scales), (0,) * out_c, 3),
            weights,
        ),
        Tensor("b", bias.shape, "int32", None, bias),
        Tensor("y", (1, *window.out_size(size, kernel), out_c), "int8", target),
    )
    attrs = depthwise_conv2d.Attrs(window, multiplier, activation)
    op = Op("DEPTHWISE_CONV_2D", "layer", (0, 1, 2), (3,), attrs)
    graph = Graph("one", tensors, (op,), (0,), (3,))
    depthwise_conv2d.check(graph, op)
    return graph


def random_sum(rng: np.random.Generator) -> Graph:
    """ADD or SUB of two tensors of one shape."""
    shape = tuple(int(n) for n in rng.integers(1, 9, 3))
    scales = 10 ** rng.uniform(-2.0, -1.0, 3)
    quants = [QuantParams((float(np.float32(s)),), (int(rng.integers(-128, 128)),)) for s in scales]
    tensors = tuple(
        Tensor(name, (1, *shape), "int8", q) for name, q in zip("aby", quants, strict=True)
    )
    attrs = broadcast.ArithmeticAttrs(int(rng.choice([NONE, RELU, RELU6])))
    return Graph(
        "one",
        tensors,
        (Op(str(rng.choice(["ADD", "SUB"])), "layer", (0, 1), (2,), attrs),),
        (0, 1),
        (2,),
    )


def _average_pool(rng: np.random.Generator) -> Graph:
    size = tuple(int(n) for n in rng.integers(1, 14, 2))
    kernel = tuple(int(min(n, s)) for n, s in zip(rng.integers(1, 6, 2), size, strict=True))
    if rng.random() < 0.3:
        kernel = size
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    window = Window(stride, (1, 1), int(rng.choice([SAME, VALID])))
    channels = int(rng.integers(1, 20))
    quant = QuantParams((0.05,), (int(rng.integers(-128, 128)),))
    attrs = pooling.PoolAttrs(window, kernel, int(rng.choice([NONE, RELU, RELU6])))
    tensors = (
        Tensor("x", (1, *size, channels), "int8", quant),
        Tensor("y", (1, *window.out_size(size, kernel), channels), "int8", quant),
    )
    op = Op("AVERAGE_POOL_2D", "layer", (0,), (1,), attrs)
    return Graph("one", tensors, (op,), (0,), (1,))


_DIGITS = (127, 11, 1, 0)  # weights with which any small sum can be written


def steps_graph(rng: np.random.Generator, activation: int, zero_point: int) -> Graph:
    """A fully connected layer whose channels differ in scale and bias only; few sums per step."""
    out_c = 6
    source, target = QuantParams((0.03,), (7,)), QuantParams((0.1,), (zero_point,))
    factors = 10 ** rng.uniform(-2.3, -0.4, out_c)
    scales = np.float32(factors * target.scale / source.scale)
    weights = np.tile(np.array(_DIGITS, np.int8), (out_c, 1))
    bias = rng.integers(-500, 501, out_c).astype(np.int32)
    rows = 3 * 255 * out_c + 1
    tensors = (
        Tensor("x", (rows, len(_DIGITS)), "int8", source),
        Tensor(
            *("w", weights.shape, "int8"),
            QuantParams(tuple(float(s) for s in scales), (0,) * out_c, 0),
            weights,
        ),
        Tensor("b", bias.shape, "int32", None, bias),
        Tensor("y", (rows, out_c), "int8", target),
    )
    op = Op("FULLY_CONNECTED", "steps", (0, 1, 2), (3,), fully_connected.Attrs(activation))
    return Graph("steps", tensors, (op,), (0,), (3,))


def steps_case(graph: Graph, choice: Choice, name: str) -> ArmCase:
    """Inputs whose sums lie at, before and behind every step of every channel."""
    op = graph.ops[0]
    weights = graph.tensor(op.inputs[1]).data
    asked = requant.channels_of(graph, op, weights, centred=False)
    first = np.clip(thresholds(asked), asked.acc_min[:, None], asked.acc_max[:, None])
    sums = (first - asked.offset[:, None]).reshape(-1)
    sums = np.concatenate([sums - 1, sums, sums + 1])
    shape = graph.tensor(op.inputs[0]).shape
    x = np.zeros(shape, np.int8)
    for column, digit in enumerate(_DIGITS[:3]):
        part = np.clip(np.round(sums / digit), -128, 127).astype(np.int64)
        x[: len(sums), column] = part
        sums = sums - part * digit
    outputs = ops.operator(op.kind).reference(
        graph, op, [x, weights, graph.tensor(op.inputs[2]).data]
    )
    return ArmCase(f"{name} {dict(choice.forms)}", choice.call, (x,), outputs, 0)
