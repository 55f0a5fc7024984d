"""Elementwise and data-movement operators without compiler or judge: rules, errors, real values.

Exactness against TFLM and the C kernels is tests/kernels/test_elementwise.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcu_hybrid import ops
from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import Tensor
from mcu_hybrid.ops import broadcast, fixed_point, strided_copy
from mcu_hybrid.ops.lut import EVERY_INT8
from mcu_hybrid.quant import QuantParams
from tests.support.one_op import SAME, field, lowered, make, run, tensor

# --- functions of one byte ------------------------------------------------------------------

REAL = {
    "LOGISTIC": (lambda x: 1 / (1 + np.exp(-x)), (1 / 256, -128)),
    "TANH": (np.tanh, (1 / 128, 0)),
    "HARD_SWISH": (lambda x: x * np.clip(x + 3, 0, 6) / 6, (0.05, -120)),
    "RELU": (lambda x: np.maximum(x, 0), (0.03, -128)),
    "LEAKY_RELU": (lambda x: np.where(x > 0, x, x * 0.25), (0.04, -90)),
    "QUANTIZE": (lambda x: x, (0.11, 7)),
}


@pytest.mark.parametrize("kind", REAL)
def test_values_are_within_one_step_of_the_real_function(kind: str) -> None:
    function, quant = REAL[kind]
    graph, op = make(
        kind, [tensor("x", (256,), (0.04, -10))], [tensor("y", (256,), quant)], alpha=0.25
    )
    out = run(kind, graph, op, EVERY_INT8)[0]
    real = function((EVERY_INT8.astype(float) + 10) * float(np.float32(0.04)))
    best = np.clip(np.round(real / quant[0]) + quant[1], -128, 127)
    assert np.abs(out - best).max() <= 1


def test_relu6_clamps_at_the_real_zero_and_six() -> None:
    both = [tensor("x", (256,), (0.1, 3))], [tensor("y", (256,), (0.1, 3))]
    graph, op = make("RELU6", *both)
    out = run("RELU6", graph, op, EVERY_INT8)[0]
    assert (out.min(), out.max()) == (3, 63)


@pytest.mark.parametrize("kind", [*REAL, "RELU6"])
def test_the_table_is_the_reference_for_every_byte(kind: str) -> None:
    quant = REAL[kind][1] if kind in REAL else (0.04, -10)
    graph, op = make(
        kind, [tensor("x", (256,), (0.04, -10))], [tensor("y", (256,), quant)], alpha=0.25
    )
    call = lowered(kind, graph, op)
    table = field(call, "table")
    assert (call.kernel.symbol, call.form, call.source) == ("mh_lut_s8", "unary", "lut_s8")
    assert table.dtype == np.int8
    x = np.arange(-128, 128, dtype=np.int8)
    assert np.array_equal(table[x.view(np.uint8)], run(kind, graph, op, x)[0])
    assert ops.operator(kind).inplace(graph, op) == ((0, 0),)


def test_fixed_point_functions_are_close_to_the_real_ones() -> None:
    raw = np.linspace(-(1 << 31) + 1, (1 << 31) - 1, 4001).astype(np.int64)
    real = raw / 2.0**27
    assert np.abs(fixed_point.logistic(raw, 4) / 2.0**31 - 1 / (1 + np.exp(-real))).max() < 1e-7
    small = raw // 2  # tanh doubles its argument
    error = fixed_point.tanh(small, 4) / 2.0**31 - np.tanh(small / 2.0**27)
    assert np.abs(error).max() < 2e-7


def test_negative_slope_mirrors_the_positive_one() -> None:
    tensors = [tensor("x", (256,), (0.1, 0))], [tensor("y", (256,), (0.1, 0))]
    low = np.arange(-128, 0, dtype=np.int8)
    up, down = (
        run("LEAKY_RELU", *make("LEAKY_RELU", *tensors, alpha=alpha), low)[0]
        for alpha in (0.5, -0.5)
    )
    assert np.array_equal(up, -down) and down.max() == 64


# --- ADD, SUB, MUL --------------------------------------------------------------------------


def test_add_sub_mul_by_hand() -> None:
    half, whole = [tensor("a", (3,), (0.5, 0)), tensor("b", (3,), (0.25, 1))], (0.25, -2)
    a, b = np.array([2, -4, 100], np.int8), np.array([5, 1, -127], np.int8)
    # real: a = 1, -2, 50; b = 1, 0, -32
    expected = {"ADD": [6, -10, 70], "SUB": [-2, -10, 127], "MUL": [2, -2, -128]}
    for kind, values in expected.items():
        graph, op = make(kind, half, [tensor("y", (3,), whole)])
        assert run(kind, graph, op, a, b)[0].tolist() == values, kind


def test_fused_activation_bounds_the_sum() -> None:
    tensors = [tensor("a", (1,), (0.5, 0)), tensor("b", (1,), (0.5, 0))]
    top, bottom = np.array([100], np.int8), np.array([-100], np.int8)
    for activation, low, high in ((1, -100, 127), (2, -104, -96), (3, -100, -76), (0, -128, 127)):
        graph, op = make(
            "ADD", tensors, [tensor("y", (1,), (0.25, -100))], fused_activation_function=activation
        )
        assert run("ADD", graph, op, bottom, bottom)[0] == low
        assert run("ADD", graph, op, top, top)[0] == high
        call = lowered("ADD", graph, op)
        assert (field(call, "lo"), field(call, "hi")) == (low, high)


@pytest.mark.parametrize(
    ("a", "b", "used"),
    [
        ((1, 5, 7, 3), (1, 5, 7, 3), 1),
        ((1, 5, 7, 3), (3,), 2),
        ((), (2, 3), 1),
        ((1, 5, 1, 3), (1, 1, 7, 1), 3),
        ((2, 1, 4, 1, 3), (1, 5, 4, 6, 3), 5),
        ((1, 2, 1, 3, 4), (1, 2, 5, 3, 4), 3),
    ],
)
def test_loops_walk_the_operands_as_numpy_broadcasts(
    a: tuple[int, ...], b: tuple[int, ...], used: int
) -> None:
    shape = np.broadcast_shapes(a, b)
    tensors = [tensor("a", a), tensor("b", b)], [tensor("y", shape)]
    if used > broadcast.LOOPS:
        with pytest.raises(UnsupportedOp, match=r"needs 5 nested loops"):
            make("ADD", *tensors)
        return
    graph, op = make("ADD", *tensors)
    extents, stride_a, stride_b = broadcast.loops(graph, op)
    assert sum(extent > 1 for extent in extents) == used
    index = np.indices(extents).reshape(len(extents), -1)
    flat_a = np.broadcast_to(np.arange(np.prod(a, dtype=int)).reshape(a), shape).reshape(-1)
    flat_b = np.broadcast_to(np.arange(np.prod(b, dtype=int)).reshape(b), shape).reshape(-1)
    assert np.array_equal(stride_a @ index, flat_a)
    assert np.array_equal(stride_b @ index, flat_b)


def test_only_a_variable_of_the_output_shape_may_share_its_memory() -> None:
    x, row = tensor("x", (2, 3)), tensor("row", (3,))
    weights = tensor("w", (2, 3), SAME, np.zeros(6))
    out = [tensor("y", (2, 3))]
    found = [
        ops.operator("MUL").inplace(*make("MUL", pair, out))
        for pair in ([x, x], [row, x], [x, weights])
    ]
    assert found == [((0, 0), (1, 0)), ((1, 0),), ((0, 0),)]


# --- data movement --------------------------------------------------------------------------


def test_transpose_that_moves_only_ones_is_a_view() -> None:
    perm = tensor("p", (), None, [0, 3, 1, 2])
    graph, op = make("TRANSPOSE", [tensor("x", (1, 4, 5, 1)), perm], [tensor("y", (1, 1, 4, 5))])
    assert ops.operator("TRANSPOSE").lower(graph, op) is None


def test_neighbouring_loops_are_merged() -> None:
    assert strided_copy.merge([2, 1, 3, 4], [12, 99, 4, 1]) == ([24], [1])
    assert strided_copy.merge([3, 2, 4], [4, 12, 1]) == ([3, 2, 4], [4, 12, 1])
    assert strided_copy.merge([1, 1], [5, 5]) == ([1], [1])


def test_resize_picks_the_documented_neighbours() -> None:
    def picks(**options: bool) -> list[int]:
        size = tensor("s", (), None, [1, 4])
        graph, op = make(
            "RESIZE_NEAREST_NEIGHBOR",
            [tensor("x", (1, 1, 3, 1)), size],
            [tensor("y", (1, 1, 4, 1))],
            **options,
        )
        image = np.arange(3, dtype=np.int8).reshape(1, 1, 3, 1)
        out = run("RESIZE_NEAREST_NEIGHBOR", graph, op, image)[0].reshape(-1)
        call = lowered("RESIZE_NEAREST_NEIGHBOR", graph, op)
        assert field(call, "columns").tolist() == out.tolist()
        return out.tolist()

    assert picks() == [0, 0, 1, 2]
    assert picks(align_corners=True) == [0, 1, 1, 2]
    assert picks(half_pixel_centers=True) == [0, 1, 1, 2]


def test_split_v_takes_what_is_left() -> None:
    inputs = [
        tensor("x", (1, 7)),
        tensor("sizes", (), None, [2, -1, 1]),
        tensor("axis", (), None, -1),
    ]
    graph, op = make("SPLIT_V", inputs, [tensor(f"y{n}", (1, n)) for n in (2, 4, 1)])
    parts = run("SPLIT_V", graph, op, np.arange(7, dtype=np.int8).reshape(1, 7))
    assert [part.reshape(-1).tolist() for part in parts] == [[0, 1], [2, 3, 4, 5], [6]]
    call = lowered("SPLIT_V", graph, op)
    assert (field(call, "outer"), field(call, "runs").tolist()) == (1, [2, 4, 1])


def slice_of(shape: tuple[int, ...], out: tuple[int, ...], *rows: list[int], **masks: int) -> Any:
    """A checked STRIDED_SLICE with these begin, end and stride rows."""
    constants = [tensor(n, (), None, row) for n, row in zip("bes", rows, strict=True)]
    return make("STRIDED_SLICE", [tensor("x", shape), *constants], [tensor("y", out)], **masks)


def test_slices_with_masks_and_negative_strides() -> None:
    data = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    graph, op = slice_of(
        (2, 3, 4), (2, 2), [9, -1, 0], [0, -9, 4], [-1, 1, 3],
        begin_mask=0b001, end_mask=0b101, shrink_axis_mask=0b010,
    )  # fmt: skip
    out = run("STRIDED_SLICE", graph, op, data)[0]
    assert np.array_equal(out, data[::-1, -1, ::3])
    call = lowered("STRIDED_SLICE", graph, op)
    loops = field(call, "loops").reshape(2, -1)
    assert field(call, "offset") == 20
    assert loops.tolist() == [[1, 1, 1, 2, 2], [0, 0, 0, -12, 3]]


def test_a_slice_of_everything_is_a_view() -> None:
    graph, op = slice_of((2, 3), (2, 3), [0, 0], [2, 3], [1, 1])
    assert ops.operator("STRIDED_SLICE").lower(graph, op) is None


# --- errors name the layer and the next step ------------------------------------------------

INT32 = Tensor("n", (4,), "int32")
PER_CHANNEL = Tensor("c", (4,), "int8", QuantParams((0.1, 0.2), (0, 0)))
X, Y = tensor("x", (4,)), tensor("y", (4,))
OTHER = tensor("other", (4,), (0.5, 4))
PERM = tensor("p", (), None, [0, 0])
AXIS = tensor("axis", (), None, [2])
ZERO = tensor("zero", (), None, [0])
TINY = tensor("tiny", (4,), (1e-12, 0))

BAD: list[tuple[str, list[Tensor], list[Tensor], dict[str, Any], type[ModelError], str]] = [
    ("ADD", [X, INT32], [Y], {}, UnsupportedOp, "'n' is int32"),
    ("MUL", [X, PER_CHANNEL], [Y], {}, UnsupportedOp, "quantised per channel"),
    ("ADD", [X, X], [Y], {"fused_activation_function": 4}, UnsupportedOp, "activation number 4"),
    ("SUB", [X, tensor("b", (3,))], [Y], {}, ModelError, "cannot be broadcast together"),
    ("SUB", [X, X], [tensor("y", (1, 4))], {}, ModelError, r"has shape \[1, 4\], expected \[4\]"),
    ("ADD", [X, X], [TINY], {}, ModelError, "no sensible range"),
    ("SUB", [X, X], [TINY], {}, ModelError, "no sensible range"),
    ("MUL", [X, X], [TINY], {}, ModelError, "finer than the input's"),
    ("QUANTIZE", [X], [TINY], {}, ModelError, "finer than the input's"),
    ("RELU", [X], [TINY], {}, ModelError, "finer than the input's"),
    ("LEAKY_RELU", [X], [Y], {"alpha": 1e9}, ModelError, "finer than the input's"),
    ("HARD_SWISH", [X], [TINY], {}, ModelError, "outside the fixed-point range"),
    ("RELU6", [X], [OTHER], {}, UnsupportedOp, "another output quantisation"),
    ("LOGISTIC", [X], [Y], {}, ModelError, r"always writes scale 0.00390625, zero point -128"),
    ("TANH", [X], [Y], {}, ModelError, "always writes scale 0.0078125, zero point 0"),
    ("TANH", [X, X], [Y], {}, ModelError, "has 2 inputs and 1 outputs, expected 1 and 1"),
    ("CONCATENATION", [X, OTHER], [tensor("y", (8,))], {}, ModelError, "never rescaled"),
    ("CONCATENATION", [X, X], [Y], {}, ModelError, r"expected \[8\]"),
    ("CONCATENATION", [X, X], [tensor("y", (8,))], {"axis": 1}, ModelError, "axis 1 is outside"),
    ("CONCATENATION", [X], [Y], {"fused_activation_function": 1}, UnsupportedOp, "activation"),
    ("TRANSPOSE", [tensor("x", (2, 2)), PERM], [tensor("y", (2, 2))], {}, ModelError, "not a perm"),
    ("TRANSPOSE", [X, Y], [Y], {}, ModelError, "must be a constant"),
    ("SPLIT", [AXIS, X], [Y], {}, ModelError, "axis 2 is outside a tensor of rank 1"),
    ("SPLIT", [ZERO, X], [X, X, X], {}, ModelError, "do not make up 4"),
    ("STRIDED_SLICE", [X, ZERO, ZERO, ZERO], [Y], {}, ModelError, "stride 0"),
    ("STRIDED_SLICE", [X, ZERO, ZERO, AXIS], [Y], {}, ModelError, "slice is empty"),
    ("STRIDED_SLICE", [X, ZERO, ZERO, AXIS], [Y], {"new_axis_mask": 1}, UnsupportedOp, "new_axis"),
    ("STRIDED_SLICE", [X, PERM, PERM, PERM], [Y], {}, UnsupportedOp, "2, 2 and 2 entries"),
    ("RESIZE_NEAREST_NEIGHBOR", [X, PERM], [Y], {}, ModelError, "expected NHWC"),
]


@pytest.mark.parametrize(
    ("kind", "inputs", "outputs", "options", "error", "text"),
    BAD,
    ids=[f"{row[0]}-{i}" for i, row in enumerate(BAD)],
)
def test_errors_name_the_layer_the_fact_and_the_next_step(
    kind: str,
    inputs: list[Tensor],
    outputs: list[Tensor],
    options: dict[str, Any],
    error: type[ModelError],
    text: str,
) -> None:
    with pytest.raises(error, match=text) as caught:
        make(kind, inputs, outputs, **options)
    assert type(caught.value) is error
    assert f"{kind} 'layer'" in str(caught.value)
    assert caught.value.hint
