"""Option tables: only the operator's own kind, or none, is read; anything else is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from mcu_hybrid import ops
from mcu_hybrid.compiler.read.flatbuffer import own_table
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import ModelError
from tests.support.tflite_builder import OpSpec, Spec, build, build_one

SHAPE = (1, 4, 4, 2)


def _int8(name: str) -> Spec:
    return Spec(name, SHAPE, scale=0.5, zero=3)


def with_table(data: bytes, name: str | None, position: int = 0) -> bytes:
    """The file with this kind of option table (None: without one) at one of its operators."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    op = model.subgraphs[0].operators[position]
    op.builtinOptionsType = 0 if name is None else getattr(schema.BuiltinOptions, name)
    op.builtinOptions = None if name is None else getattr(schema, f"{name}T")()
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _models() -> dict[str, bytes]:
    weights = Spec("w", (3, 1, 1, 2), scale=0.1, data=np.ones((3, 1, 1, 2), np.int8))
    pool = {"filter_height": 1, "filter_width": 1, "stride_h": 1, "stride_w": 1}
    conv = {"stride_h": 1, "stride_w": 1}
    return {
        "ADD": build_one("ADD", [_int8("a"), _int8("b")], [_int8("out")], {}),
        "RELU": build_one("RELU", [_int8("in")], [_int8("out")]),
        "CONV_2D": build_one(
            "CONV_2D", [_int8("in"), weights], [Spec("out", (1, 4, 4, 3), scale=0.5)], conv
        ),
        "MAX_POOL_2D": build_one("MAX_POOL_2D", [_int8("in")], [_int8("out")], pool),
    }


@pytest.mark.parametrize("kind", ["ADD", "RELU", "CONV_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize("table", ["SubOptions", "DepthwiseConv2DOptions", "LSTMOptions"])
def test_a_table_of_another_kind_is_refused_by_name(kind: str, table: str) -> None:
    data = _models()[kind]
    assert read_tflite(data, "net.tflite").graph.ops[0].kind == kind
    with pytest.raises(ModelError) as caught:
        read_tflite(with_table(data, table), "net.tflite")
    message = caught.value.message
    assert f"net.tflite: {kind} 'out': has an option table of another kind ({table}" in str(
        caught.value
    )
    assert own_table(kind) in message or "has none" in message


@pytest.mark.parametrize("kind", ["CONV_2D", "MAX_POOL_2D"])
def test_an_absent_table_is_refused_where_it_holds_the_window(kind: str) -> None:
    with pytest.raises(ModelError, match=f"{kind} 'out': has no option table"):
        read_tflite(with_table(_models()[kind], None), "net.tflite")


def test_an_absent_table_means_the_defaults_elsewhere() -> None:
    (op,) = read_tflite(with_table(_models()["ADD"], None), "net.tflite").graph.ops
    assert op.attrs.activation == 0


def test_edges_that_come_off_are_checked_too() -> None:
    tensors = [Spec("image", SHAPE, "float32"), _int8("q"), _int8("out")]
    steps = [OpSpec("QUANTIZE", [0], [1]), OpSpec("RELU", [1], [2])]
    data = with_table(build(tensors, steps, [0], [2]), "Conv2DOptions")
    with pytest.raises(ModelError, match="QUANTIZE 'q': has an option table of another kind"):
        read_tflite(data, "net.tflite")


def test_every_operator_has_a_table_of_the_schema_or_none() -> None:
    ours = {"ROUTE_FEATURES", "TABLE"}
    bare = {kind for kind in ops.known() if own_table(kind) == "NONE"} - ours
    for kind in bare:  # the schema has no table that could be meant
        words = kind.lower().split("_")
        names = [n.lower() for n in vars(schema.BuiltinOptions) if n.lower().startswith(words[0])]
        assert not any(all(word in name for word in words) for name in names), (kind, names)


def test_the_mutant_of_the_attack(shared: Path) -> None:
    path = shared / "models" / "bad" / "mutant7003728-kws_ref_model.tflite"
    if not path.is_file():
        pytest.skip("../shared/models/bad is absent")
    with pytest.raises(ModelError) as caught:
        read_tflite(path.read_bytes(), path.name)
    text: Any = str(caught.value)
    assert "CONV_2D" in text and "(DepthwiseConv2DOptions; CONV_2D takes Conv2DOptions)" in text
