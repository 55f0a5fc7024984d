"""Files that no converter writes: each runs exactly, or is refused by a sentence that is true."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.compiler.summary import summarize
from mcu_hybrid.errors import ModelError
from tests.support.tflite_builder import OpSpec, Spec, build

SHAPE = (1, 4, 4, 2)


def _int8(name: str, scale: float = 0.05, shape: tuple[int, ...] = SHAPE) -> Spec:
    return Spec(name, shape, scale=scale)


def _one(kind: str, source: float = 0.05, target: float = 0.05) -> bytes:
    return build([_int8("x", source), _int8("y", target)], [OpSpec(kind, (0,), (1,))], [0], [1])


def _dense(zero: Any = 0) -> bytes:
    weights = np.arange(24, dtype=np.int8).reshape(3, 8)
    tensors = [
        _int8("x", shape=(1, 8)),
        Spec("w", (3, 8), scale=[0.1, 0.2, 0.3], zero=zero, data=weights),
        _int8("y", shape=(1, 3)),
    ]
    return build(tensors, [OpSpec("FULLY_CONNECTED", (0, 1, -1), (2,))], [0], [2])


def _changed(data: bytes, change: Callable[[Any], None]) -> bytes:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _outside(model: Any) -> None:
    buffer = model.buffers[1]
    buffer.data, buffer.offset, buffer.size = None, 200, 24


def _empty(model: Any) -> None:
    model.buffers[1].data = None


def _edges(*, out: int) -> bytes:
    tensors = [Spec("f", SHAPE, "float32"), _int8("x"), Spec("g", SHAPE, "float32")]
    ops = [OpSpec("QUANTIZE", (0,), (1,)), OpSpec("DEQUANTIZE", (1,), (2,))]
    return build(tensors, ops[:out], [0], [out])


NOTHING = "computes nothing: its outputs are its inputs"
REFUSED = {
    "an output that is the input": (
        build([_int8("x"), _int8("y")], [OpSpec("RELU", (0,), (1,))], [0], [0]),
        NOTHING,
    ),
    "one edge": (_edges(out=1), NOTHING),
    "two edges": (_edges(out=2), NOTHING),
    "a constant without data": (_changed(_dense(), _empty), "'w', which is no input, no constant"),
    "a constant behind the tables": (_changed(_dense(), _outside), "'w' lies behind the model's"),
    "an asymmetric channel": (_dense(zero=[0, 5, 0]), r"asymmetric \(zero point 5\)"),
    "a size of -1 without a signature": (
        build(
            [_int8("x", shape=(1, -1, 8, 3)), _int8("y")], [OpSpec("RELU", (0,), (1,))], [0], [1]
        ),
        r"dynamic dimensions \[1, -1, 8, 3\]",
    ),
    "an ELU beyond int32": (_one("ELU", 1e30), "no int32 holds"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_what_it_is(name: str) -> None:
    data, words = REFUSED[name]
    with pytest.raises(ModelError, match=words) as caught:
        read_tflite(data, "odd.tflite")
    assert caught.value.hint
    assert not summarize(data, "odd.tflite").runs


def test_a_mean_is_not_called_too_large_for_its_scales() -> None:
    axes = Spec("axes", (2,), "int32", data=np.array([1, 2], np.int32))
    tensors = [_int8("x", 1e30), axes, _int8("y", shape=(1, 1, 1, 2))]
    data = build(tensors, [OpSpec("MEAN", (0, 1), (2,), {"keep_dims": True})], [0], [2])
    with pytest.raises(ModelError, match="times finer than the mean's"):
        read_tflite(data, "odd.tflite")


@pytest.mark.parametrize("kind", ["RELU", "LEAKY_RELU", "HARD_SWISH", "ELU", "EXP", "QUANTIZE"])
@pytest.mark.parametrize("scale", [1e-45, 1e-30, 3e38, float("nan"), float("inf")])
def test_absurd_scales_warn_nobody_of_our_lines(kind: str, scale: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in (_one(kind, source=scale), _one(kind, target=scale)):
            try:
                read_tflite(data, "odd.tflite")
            except ModelError as error:
                assert error.hint


def test_a_name_cannot_steer_the_terminal() -> None:
    evil = "\n\x1b[31m\x07\x9b"
    tensors = [_int8("x" + evil), _int8(evil)]
    data = build(tensors, [OpSpec(f"CUSTOM:{evil}", (0,), (1,))], [0], [1])
    with pytest.raises(ModelError) as caught:
        read_tflite(data, "odd.tflite")
    told = summarize(data, "odd.tflite")
    for line in (caught.value.message, *told.refusals, *told.inputs, told.layers[0].op):
        assert not set(line) & set(evil.replace("[31m", "")), line


def test_summarize_keeps_shapes_and_kinds_at_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is cut off: what is too wide goes on in the next line, long names show their end."""
    from mcu_hybrid.cli import main
    from mcu_hybrid.cli.common import short

    layer = "functional_1/batch_normalization/FusedBatchNormV3/conv2d;functional_1/activation/Relu"
    shape = (1, 48, 48, 128)
    tensors = [_int8("x", shape=shape), _int8(layer, shape=shape)]
    data = build(tensors, [OpSpec("RELU", (0,), (1,))], [0], [1])
    (tmp_path / "wide.tflite").write_bytes(data)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "argv", ["mcu-hybrid", "summarize", str(tmp_path / "wide.tflite")])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    table = capsys.readouterr().out.split("shapes  ")[0]
    table = re.sub(r"\x1b\[[0-9;]*m", "", table)
    assert max(map(len, table.splitlines())) <= 80
    assert "…" not in table
    assert table.count("1x48x48x128") == 2
    assert short(layer).endswith("/conv2d") and len(short(layer)) == 18
