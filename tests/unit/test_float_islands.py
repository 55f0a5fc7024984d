"""Pointwise float operators between DEQUANTIZE and QUANTIZE are one table, as TFLM computes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.compiler.summary import summarize
from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.ops.float_tables import not_in_tflm
from mcu_hybrid.ops.lut import EVERY_INT8
from mcu_hybrid.reference import interp
from tests.support.tflite_builder import OpSpec, Spec, build

SHAPE = (1, 16, 16, 1)
X = EVERY_INT8.reshape(SHAPE)
QUANTS = [(0.05, -20, 0.03, -100), (0.05, -128, 0.007, 3), (0.0031, 127, 0.41, -3)]


def _const(value: float, shape: tuple[int, ...] = (1,)) -> Spec:
    return Spec("c", shape, "float32", data=np.full(shape, value, np.float32))


def _island(
    *ops: tuple[str, tuple[int, ...], dict[str, Any]],
    quant: tuple[float, int, float, int] = QUANTS[0],
    consts: tuple[Spec, ...] = (),
    shape: tuple[int, ...] = SHAPE,
) -> bytes:
    """DEQUANTIZE, the operators (1 is the first float, the next ones follow), QUANTIZE.

    Constants of the model are -1, -2 .. in the operators' inputs.
    """
    count = 1 + len(ops)
    tensors = [Spec("x", SHAPE, scale=quant[0], zero=quant[1])]
    tensors += [Spec(f"f{i}", shape if i else SHAPE, "float32") for i in range(count)]
    tensors += [Spec("y", shape, scale=quant[2], zero=quant[3]), *consts]
    end = 1 + count
    specs = [OpSpec("DEQUANTIZE", (0,), (1,))]
    for number, (kind, ins, options) in enumerate(ops):
        used = [i if i > 0 else end - i for i in ins]
        specs.append(OpSpec(kind, used, (2 + number,), options))
    specs.append(OpSpec("QUANTIZE", (end - 1,), (end,)))
    return build(tensors, specs, [0], [end])


def _equals_tflm(data: bytes) -> None:
    pytest.importorskip("tflite_micro")
    from mcu_hybrid.reference.judge import Judge

    graph = read_tflite(data, "island").graph
    assert [op.kind for op in graph.ops] == ["TABLE"]
    want = Judge(data).run([X])[0]
    np.testing.assert_array_equal(interp.run(graph, [X])[0], want)
    np.testing.assert_array_equal(interp.run(optimise(graph), [X])[0], want)


UNARY = (
    *("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG"),
    *("RELU", "RELU6", "ROUND", "SIN", "SQUARE", "TANH"),
)


@pytest.mark.parametrize("quant", QUANTS)
@pytest.mark.parametrize("kind", UNARY)
def test_one_operator_equals_tflm(kind: str, quant: tuple[float, int, float, int]) -> None:
    options = {"alpha": 0.3} if kind == "LEAKY_RELU" else {}
    _equals_tflm(_island((kind, (1,), options), quant=quant))


@pytest.mark.parametrize("kind", ["SQRT", "RSQRT", "LOG"])
def test_a_function_of_positive_numbers_equals_tflm(kind: str) -> None:
    square, plus = ("SQUARE", (1,), {}), ("ADD", (2, -1), {})
    _equals_tflm(_island(square, plus, (kind, (3,), {}), consts=(_const(0.4),)))


@pytest.mark.parametrize(
    "kind",
    ["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU"],
)
@pytest.mark.parametrize("order", [(1, -1), (-1, 1)])
def test_a_constant_operand_equals_tflm(kind: str, order: tuple[int, int]) -> None:
    if order == (-1, 1) and kind in ("PRELU", "DIV"):
        pytest.skip("the slope is the second one, and DIV would divide by zero")
    _equals_tflm(_island((kind, order, {}), consts=(_const(0.7, (1, 1, 1, 1)),)))


@pytest.mark.parametrize("activation", [0, 1, 2, 3])
def test_a_fused_activation_equals_tflm(activation: int) -> None:
    options = {"fused_activation_function": activation}
    _equals_tflm(_island(("DIV", (1, -1), options), consts=(_const(0.5),)))


def test_several_operators_that_meet_equal_tflm() -> None:
    """x * tanh(ln(1 + exp(x))) in float: Mish, and the tensor is read twice."""
    chain = [("EXP", (1,), {}), ("ADD", (2, -1), {}), ("LOG", (3,), {}), ("TANH", (4,), {})]
    _equals_tflm(_island(*chain, ("MUL", (1, 5), {}), consts=(_const(1.0),)))


@pytest.mark.parametrize("kind", ["GELU", "RELU_0_TO_1", "RELU_N1_TO_1", "SIGN"])
def test_what_tflm_lacks_is_said_not_to_be_compared(kind: str) -> None:
    graph = read_tflite(_island((kind, (1,), {})), "island").graph
    assert not_in_tflm(graph) == (kind,)
    assert not_in_tflm(read_tflite(_island(("ELU", (1,), {})), "elu").graph) == ()


def test_a_constant_of_several_values_stays_float_and_is_named() -> None:
    several = Spec("c", (16,), "float32", data=np.arange(16, dtype=np.float32))
    wide = (1, 16, 16, 16)
    data = _island(("MUL", (1, -1), {}), consts=(several,), shape=wide)
    with pytest.raises(ModelError, match=r"partially quantised.*operator 1 MUL, layer 'f1'"):
        read_tflite(data, "island")


def test_softmax_in_float_stays_float_and_is_named() -> None:
    with pytest.raises(ModelError, match=r"partially quantised.*operator 1 SOFTMAX"):
        read_tflite(_island(("SOFTMAX", (1,), {"beta": 1.0})), "island")


@pytest.mark.parametrize("kind", ["LOG", "SQRT", "RSQRT"])
def test_no_byte_stands_for_no_number(kind: str) -> None:
    with pytest.raises(UnsupportedOp, match=rf"{kind} 'y'.*which no integer stands for"):
        read_tflite(_island((kind, (1,), {})), "island")


def test_summarize_takes_an_island_in_a_model_that_is_refused_elsewhere() -> None:
    tensors = [
        Spec("x", SHAPE, scale=0.05),
        *(Spec(f"f{i}", SHAPE, "float32") for i in range(2)),
        *(Spec(n, SHAPE, scale=0.05) for n in "yz"),
    ]
    ops = [
        OpSpec("DEQUANTIZE", (0,), (1,)),
        OpSpec("ELU", (1,), (2,)),
        OpSpec("QUANTIZE", (2,), (3,)),
        OpSpec("FLOOR", (3,), (4,)),
    ]
    told = summarize(build(tensors, ops, [0], [4]), "island")
    assert [row.refused for row in told.layers[:3]] == [None] * 3
    assert told.layers[3].refused == "is not supported"
    assert not {"TABLE", "STREAM"} & set(told.layers[3].hint.replace(",", " ").split())
    assert told.peak_tensor_bytes == 512  # the table's two tensors, none in float


@pytest.mark.parametrize("kind", ["COS", "EXP", "LOG", "NEG", "SIN", "SQRT", "SQUARE"])
def test_an_int8_function_that_tflm_has_in_float_only_is_the_nearest_byte(kind: str) -> None:
    tensors = [Spec("x", SHAPE, scale=0.05, zero=-128), Spec("y", SHAPE, scale=0.04, zero=-100)]
    graph = read_tflite(build(tensors, [OpSpec(kind, (0,), (1,))], [0], [1]), "one").graph
    assert [op.kind for op in graph.ops] == ["TABLE"]
    assert not_in_tflm(graph) == (f"int8 {kind}",)
    functions = {"NEG": np.negative}
    with np.errstate(divide="ignore"):
        real = functions.get(kind, getattr(np, kind.lower(), None))((X + 128.0) * np.float32(0.05))
    want = np.clip(real / np.float32(0.04) - 100, -128, 127)
    assert np.abs(interp.run(graph, [X])[0] - want).max() <= 0.5 + 1e-4


def test_softplus_as_the_quantiser_writes_it_is_one_table() -> None:
    one = Spec("one", (1,), scale=1 / 255, zero=-128, data=np.array([127], np.int8))
    tensors = [
        Spec("x", SHAPE, scale=0.03, zero=2),
        Spec("e", SHAPE, scale=0.18, zero=-128),
        one,
        Spec("a", SHAPE, scale=0.19, zero=-128),
        Spec("y", SHAPE, scale=0.016, zero=-128),
    ]
    ops = [OpSpec("EXP", (0,), (1,)), OpSpec("ADD", (1, 2), (3,)), OpSpec("LOG", (3,), (4,))]
    done = optimise(read_tflite(build(tensors, ops, [0], [4]), "softplus").graph)
    assert [op.kind for op in done.ops] == ["TABLE"]
    real = np.log1p(np.exp((X - 2.0) * 0.03))
    steps = (0.18 + 0.19) / 2 + 0.016 / 2  # half a step of each, where the logarithm is steepest
    assert np.abs((interp.run(done, [X])[0] + 128.0) * 0.016 - real).max() < steps
