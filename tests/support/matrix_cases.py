"""Random convolutions and fully connected layers for the fast kernels: graphs of one operator.

Scales, zero points and activations are drawn so that every form of requantisation, every path of
the kernels and accumulators at both ends of their range occur. Not here: running them.
"""

from __future__ import annotations

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.dsp.matrix import match as dsp_matrix
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops import conv2d
from mcu_hybrid.ops import fully_connected as fc
from mcu_hybrid.ops.activation import NONE, RELU, RELU6, RELU_N1_TO_1
from mcu_hybrid.ops.padding import SAME, VALID, Window
from mcu_hybrid.quant import QuantParams
from tests.support.arm_rig import ArmCase

KINDS = ("CONV_2D", "FULLY_CONNECTED")
# Factor of the output's scale over what uses its range: mostly sensible, sometimes far off.
_SPREADS = (0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 1.0, -2.5, 2.5)


def random_case(rng: np.random.Generator, name: str) -> tuple[ArmCase, Choice] | None:
    """A case and its choice; None where no fast kernel matches."""
    graph = random_fc(rng) if rng.random() < 0.25 else random_conv(rng)
    return as_case(graph, rng, name)


def as_case(
    graph: Graph, rng: np.random.Generator, name: str, turns: int = 1
) -> tuple[ArmCase, Choice] | None:
    """Inputs, the reference's outputs and the fast call of a graph of one operator."""
    op = graph.ops[0]
    choice = dsp_matrix.match(graph, op)
    if choice is None:
        return None
    choice = _one_way(rng, choice)
    inputs = [_input(rng, graph)] + [graph.tensor(i).data for i in op.inputs[1:]]
    outputs = ops.operator(op.kind).reference(graph, op, inputs)
    label = f"{name} {choice.call.kernel}"
    return ArmCase(label, choice.call, (inputs[0],), outputs, choice.scratch_bytes, turns), choice


def _one_way(rng: np.random.Generator, choice: Choice) -> Choice:
    """The choice, or (one in three) another way that it names."""
    if not choice.others or rng.random() < 0.67:
        return choice
    return choice.others[int(rng.integers(len(choice.others)))]


def _input(rng: np.random.Generator, graph: Graph) -> np.ndarray:
    """Random bytes, or those that drive the accumulators of channel 0 to an end of their range."""
    op = graph.ops[0]
    shape = graph.tensor(op.inputs[0]).shape
    x = rng.integers(-128, 128, shape)
    extreme = rng.random()
    if extreme < 0.15:
        x[...] = rng.choice([-128, 127])
    elif extreme < 0.4 and op.kind == "FULLY_CONNECTED":
        row = graph.tensor(op.inputs[1]).data[0]
        x = np.broadcast_to(np.where((row > 0) == (extreme < 0.28), 127, -128), shape)
    return x.astype(np.int8)


def random_conv(rng: np.random.Generator) -> Graph:
    """A convolution of any shape; about a third 1x1."""
    is_small = rng.random() < 0.35
    kernel = (1, 1) if is_small else tuple(int(n) for n in rng.integers(1, 6, 2))
    stride = (1, 1) if rng.random() < 0.5 else tuple(int(n) for n in rng.integers(1, 4, 2))
    dilation = (1, 1) if rng.random() < 0.8 else tuple(int(n) for n in rng.integers(1, 4, 2))
    size = tuple(int(n) for n in rng.integers(1, 11, 2))
    window = Window(stride, dilation, int(rng.choice([SAME, VALID])))
    if min(window.out_size(size, kernel)) < 1:
        window = Window(stride, dilation, SAME)
    in_c = int(rng.choice([1, 2, 3, 4, 4, 5, 8, 8, 12, 16, 20, 32, 37, 68]))
    out_c = int(rng.choice([1, 2, 3, 4, 7, 8, 16, 24]))
    weights = _weights(rng, (out_c, *kernel, in_c))
    out = (1, *window.out_size(size, kernel), out_c)
    return conv_graph(rng, (1, *size, in_c), weights, out, window)


def random_fc(rng: np.random.Generator) -> Graph:
    """A fully connected layer; some so long that sums leave no room for the prescale."""
    in_c = int(rng.choice([1, 3, 4, 8, 12, 16, 20, 60, 64, 100, 128, 700, 1100]))
    out_c = int(rng.choice([1, 2, 3, 4, 10, 12]))
    rows = int(rng.choice([1, 1, 1, 2, 3, 5]))
    weights = _weights(rng, (out_c, in_c))
    if in_c > 500:
        weights = np.where(weights >= 0, 127, -127).astype(np.int8)
    source, target = _quants(rng, weights)
    tensors = [
        Tensor("x", (rows, in_c), "int8", source),
        Tensor("w", weights.shape, "int8", _weight_quant(rng, out_c), weights),
    ]
    return _finish(rng, "FULLY_CONNECTED", tensors, (rows, out_c), target, fc.Attrs)


def conv_graph(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    weights: np.ndarray,
    out: tuple[int, ...],
    window: Window,
) -> Graph:
    """A convolution with random quantisation."""
    source, target = _quants(rng, weights)
    tensors = [
        Tensor("x", shape, "int8", source),
        Tensor("w", weights.shape, "int8", _weight_quant(rng, len(weights)), weights),
    ]
    return _finish(rng, "CONV_2D", tensors, out, target, lambda act: conv2d.Attrs(window, act))


def _finish(rng, kind, tensors, out_shape, target, attrs) -> Graph:  # type: ignore[no-untyped-def]
    activation = int(rng.choice([NONE, RELU, RELU, RELU, RELU6, RELU_N1_TO_1]))
    if rng.random() < 0.8:
        # Sums of other layers' sizes would mostly saturate: bring them to the output's range.
        tensors[1] = _rescaled(tensors[0], tensors[1], target)
    if rng.random() < 0.85:
        bias = rng.integers(-3000, 3001, out_shape[-1]).astype(np.int32)
        tensors.append(Tensor("b", bias.shape, "int32", None, bias))
    tensors.append(Tensor("y", out_shape, "int8", target))
    n = len(tensors)
    op = Op(kind, "layer", tuple(range(n - 1)), (n - 1,), attrs(activation))
    graph = Graph("one", tuple(tensors), (op,), (0,), (n - 1,))
    ops.operator(kind).check(graph, op)
    return graph


def _weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    low = -128 if rng.random() < 0.3 else -127
    weights = rng.integers(low, 128, shape)
    if rng.random() < 0.2:
        weights[rng.integers(0, shape[0])] = 0  # a dead channel
    return weights.astype(np.int8)


def _zero_point(rng: np.random.Generator) -> int:
    return int(rng.choice([-128, -128, 127, 0, int(rng.integers(-128, 128))]))


def _quants(rng: np.random.Generator, weights: np.ndarray) -> tuple[QuantParams, QuantParams]:
    scale = np.float32(10 ** rng.uniform(-2.5, -0.5))
    out = np.float32(10 ** rng.uniform(-2.5, -0.5))
    return (
        QuantParams((float(scale),), (_zero_point(rng),)),
        QuantParams((float(out),), (_zero_point(rng),)),
    )


def _weight_quant(rng: np.random.Generator, channels: int) -> QuantParams:
    count = channels if rng.random() < 0.8 else 1
    wide = 2.5 if rng.random() < 0.2 else 0.7  # powers of ten between channels
    scales = np.float32(10 ** rng.uniform(-2 - wide, -2, count))
    return QuantParams(tuple(float(s) for s in scales), (0,) * count, 0)


def _rescaled(source: Tensor, weights: Tensor, target: QuantParams) -> Tensor:
    data, quant = weights.data, weights.require_quant()
    assert data is not None
    depth = data.size // len(data)
    typical = source.require_quant().scale * 74 * 74 * depth**0.5 * max(quant.scales)
    return Tensor(
        weights.name,
        weights.shape,
        "int8",
        QuantParams(
            tuple(float(np.float32(s * target.scale * 60 / typical)) for s in quant.scales),
            quant.zero_points,
            0,
        ),
        data,
    )
