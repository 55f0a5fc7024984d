"""Known answers of the self-test: by TFLM where it is, and never against it."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
import tflite
from test_operator_codes import product, recoded
from test_option_tables import with_table

from mcu_hybrid.board.load import load_board
from mcu_hybrid.compiler.emit.known_answers import KnownAnswer, checksum, inputs_of, known_answers
from mcu_hybrid.compiler.read import tflite as reader
from mcu_hybrid.errors import ModelError
from mcu_hybrid.reference import judge_process
from mcu_hybrid.reference.judge import Judge, Unjudged
from mcu_hybrid.steps.answers import OURS, TFLM, make_answers
from mcu_hybrid.steps.build import Model, build_step, read_model


@pytest.fixture
def model(tmp_path: Path) -> Model:
    path = tmp_path / "mul.tflite"
    path.write_bytes(recoded(product(), old=0, new=None))
    return read_model(path)


def test_tflm_makes_them(model: Model) -> None:
    made = make_answers(model, model.graph)
    judge = Judge(model.data)
    seeds = [answer.seed for answer in made.values]
    wanted = [KnownAnswer(s, checksum(judge.run(inputs_of(model.graph, s)))) for s in seeds]
    assert made.values == tuple(wanted) == known_answers(model.graph)
    assert (made.by, made.reason) == (TFLM, None)


def test_without_tflm_our_interpreter_makes_them(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_process, "_running", None)
    monkeypatch.setattr(judge_process, "find_spec", lambda name: None)
    made = make_answers(model, model.graph)
    assert made.values == known_answers(model.graph)
    assert (made.by, made.reason) == (OURS, "tflite-micro is not installed")


def test_where_tflm_dies_our_interpreter_makes_them(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: object) -> NoReturn:
        raise Unjudged("TFLM itself died (SIGSEGV) while it ran the model")

    monkeypatch.setattr(Judge, "run", die)
    made = make_answers(model, model.graph)
    assert made.by == OURS and made.reason is not None and "SIGSEGV" in made.reason


def test_a_model_that_we_misread_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault of old: the deprecated byte alone, so that the product is read as a sum."""
    monkeypatch.setattr(reader, "builtin_code", lambda code: code.DeprecatedBuiltinCode())
    path = tmp_path / "mul.tflite"
    data = recoded(product(), old=int(tflite.BuiltinOperator.ADD), new=None)
    path.write_bytes(with_table(data, None))  # its table would give it away
    assert read_model(path).graph.ops[0].kind == "ADD"
    with pytest.raises(ModelError, match=r"our interpreter and TFLM disagree: .* of output 'out'"):
        build_step(path, load_board("native"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
