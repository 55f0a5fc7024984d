"""Operator codes that stand in the new field alone: reader, cut and judge take the larger field."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tflite
from ai_edge_litert import schema_py_generated as schema

from mcu_hybrid.compiler.read.cut import cut
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.judge import Judge
from mcu_hybrid.tflite_file import builtin_code
from tests.support.tflite_builder import Spec, build_one

SHAPE = (1, 4, 4, 2)


def recoded(data: bytes, *, old: int | None, new: int | None) -> bytes:
    """The file with these fields of its operator codes set (None: as they are)."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    for code in model.operatorCodes:
        code.deprecatedBuiltinCode = code.deprecatedBuiltinCode if old is None else old
        code.builtinCode = code.builtinCode if new is None else new
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def product() -> bytes:
    """A MUL of two inputs, which an ADD could be mistaken for."""
    a, b = (Spec(name, SHAPE, scale=0.05, zero=2) for name in "ab")
    return build_one("MUL", [a, b], [Spec("out", SHAPE, scale=0.1, zero=-3)], {})


@pytest.mark.parametrize("fields", [{"old": 0, "new": None}, {"old": None, "new": 0}])
def test_either_field_alone_is_enough(fields: dict[str, int | None]) -> None:
    data = recoded(product(), **fields)
    graph = read_tflite(data, "m").graph
    assert [op.kind for op in graph.ops] == ["MUL"]
    rng = np.random.default_rng(1)
    inputs = [rng.integers(-128, 128, SHAPE, np.int8) for _ in range(2)]
    (have,), (want,) = interp.run(graph, inputs), Judge(data).run(inputs)
    np.testing.assert_array_equal(have, want)


def test_a_cut_writes_both_fields() -> None:
    data = recoded(product(), old=0, new=None)
    part = cut(data, [0, 1], [2])
    code = tflite.Model.GetRootAs(part, 0).OperatorCodes(0)
    assert builtin_code(code) == code.DeprecatedBuiltinCode() == tflite.BuiltinOperator.MUL


def test_a_code_that_no_schema_has_is_named() -> None:
    with pytest.raises(Exception, match="number 9999 of a newer schema"):
        read_tflite(recoded(product(), old=127, new=9999), "m")


def test_float_edges_of_a_new_code_are_found(shared: Path) -> None:
    data = (shared / "models" / "mcunet_vww1.tflite").read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
        code.deprecatedBuiltinCode = 0
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    graph = read_tflite(bytes(builder.Output()), "m").graph
    assert len(graph.notes) == 2
    assert graph.ops == read_tflite(data, "m").graph.ops
