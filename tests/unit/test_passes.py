"""Each pass on graphs made for it: what it does, what it must leave alone, the same outputs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from mcu_hybrid.compiler.exact.ranges import Range, accumulator_bounds, tensor_ranges
from mcu_hybrid.compiler.passes import OPTIMISING, optimise
from mcu_hybrid.compiler.passes.compose_tables import compose_tables
from mcu_hybrid.compiler.passes.constant_fold import constant_fold, merge_equal
from mcu_hybrid.compiler.passes.fold_dead import fold_dead, kept_channels
from mcu_hybrid.compiler.passes.fold_pad import fold_pad, trim_kernels
from mcu_hybrid.compiler.passes.fuse_clamps import fuse_clamps
from mcu_hybrid.compiler.passes.remove_views import remove_views
from mcu_hybrid.compiler.passes.sink_transpose import sink_transpose
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.ops import broadcast, conv2d, depthwise_conv2d, fully_connected, pad, relu
from mcu_hybrid.ops.padding import SAME, VALID, Window
from mcu_hybrid.quant import QuantParams
from mcu_hybrid.reference.interp import run
from mcu_hybrid.reference.verify import verify
from tests.support.random_cnn import NONE, RELU, RELU6, Net, macs
from tests.support.random_graph import random_inputs

Q = QuantParams((0.05000000074505806,), (-128,))
WINDOW = Window((1, 1), (1, 1), VALID)


def net(*shape: int, zero_point: int = -128) -> Net:
    n = Net(np.random.default_rng(5), (1, *shape))
    n.tensors[n.input] = replace(n.tensors[n.input], quant=QuantParams(Q.scales, (zero_point,)))
    return n


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


def same_outputs(before: Graph, after: Graph, tries: int = 4) -> None:
    verify(after, after="the tested pass")
    assert (before.inputs, before.outputs) == (after.inputs, after.outputs)
    arrays = [random_inputs(before, seed) for seed in range(tries)]
    arrays += [[np.full_like(a, value) for a in arrays[0]] for value in (-128, 0, 127)]
    for inputs in arrays:
        for want, have in zip(run(before, inputs), run(after, inputs), strict=True):
            np.testing.assert_array_equal(have, want)


def conv(
    n: Net, x: int, w: np.ndarray, bias: list[int], window: Window = WINDOW, **q: float
) -> int:
    """A convolution with these filters [out, height, width, in]; output scale 1, ReLU."""
    weights = n.tensor(w.shape, QuantParams((0.5,), (0,)), w.astype(np.int8))
    out = window.out_size(n.shape(x)[1:3], w.shape[1:3])
    quant = QuantParams((float(q.get("scale", 1.0)),), (int(q.get("zero_point", -128)),))
    attrs = conv2d.Attrs(window, RELU)
    inputs = (x, weights, n.ints(bias))
    return n.add_op("CONV_2D", inputs, (1, *out, len(bias)), quant, attrs)


def depthwise(n: Net, x: int, w: np.ndarray, bias: list[int], window: Window) -> int:
    """A depthwise convolution with these filters [1, height, width, channels]."""
    weights = n.tensor(w.shape, QuantParams((0.5,), (0,)), w.astype(np.int8))
    out = window.out_size(n.shape(x)[1:3], w.shape[1:3])
    multiplier = w.shape[3] // n.shape(x)[3]
    attrs = depthwise_conv2d.Attrs(window, multiplier, RELU)
    inputs, shape = (x, weights, n.ints(bias)), (1, *out, w.shape[3])
    return n.add_op("DEPTHWISE_CONV_2D", inputs, shape, QuantParams((1.0,), (-128,)), attrs)


# --- padding -----------------------------------------------------------------------------------


def test_pad_before_a_strided_convolution_becomes_its_padding() -> None:
    n = net(8, 8, 3)
    border = (0, 1, 1, 0)
    attrs = pad.Attrs(border, border, None)
    x = n.add_op("PAD", (n.input, n.ints([border, border])), (1, 10, 10, 3), Q, attrs)
    y = conv(
        n, x, n.rng.integers(-9, 9, (4, 3, 3, 3)), [0, 9, -9, 50], Window((2, 2), (1, 1), VALID)
    )
    graph = n.graph((y,))
    folded = fold_pad(graph)
    assert kinds(folded) == ["CONV_2D"]
    # Stride 2 leaves the last padded row and column unread: they are not padding any more.
    assert folded.ops[0].attrs.window.explicit == (1, 0, 1, 0)
    assert folded.notes == ("fold_pad: 1 PAD became padding of layers",)
    same_outputs(graph, folded)


def test_padding_that_is_what_same_means_is_called_same() -> None:
    n = net(8, 8, 3)
    border = (0, 1, 1, 0)
    attrs = pad.Attrs(border, border, None)
    x = n.add_op("PAD", (n.input, n.ints([border, border])), (1, 10, 10, 3), Q, attrs)
    folded = fold_pad(n.graph((conv(n, x, np.ones((2, 3, 3, 3)), [0, 0]),)))
    assert folded.ops[0].attrs.window == Window((1, 1), (1, 1), SAME)


@pytest.mark.parametrize("why", ["value", "reader", "output", "channels", "only padding"])
def test_pads_that_must_stay(why: str) -> None:
    n = net(6, 6, 2)
    size = 3 if why == "only padding" else 1
    before = (0, size, size, 1 if why == "channels" else 0)
    value = n.tensor((1,), Q, np.array([-127], np.int8))
    inputs = (n.input, n.ints([before, before]), *((value,) if why == "value" else ()))
    attrs = pad.Attrs(before, before, -127 if why == "value" else None)
    shape = (1, 6 + 2 * size, 6 + 2 * size, 4 if why == "channels" else 2)
    x = n.add_op("PADV2" if why == "value" else "PAD", inputs, shape, Q, attrs)
    outputs = [conv(n, x, np.ones((2, 3, 3, shape[3])), [0, 0])]
    if why == "reader":
        outputs.append(n.unary("LEAKY_RELU", x))
    if why == "output":
        outputs.append(x)
    graph = n.graph(tuple(outputs))
    assert fold_pad(graph) is graph


def test_pad_of_the_smallest_byte_goes_into_a_maximum_only() -> None:
    for kind, value in product(("MAX_POOL_2D", "AVERAGE_POOL_2D"), (-128, 0)):
        n = net(8, 8, 2)
        border = (0, 1, 1, 0)
        inputs = (n.input, n.ints([border, border]), n.tensor((1,), Q, np.array([value], np.int8)))
        x = n.add_op("PADV2", inputs, (1, 10, 10, 2), Q, pad.Attrs(border, border, value))
        graph = n.graph((n.pool(kind, x),))
        folded = fold_pad(graph)
        assert kinds(folded) == ([kind] if (kind, value) == ("MAX_POOL_2D", -128) else kinds(graph))
        same_outputs(graph, folded)


def test_filters_lose_what_only_sees_padding() -> None:
    n = net(3, 3, 4)
    w = n.rng.integers(-50, 50, (1, 7, 7, 4))
    graph = n.graph((depthwise(n, n.input, w, [0] * 4, Window((1, 1), (1, 1), SAME)),))
    trimmed = trim_kernels(graph)
    weights = trimmed.tensor(trimmed.ops[0].inputs[1])
    assert weights.shape == (1, 5, 5, 4)
    assert trimmed.ops[0].attrs.window.padding == SAME
    assert macs(trimmed) * 49 == macs(graph) * 25
    same_outputs(graph, trimmed)


def test_filters_lose_edges_of_zeros_only_where_padding_makes_up_for_them() -> None:
    w = np.zeros((2, 3, 3, 2), np.int8)
    w[:, 1, 1] = 3
    for padding, kernel in ((SAME, (2, 1, 1, 2)), (VALID, (2, 3, 3, 2))):
        n = net(6, 6, 2)
        graph = n.graph((conv(n, n.input, w, [0, 0], Window((1, 1), (1, 1), padding)),))
        trimmed = trim_kernels(graph)
        assert trimmed.tensor(trimmed.ops[0].inputs[1]).shape == kernel
        same_outputs(graph, trimmed)


# --- dead channels -------------------------------------------------------------------------------


def two_layers(value: int, window: Window, dead: int = 2) -> Graph:
    """Channels 0 .. dead - 1 of the first layer are ``value``; the second layer reads them."""
    n = net(5, 5, 4)
    w = n.rng.integers(-20, 20, (8, 1, 1, 4))
    w[:dead] = 0
    x = conv(n, n.input, w, [(value + 128) * 40] * dead + [100] * (8 - dead))  # scales: 1 / 40
    reader = n.rng.integers(-20, 20, (4, 3, 3, 8))
    y = conv(n, x, reader, [10, 20, 30, 40], window)
    return n.graph((y,))


def test_constants_move_into_the_bias_of_their_reader() -> None:
    graph = two_layers(-100, Window((1, 1), (1, 1), VALID))
    x = graph.ops[0].outputs[0]
    assert np.all(run(graph, random_inputs(graph, 0), keep=True)[x][..., :2] == -100)
    folded = fold_dead(graph, align=1)
    assert folded.tensor(x).shape == (1, 5, 5, 6)
    assert folded.notes[-1] == "fold_dead: 2 of 12 channels are constant, 2 taken out"
    reader = graph.tensor(graph.ops[1].inputs[1]).data
    added = folded.tensor(folded.ops[1].inputs[2]).data - [10, 20, 30, 40]
    np.testing.assert_array_equal(added, reader[..., :2].astype(int).sum((1, 2, 3)) * 28)
    same_outputs(graph, folded)


def test_borders_keep_constants_that_are_not_the_zero_point() -> None:
    window = Window((1, 1), (1, 1), SAME)
    graph = two_layers(-100, window)
    assert fold_dead(graph, align=1) is graph  # at a border, padding takes the constant's place
    zero = two_layers(-128, window)
    folded = fold_dead(zero, align=1)
    assert folded.tensor(folded.ops[0].outputs[0]).shape[-1] == 6
    same_outputs(zero, folded)


def test_channels_stay_in_groups() -> None:
    graph = two_layers(-128, WINDOW)
    assert fold_dead(graph, align=4) is graph  # 6 channels would become 8 again
    five = two_layers(-128, WINDOW, dead=5)
    assert [kept_channels(five, align=a)[five.ops[0].outputs[0]].size for a in (1, 2, 4)] == [
        3,
        4,
        4,
    ]
    same_outputs(five, fold_dead(five))


def test_a_layer_of_constants_only_keeps_one() -> None:
    graph = two_layers(-128, WINDOW, dead=8)
    folded = fold_dead(graph, align=1)
    assert folded.tensor(folded.ops[0].outputs[0]).shape[-1] == 1
    same_outputs(graph, folded)


def test_channels_that_saturate_are_constant() -> None:
    n = net(4, 4, 2)
    # 255 * (3 + 3) * 0.05 * 0.5 = 38.25 at most, and a bias of -38.25 / 0.025 = -1530.
    x = conv(n, n.input, np.full((2, 1, 1, 2), 3), [-1530, -1500])
    reach = tensor_ranges(n.graph((x,)))[x]
    assert reach.constant_channels().tolist() == [True, False]
    graph = n.graph((conv(n, x, np.ones((2, 1, 1, 2)), [0, 0]),))
    folded = fold_dead(graph, align=1)
    assert folded.tensor(x).shape[-1] == 1
    same_outputs(graph, folded)


def test_what_nobody_needs_goes_though_it_is_no_constant() -> None:
    n = net(5, 5, 2)
    x = conv(n, n.input, n.rng.integers(-20, 20, (4, 1, 1, 2)), [100] * 4)
    w = n.rng.integers(1, 20, (1, 3, 3, 4))
    w[..., 1] = 0
    x2 = depthwise(n, x, w, [100, 4000, 100, 100], Window((1, 1), (1, 1), SAME))
    reader = n.rng.integers(1, 20, (2, 1, 1, 4))
    reader[..., 3] = 0
    graph = n.graph((conv(n, x2, reader, [0, 0]),))
    folded = fold_dead(graph, align=1)
    assert kept_channels(graph, align=1)[x].tolist() == [0, 2]
    assert folded.tensor(x).shape[-1] == folded.tensor(x2).shape[-1] == 2
    same_outputs(graph, folded)


def test_both_sides_of_an_addition_lose_the_same_channels() -> None:
    n = net(5, 5, 2)
    sides = []
    for dead in ([0, 1, 3], [0, 2, 3]):
        w = n.rng.integers(1, 20, (4, 1, 1, 2))
        w[dead] = 0
        sides.append(conv(n, n.input, w, [200] * 4))
    attrs, quant = broadcast.ArithmeticAttrs(NONE), QuantParams((3.0,), (-128,))
    x = n.add_op("ADD", (sides[0], sides[1]), (1, 5, 5, 4), quant, attrs)
    per_channel = n.tensor((4,), QuantParams((0.25,), (0,)), np.array([1, 2, 3, 4], np.int8))
    y = n.add_op("MUL", (x, per_channel), (1, 5, 5, 4), quant, attrs)
    graph = n.graph((conv(n, y, n.rng.integers(-20, 20, (4, 1, 1, 4)), [0] * 4),))
    folded = fold_dead(graph, align=1)
    assert {folded.tensor(i).shape[-1] for i in (*sides, x, y)} == {2}
    assert folded.tensor(folded.ops[3].inputs[1]).data.tolist() == [2, 3]
    same_outputs(graph, folded)


def test_a_tensor_beside_itself_loses_what_neither_place_needs() -> None:
    n = net(3, 3, 2)
    x = conv(n, n.input, n.rng.integers(1, 20, (3, 1, 1, 2)), [200] * 3)
    twice = n.concat(x, x)
    reader = n.rng.integers(1, 20, (2, 1, 1, 6))
    reader[..., [0, 1, 3, 5]] = 0  # of x's channels, only the first is needed at neither place
    graph = n.graph((conv(n, twice, reader, [0, 0]),))
    folded = fold_dead(graph, align=1)
    assert [folded.tensor(i).shape[-1] for i in (x, twice)] == [2, 4]
    same_outputs(graph, folded)


def test_one_channel_with_a_multiplier_loses_outputs() -> None:
    n = net(6, 6, 1)
    w = n.rng.integers(-20, 20, (1, 3, 3, 8))
    w[..., [1, 5]] = 0
    x = depthwise(n, n.input, w, [100] * 8, Window((2, 2), (1, 1), SAME))
    quant, out = QuantParams((0.5,), (0,)), QuantParams((8.0,), (0,))
    weights = n.tensor((3, 72), quant, n.rng.integers(-20, 20, (3, 72)).astype(np.int8))
    attrs = fully_connected.Attrs(NONE)
    graph = n.graph((n.add_op("FULLY_CONNECTED", (x, weights), (1, 3), out, attrs),))
    folded = fold_dead(graph, align=1)
    assert folded.ops[0].attrs.multiplier == 6
    assert folded.tensor(folded.ops[1].inputs[1]).shape == (3, 54)
    assert len(folded.ops[1].inputs) == 3  # a bias that was not there
    same_outputs(graph, folded)


def test_graph_inputs_and_outputs_keep_their_channels() -> None:
    n = net(5, 5, 4)
    w = np.zeros((4, 1, 1, 4))
    w[0, 0, 0, 0] = 1
    graph = n.graph((conv(n, n.input, w, [0, 5, 6, 7]),))
    assert fold_dead(graph, align=1) is graph


def test_bounds_are_what_all_inputs_reach() -> None:
    n = net(1, 1, 2)
    x = conv(n, n.input, np.array([[9, -7], [-2, 5], [1, 1]]).reshape(3, 1, 1, 2), [50, -300, 3])
    y = n.with_constant("MUL", n.unary("LEAKY_RELU", n.unary("LOGISTIC", x)))
    graph = n.graph((y,))
    ranges = tensor_ranges(graph)
    every = np.array(list(product(range(-128, 128), repeat=2)), np.int8)
    seen: dict[int, list[np.ndarray]] = {}
    sums = conv2d.sums(graph, graph.ops[0], every.reshape(1, 256, 256, 2), graph.tensor(1).data)
    sums = sums.reshape(-1, 3) + np.array([50, -300, 3])
    low, high = accumulator_bounds(graph, graph.ops[0], ranges[graph.inputs[0]])
    np.testing.assert_array_equal((low, high), (sums.min(0), sums.max(0)))
    for value in every[:: 257 // 2]:
        for index, array in run(graph, [value.reshape(1, 1, 1, 2)], keep=True).items():
            seen.setdefault(index, []).append(array)
    for index, arrays in seen.items():
        assert np.all(np.min(arrays, 0) >= ranges[index].low), index
        assert np.all(np.max(arrays, 0) <= ranges[index].high), index
    corner = run(graph, [np.array([127, -128], np.int8).reshape(1, 1, 1, 2)], keep=True)[x]
    assert corner[0, 0, 0, 0] == ranges[x].high[0, 0, 0, 0]


def test_constant_channels_may_differ_from_place_to_place() -> None:
    low = np.zeros((1, 2, 1, 3), np.int8)
    low[0, 1, 0, 0] = 5
    high = low.copy()
    high[0, 0, 0, 1] = 1
    assert Range(low, high).constant_channels().tolist() == [True, False, True]


# --- tables, clamps, views -----------------------------------------------------------------------


def test_a_hard_swish_in_pieces_is_one_table() -> None:
    n = net(3, 3, 2)
    gate = n.input
    for kind in ("ADD", "MUL"):
        constant = n.tensor((), n.quant(), np.array(57, np.int8))
        gate = n.arithmetic(kind, gate, constant)
    x = n.arithmetic("MUL", gate, n.input)
    graph = n.graph((n.unary("QUANTIZE", x),))
    composed = compose_tables(graph)
    assert kinds(composed) == ["TABLE"] and composed.ops[0].inputs == graph.inputs
    every = np.arange(256).astype(np.uint8).view(np.int8)
    for part in np.split(np.resize(every, 270), 15):
        inputs = [part.reshape(1, 3, 3, 2)]
        np.testing.assert_array_equal(run(composed, inputs)[0], run(graph, inputs)[0])


def test_chains_that_others_read_stay_apart() -> None:
    n = net(3, 3, 2)
    middle = n.unary("LEAKY_RELU", n.input)
    graph = n.graph((n.unary("LOGISTIC", middle), n.arithmetic("ADD", middle, n.input)))
    assert compose_tables(graph).ops[:2] == graph.ops[:2]
    graph = n.graph((middle, graph.outputs[0], graph.outputs[1]))
    assert compose_tables(graph).ops[:2] == graph.ops[:2]


def test_a_relu_is_fused_where_it_only_clamps() -> None:
    for kind, same in (("RELU", True), ("RELU6", True), ("RELU", False), ("LEAKY_RELU", True)):
        n = net(4, 4, 3, zero_point=3)
        x = n.add_op("QUANTIZE", (n.input,), (1, 4, 4, 3), Q, relu.Attrs())
        x = n.arithmetic("ADD", n.input, x)
        x = n.ops[-1].outputs[0]
        n.ops[-1] = replace(n.ops[-1], attrs=type(n.ops[-1].attrs)(NONE))
        n.tensors[x] = replace(n.tensors[x], quant=QuantParams((0.05,), (-100,)))
        y = n.unary(kind, x)
        scale = 0.05 if same else 0.06
        n.tensors[y] = replace(n.tensors[y], quant=QuantParams((scale,), (-100,)))
        graph = n.graph((y,))
        fused = fuse_clamps(graph)
        if same and kind != "LEAKY_RELU":
            assert kinds(fused) == ["QUANTIZE", "ADD"]
            assert fused.ops[-1].attrs.activation == {"RELU": RELU, "RELU6": RELU6}[kind]
        else:
            assert fused is graph
        same_outputs(graph, fused)


def test_two_clamps_that_no_activation_does_stay_two() -> None:
    n = net(4, 4, 3, zero_point=3)
    x = n.add_op("RELU6", (n.input,), (1, 4, 4, 3), n.q(n.input), relu.Attrs())
    graph = n.graph((x,))
    assert fuse_clamps(graph) is graph  # there is no layer to fuse it into


def test_views_go_and_bytes_that_stay_in_place_become_views() -> None:
    n = net(1, 6, 4)
    x = n.transpose(n.input, (0, 2, 1, 3))  # only moves a dimension of size 1
    x = n.reshape(n.reshape(n.unary("LEAKY_RELU", x), (1, 24)), (1, 2, 12))
    graph = n.graph((n.dense(x, 3),))
    short = remove_views(graph)
    assert kinds(short) == ["RESHAPE", "LEAKY_RELU", "FULLY_CONNECTED"]
    same_outputs(graph, short)


def test_functions_that_give_back_what_reaches_them_go() -> None:
    n = net(4, 4, 2)
    x = conv(n, n.input, n.rng.integers(-20, 20, (2, 1, 1, 2)), [0, 0], zero_point=-100)
    q = n.q(x)
    y = n.add_op("RELU", (x,), n.shape(x), q, relu.Attrs())  # the convolution has done it
    z = n.add_op("QUANTIZE", (y,), n.shape(x), q, relu.Attrs())
    graph = n.graph((z,))
    short = remove_views(graph)
    assert kinds(short) == ["CONV_2D"] and short.outputs == (z,)
    same_outputs(graph, short)
    other = QuantParams((q.scale * (1 + 1e-6),), q.zero_points)
    n.tensors[z] = replace(n.tensors[z], quant=other)
    assert kinds(remove_views(n.graph((z,)))) == [
        "CONV_2D",
        "QUANTIZE",
    ]  # the scale is not the same


def test_means_after_a_transpose_keep_both_roundings() -> None:
    n = net(4, 6, 5)
    x = n.mean(n.mean(n.transpose(n.input, (0, 3, 1, 2)), (3,)), (2,))
    graph = n.graph((x,))
    sunk = remove_views(sink_transpose(graph))
    assert kinds(sunk) == ["MEAN", "MEAN"]
    assert [op.attrs.axes for op in sunk.ops] == [(2,), (1,)]
    same_outputs(graph, sunk)


def test_a_transpose_before_rows_of_weights_moves_into_them() -> None:
    n = net(3, 4, 5)
    x = n.reshape(n.transpose(n.input, (0, 3, 1, 2)), (1, 60))
    graph = n.graph((n.dense(x, 7),))
    sunk = sink_transpose(remove_views(graph))
    assert kinds(sunk) == ["FULLY_CONNECTED"]
    same_outputs(graph, sunk)


def test_constants_are_computed_here_and_repetitions_once() -> None:
    n = net(3, 3, 2)
    constant = n.tensor((1, 3, 3, 2), Q, n.rng.integers(-128, 128, (1, 3, 3, 2)).astype(np.int8))
    a = n.unary("LEAKY_RELU", constant)
    b, c = n.unary("LOGISTIC", n.input), n.unary("LOGISTIC", n.input)
    n.unary("RELU", n.input)  # nothing reads it
    graph = n.graph((n.arithmetic("ADD", a, b), n.arithmetic("ADD", c, b)))
    done = merge_equal(constant_fold(graph))
    assert kinds(done) == ["LOGISTIC", "ADD", "ADD"]
    assert done.ops[2].inputs == (b, b)
    assert done.notes[0].endswith("1 operator became constants, 1 operator had no reader")
    same_outputs(graph, done)


def test_passes_return_the_graph_itself_where_they_have_nothing_to_do() -> None:
    n = net(4, 4, 4)
    graph = n.graph((n.conv(n.conv(n.input, 4, 1, dead=0), 4, 3, dead=0),))
    assert all(step(graph, None) is graph for step in OPTIMISING)
    assert optimise(graph) is graph
