"""Types for what comes: low bits, state and a second core are there, and refused or told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import ops
from mcu_hybrid.board.load import load_board
from mcu_hybrid.cli import main
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import BoardError, ModelError, UnsupportedOp
from mcu_hybrid.graph.types import Graph, Tensor
from mcu_hybrid.ops.lut import EVERY_INT8
from mcu_hybrid.ops.tanh import TANH
from mcu_hybrid.quant import QuantParams
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.verify import verify
from mcu_hybrid.steps.build import build_step
from tests.support.own_boards import write_boards
from tests.support.tflite_builder import OpSpec, Spec, build

X = EVERY_INT8.reshape(1, 256)


def _graph(**output: object) -> Graph:
    """TANH of every byte; ``output``: what its output tensor is beside that."""
    source = Tensor("x", X.shape, "int8", QuantParams((0.02,), (3,)))
    target = Tensor("y", X.shape, "int8", QuantParams((1 / 128,), (0,)))
    op = TANH.make("layer", (0,), (1,), TANH.attrs())
    return Graph("m", (source, replace(target, **output)), (op,), (0,), (1,))


def test_bits_are_those_of_the_dtype_unless_a_tensor_has_fewer() -> None:
    tensors = [Tensor("t", (3, 5), dtype) for dtype in ("int2", "int4", "int8", "int16", "int64")]
    assert [(t.bits, t.bytes) for t in tensors] == [(2, 4), (4, 8), (8, 15), (16, 30), (64, 120)]
    one = Tensor("t", (3, 5), "int8", packed=1)
    assert (one.bits, one.bytes) == (1, 2)


@pytest.mark.parametrize("packed", [1, 2, 4])
def test_values_of_few_bits_are_refused_by_name(packed: int) -> None:
    verify(_graph())
    with pytest.raises(UnsupportedOp, match=rf"tensor 'y' is int8 with {packed} bits a value"):
        verify(_graph(packed=packed))


@pytest.mark.parametrize("dtype", ["int4", "int2"])
def test_a_file_with_int4_is_refused_with_the_tensor_and_a_way_out(dtype: str) -> None:
    def file(weights: str, out: str) -> bytes:
        data = np.ones((3, 1, 1, 2), np.int8)
        tensors = [
            Spec("x", (1, 2, 2, 2), scale=0.1),
            Spec("w", data.shape, dtype=weights, scale=0.1, data=data),
            Spec("y", (1, 2, 2, 3), dtype=out, scale=0.1),
        ]
        options = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
        return build(tensors, [OpSpec("CONV_2D", (0, 1), (2,), options)], [0], [2])

    read_tflite(file("int8", "int8"), "m")
    for name, data in (("w", file(dtype, "int8")), ("y", file("int8", dtype))):
        with pytest.raises(ModelError, match=f"tensor '{name}' is {dtype} with") as error:
            read_tflite(data, "m")
        assert "full-integer int8" in error.value.hint


def test_a_state_is_refused_by_name() -> None:
    words = "keeps state in the tensor 'y'; the engine does not run state yet"
    with pytest.raises(UnsupportedOp, match=words):
        verify(_graph(state=True))
    with pytest.raises(UnsupportedOp, match=words):
        interp.run(_graph(state=True), [X])
    assert interp.run(_graph(), [X])[0].size == 256


def test_a_stateful_operator_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    stateful = replace(TANH, traits=replace(TANH.traits, stateful=True))
    monkeypatch.setattr(ops, "known", lambda: {"TANH": stateful})
    with pytest.raises(UnsupportedOp, match="TANH 'layer': keeps state from one inference"):
        verify(_graph())


TWO = ("chips/small.toml", 'core = "mine"', 'cores = ["mine", "cortex-m4"]')


def test_a_chip_of_two_cores_is_read_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = load_board("own", [write_boards(tmp_path / "one")])
    assert [core.name for core in one.chip.cores] == ["mine"] and "cores" not in one.to_json()
    folder = write_boards(tmp_path / "two", TWO)
    board = load_board("own", [folder])
    assert [core.name for core in board.chip.cores] == ["mine", "cortex-m4"]
    assert board.core.name == "mine"
    rows = json.loads(_said(capsys, "boards", "--boards", str(folder), "--json"))
    row = next(row for row in rows if row["name"] == "own")
    assert (row["core"], row["cores"]) == ("mine", ["mine", "cortex-m4"])
    assert "mine +" in _said(capsys, "boards", "--boards", str(folder))


def _said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("cores", "said"),
    [
        ("cores = []", "cores: names no core"),
        ('cores = ["mine", "m9"]', "cores: core 'm9' is unknown"),
        ('core = "mine"\ncores = ["mine"]', "cores: core is there too"),
        ('cores = "mine"', "cores: must be list"),
    ],
)
def test_faults_of_cores_name_file_and_key(cores: str, said: str, tmp_path: Path) -> None:
    folder = write_boards(tmp_path / "mine", (TWO[0], TWO[1], cores))
    with pytest.raises(BoardError, match=f"small.toml: {said}"):
        load_board("own", [folder])


def test_a_build_for_two_cores_says_which_one_runs(tmp_path: Path) -> None:
    native = load_board("native")
    chip = replace(native.chip, cores=(native.core, load_board("stm32f4").core))
    source = tmp_path / "m.tflite"
    tensors = [Spec("x", X.shape, scale=0.02), Spec("y", X.shape, scale=1 / 128)]
    source.write_bytes(build(tensors, [OpSpec("TANH", (0,), (1,))], [0], [1]))
    made = build_step(source, replace(native, chip=chip), tmp_path / "build")
    assert "chip host has the cores host, cortex-m4: built for host, which boots" in "".join(
        made.facts.notes
    )
