"""Graph rules, the interpreter and the dump."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import DataError, ModelError, UnsupportedOp
from mcu_hybrid.graph.dump import dump
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.quant import QuantParams
from mcu_hybrid.reference.interp import run
from mcu_hybrid.reference.verify import verify
from tests.support.tflite_builder import OpSpec, Spec, build


def _chain() -> Graph:
    """in -> RELU -> RESHAPE -> out, and the RELU's output is a graph output, too."""
    tensors = [
        Spec("in", (1, 2, 3), scale=0.5, zero=1),
        Spec("relu", (1, 2, 3), scale=0.5, zero=1),
        Spec("out", (1, 6), scale=0.5, zero=1),
    ]
    ops = [OpSpec("RELU", [0], [1]), OpSpec("RESHAPE", [1], [2])]
    return read_tflite(build(tensors, ops, [0], [1, 2]), "chain").graph


def _set(graph: Graph, index: int, **changes: object) -> Graph:
    tensors = list(graph.tensors)
    tensors[index] = replace(tensors[index], **changes)  # type: ignore[arg-type]
    return graph.with_(tensors=tuple(tensors))


def _op(graph: Graph, position: int, **changes: object) -> Graph:
    ops = list(graph.ops)
    ops[position] = replace(ops[position], **changes)  # type: ignore[arg-type]
    return graph.with_(ops=tuple(ops))


def test_run_returns_outputs_in_order_and_keeps_inner_tensors_on_request() -> None:
    graph = _chain()
    x = np.array([[[-128, 0, 1], [2, 3, 127]]], np.int8)
    relu, out = run(graph, [x])
    np.testing.assert_array_equal(relu, [[[1, 1, 1], [2, 3, 127]]])
    np.testing.assert_array_equal(out, [[1, 1, 1, 2, 3, 127]])
    assert set(run(graph, [x], keep=True)) == {0, 1, 2}
    np.testing.assert_array_equal(x, [[[-128, 0, 1], [2, 3, 127]]])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "takes 1 inputs, got 0"),
        ([np.zeros((1, 3, 2), np.int8)], r"got int8 \[1, 3, 2\]"),
        ([np.zeros((1, 2, 3), np.float32)], "got float32"),
    ],
)
def test_run_refuses_wrong_inputs(inputs: list[np.ndarray], words: str) -> None:
    with pytest.raises(DataError, match=words):
        run(_chain(), inputs)


def test_a_good_graph_verifies() -> None:
    verify(_chain())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: g.with_(ops=g.ops[::-1]), "RESHAPE 'out': reads 'relu' before anything writes"),
        (lambda g: g.with_(ops=(*g.ops, g.ops[0])), "writes 'relu', which has another source"),
        (lambda g: _op(g, 0, outputs=(0,)), "writes 'in', which has another source"),
        (lambda g: g.with_(ops=g.ops[:1]), "graph output 'out' is never computed"),
        (lambda g: g.with_(ops=()), "needs an input, an operator and an output"),
        (lambda g: g.with_(outputs=()), "needs an input, an operator and an output"),
        (lambda g: g.with_(inputs=(0, 0)), "listed as graph input twice"),
        (lambda g: g.with_(outputs=(7,)), "outside the list of tensors"),
        (lambda g: _op(g, 0, inputs=(-2,)), "outside the list of tensors"),
        (lambda g: _op(g, 0, inputs=(-1,)), "has no input or no output"),
        (lambda g: _set(g, 1, shape=(1, 2, 4)), r"expected \[1, 2, 3\]"),
        (lambda g: _set(g, 2, shape=(1, 0)), "must be fixed and at least 1"),
        (lambda g: _set(g, 2, quant=None), "int8 without scale and zero point"),
        (lambda g: _set(g, 2, dtype="int32"), "int32; only quantised int8"),
        (lambda g: _set(g, 1, quant=QuantParams((0.5, 0.5), (1,))), "2 scales, 1 zero points"),
        (lambda g: _set(g, 1, quant=QuantParams((-1.0,), (1,))), "not a positive number"),
        (lambda g: _set(g, 1, quant=QuantParams((0.5,), (128,))), "zero point outside int8"),
        (lambda g: _set(g, 1, quant=QuantParams((0.5, 0.5), (1, 1), 1)), "a scale per channel"),
        (lambda g: _set(g, 1, quant=QuantParams((0.5,) * 3, (1,) * 3, 1)), "3 scales for axis 1"),
        (lambda g: _set(g, 0, data=np.zeros((1, 2, 3), np.int8)), "'in' is a constant"),
    ],
)
def test_what_breaks_a_graph(change: object, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        verify(change(_chain()))  # type: ignore[operator]
    assert caught.value.hint


def test_the_pass_is_named_and_the_kind_of_error_kept() -> None:
    graph = _op(_chain(), 0, kind="FLOOR")
    with pytest.raises(UnsupportedOp, match="after pass fuse_pads: operator FLOOR"):
        verify(graph, after="fuse_pads")


def test_dump_shows_shapes_quantisation_and_order() -> None:
    assert dump(_chain()) == (
        "graph chain\n"
        "  in  %0 int8[1x2x3]*0.5+1\n"
        "    0 RELU(%0 int8[1x2x3]*0.5+1) -> %1 int8[1x2x3]*0.5+1  Attrs()\n"
        "    1 RESHAPE(%1 int8[1x2x3]*0.5+1) -> %2 int8[1x6]*0.5+1  Attrs()\n"
        "  out %1 int8[1x2x3]*0.5+1\n"
        "  out %2 int8[1x6]*0.5+1\n"
    )


@pytest.mark.parametrize("name", ["kws_ref_model", "vww_96_int8", "pretrainedResnet_quant"])
def test_real_models_equal_tflm_on_random_inputs(shared: Path, name: str) -> None:
    from tflite_micro.python.tflite_micro import runtime

    data = (shared / "models" / f"{name}.tflite").read_bytes()
    graph = read_tflite(data, name).graph
    interpreter = runtime.Interpreter.from_bytes(data)
    rng = np.random.default_rng(1)
    shape = graph.tensor(graph.inputs[0]).shape
    for _ in range(5):
        x = rng.integers(-128, 128, shape).astype(np.int8)
        interpreter.set_input(x, 0)
        interpreter.invoke()
        np.testing.assert_array_equal(run(graph, [x])[0], interpreter.get_output(0))
