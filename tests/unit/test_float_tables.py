"""ELU, GELU, RELU_0_TO_1 and SiLU are one table each; bounds by constants too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.ops.float_tables import not_in_tflm
from mcu_hybrid.ops.lut import EVERY_INT8
from mcu_hybrid.reference import interp
from tests.support.one_op import make, run, tensor
from tests.support.tflite_builder import OpSpec, Spec, build

QUANTS = [((0.04, -10), (0.03, -100)), ((0.2, 127), (0.01, 0)), ((0.001, 0), (0.5, -3))]


def _gelu(x: np.ndarray) -> np.ndarray:
    return np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x])


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


REAL = {
    "ELU": ({}, lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x)),
    "GELU": ({}, _gelu),
    "GELU by tanh": ({"approximate": True}, _gelu_tanh),
    "RELU_0_TO_1": ({}, lambda x: np.clip(x, 0, 1)),
}


@pytest.mark.parametrize(("source", "target"), QUANTS)
@pytest.mark.parametrize("name", REAL)
def test_each_value_is_the_nearest_one(name: str, source: Any, target: Any) -> None:
    options, function = REAL[name]
    kind = name.split()[0]
    ins, outs = [tensor("x", (256,), source)], [tensor("y", (256,), target)]
    graph, op = make(kind, ins, outs, **options)
    got = run(kind, graph, op, EVERY_INT8)[0]
    scale_in, scale_out = (float(np.float32(q[0])) for q in (source, target))
    real = function((EVERY_INT8.astype(float) - source[1]) * scale_in) / scale_out + target[1]
    assert np.abs(got - np.clip(real, -128, 127)).max() <= 0.5 + 1e-4


def _chain(*ops: tuple[str, tuple[int, ...], int], tensors: list[Spec]) -> bytes:
    specs = [OpSpec(kind, ins, (out,), {}) for kind, ins, out in ops]
    return build(tensors, specs, [0], [ops[-1][2]])


def test_silu_is_one_table_and_equals_tflm() -> None:
    pytest.importorskip("tflite_micro")
    from mcu_hybrid.reference.judge import Judge

    data = _chain(
        ("LOGISTIC", (0,), 1),
        ("MUL", (0, 1), 2),
        tensors=[
            Spec("x", (1, 16, 16, 1), scale=0.05, zero=-20),
            Spec("s", (1, 16, 16, 1), scale=1 / 256, zero=-128),
            Spec("y", (1, 16, 16, 1), scale=0.03, zero=-110),
        ],
    )
    graph = read_tflite(data, "silu").graph
    done = optimise(graph)
    assert [op.kind for op in done.ops] == ["TABLE"]
    x = EVERY_INT8.reshape(1, 16, 16, 1)
    want = Judge(data).run([x])[0]
    np.testing.assert_array_equal(interp.run(done, [x])[0], want)


def test_a_hard_sigmoid_in_pieces_is_one_table() -> None:
    """relu6(x + 3) / 6 as converters write it: ADD, MAXIMUM, MINIMUM, MUL with constants."""
    pytest.importorskip("tflite_micro")
    from mcu_hybrid.reference.judge import Judge

    def const(name: str, value: int, scale: float = 0.05, zero: int = -128) -> Spec:
        return Spec(name, (1,), scale=scale, zero=zero, data=np.array([value], np.int8))

    shape = (1, 16, 16, 1)
    data = _chain(
        ("ADD", (0, 1), 5),
        ("MAXIMUM", (5, 2), 6),
        ("MINIMUM", (6, 3), 7),
        ("MUL", (7, 4), 8),
        tensors=[
            Spec("x", shape, scale=0.05, zero=-1),
            const("three", 127, 3 / 255),
            const("zero", -128),
            const("six", -8),
            const("sixth", 127, 1 / 6 / 255),
            *(Spec(f"t{n}", shape, scale=0.05, zero=-128) for n in range(3)),
            Spec("y", shape, scale=1 / 256, zero=-128),
        ],
    )
    done = optimise(read_tflite(data, "hard").graph)
    assert [op.kind for op in done.ops] == ["TABLE"]
    x = EVERY_INT8.reshape(shape)
    np.testing.assert_array_equal(interp.run(done, [x])[0], Judge(data).run([x])[0])


@pytest.mark.parametrize(
    ("ins", "kind", "words"),
    [
        ([tensor("x", (4,)), tensor("z", (4,))], UnsupportedOp, "two computed tensors"),
        ([tensor("x", (2,)), tensor("b", (2,), data=[1, 2])], UnsupportedOp, "several constants"),
        ([tensor("x", (2,)), tensor("b", (1,), (0.1, 0), [1])], ModelError, "never rescaled"),
    ],
)
def test_bounds_that_are_refused(ins: list[Any], kind: type[ModelError], words: str) -> None:
    with pytest.raises(kind, match=words):
        make("MINIMUM", ins, [tensor("y", ins[0].shape)])


def test_bench_says_what_tflm_does_not_have(tmp_path: Path) -> None:
    from mcu_hybrid.board.load import load_board
    from mcu_hybrid.steps.bench import BenchOptions, bench_board
    from mcu_hybrid.steps.build import build_step

    shape = (1, 16, 16, 1)
    tensors = [Spec("x", shape, scale=0.05), Spec("y", shape, scale=0.05)]
    (tmp_path / "g.tflite").write_bytes(_chain(("GELU", (0,), 1), tensors=tensors))
    made = build_step(tmp_path / "g.tflite", load_board("native"), tmp_path / "build")
    assert not_in_tflm(made.model.graph) == ("GELU",)
    x = EVERY_INT8.reshape(shape)
    result = bench_board(made, BenchOptions(), inputs=[[x]])
    assert result.exact is None and result.not_compared == "TFLM has no GELU"
    want = interp.run(made.model.graph, [x])[0]
    assert result.outputs[0][0] == want.tobytes()
