"""Sums that no output depends on may exceed 32 bits; sums that cannot are not refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import ops
from mcu_hybrid.compiler.passes.silence import silence
from mcu_hybrid.errors import UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.reference import interp
from mcu_hybrid.steps.build import read_model
from tests.support.one_op import tensor, unchecked

INT32_MAX = 2**31 - 1


def _fully_connected(weights: list[int], bias: int, out_scale: float) -> tuple[Graph, Op]:
    ins = [
        tensor("in", (1, len(weights)), (1.0, -128)),
        tensor("w", (1, len(weights)), (1.0, 0), weights),
        tensor("b", (1,), None, [bias]),
    ]
    return unchecked("FULLY_CONNECTED", ins, [tensor("out", (1, 1), (out_scale, 3))])


def test_the_saturated_model_equals_tflm(shared: Path) -> None:
    pytest.importorskip("tflite_micro")
    from mcu_hybrid.reference.judge import Judge

    model = read_model(shared / "models" / "field" / "saturated_bias_dead_channel.tflite")
    judge = Judge(model.data, model.file.metadata)
    shape = model.graph.tensor(model.graph.inputs[0]).shape
    rng = np.random.default_rng(7)
    for _ in range(3):
        x = rng.integers(-128, 128, shape).astype(np.int8)
        np.testing.assert_array_equal(interp.run(model.graph, [x])[0], judge.run([x])[0])


def test_a_silent_channel_has_no_weights_and_others_keep_theirs() -> None:
    graph, op = _fully_connected([1, 2], INT32_MAX, 1e20)
    ops.operator(op.kind).check(
        graph, op
    )  # the factor is below 2**-31: any sum gives the zero point
    done = silence(graph)
    assert done.tensors[: len(graph.tensors)] == graph.tensors  # others may read them
    weights, bias = (done.tensor(i) for i in done.ops[0].inputs[1:])
    assert not np.any(weights.data) and not np.any(bias.data)
    x = [np.array([[127, -128]], np.int8)]
    np.testing.assert_array_equal(interp.run(done, x)[0], interp.run(graph, x)[0])


def test_a_graph_without_silent_channels_is_left_alone() -> None:
    graph, _ = _fully_connected([1, 2], 5, 1.0)
    assert silence(graph) is graph


def test_a_bias_against_the_sums_is_no_overflow() -> None:
    """Sums are at most 510 above the bias here, and never below it."""
    for weights, bias in (([1, 1], INT32_MAX - 510), ([1, 1], -INT32_MAX), ([-1, -1], INT32_MAX)):
        graph, op = _fully_connected(weights, bias, 1e9)
        ops.operator(op.kind).check(graph, op)
    for weights, bias in (([1, 1], INT32_MAX - 509), ([-1, -1], -INT32_MAX)):
        graph, op = _fully_connected(weights, bias, 1e9)
        with pytest.raises(UnsupportedOp, match="exceed 32 bits"):
            ops.operator(op.kind).check(graph, op)
