"""MACs: those of the model as given, and those that are executed; one definition of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcu_hybrid import ops
from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.board.load import load_board
from mcu_hybrid.cli.bench import print_bench
from mcu_hybrid.compiler import report
from mcu_hybrid.compiler.engine import EngineOptions
from mcu_hybrid.engines.compile import compile_graph
from mcu_hybrid.steps.build import read_model
from tests.support.artefacts import example


def _rows(model: Path, **options: object) -> int:
    board = load_board("mps2-an500")
    made = compile_graph(read_model(model).graph, board, EngineOptions(**options))  # type: ignore[arg-type]
    return sum(row.macs for row in report.layer_rows(made.program))


def test_folding_changes_what_is_executed_alone(shared: Path) -> None:
    path = shared / "models" / "vww_96_int8.tflite"
    given = report.model_macs(read_model(path).graph)
    assert _rows(path, kernels="ref") == given
    assert _rows(path) < given


def test_rows_that_no_window_sees_are_not_executed(shared: Path) -> None:
    """The last pool reads 8 of 9 rows, as 8 of 9 columns: a stream leaves the rows out."""
    path = shared / "models" / "field" / "mltk_image_example1.tflite"
    given = read_model(path).graph
    made = compile_graph(read_model(path).graph, load_board("mps2-an500"), EngineOptions())
    graph = made.program.graph
    (number, stream), *_ = made.program.streams
    whole = sum(ops.operator(part.kind).macs(graph, part) for part in stream.run)
    last = stream.run[-2]
    unseen = ops.operator(last.kind).macs(graph, last) // 9
    assert graph.tensor(last.outputs[0]).shape[1] == 9
    assert report.executed_macs(graph, made.program.layers[number]) <= whole - unseen
    assert _rows(path) < report.model_macs(given)


def test_rows_that_are_computed_twice_count_twice(shared: Path) -> None:
    path = shared / "models" / "vww_96_int8.tflite"
    made = compile_graph(
        read_model(path).graph, load_board("mps2-an500"), EngineOptions(optimize="ram")
    )
    graph = made.program.graph
    for number, stream in made.program.streams:
        if not stream.keep:
            whole = sum(ops.operator(part.kind).macs(graph, part) for part in stream.run)
            assert report.executed_macs(graph, made.program.layers[number]) > whole


def test_bench_says_which_macs(capsys: pytest.CaptureFixture[str]) -> None:
    made = example(BenchResult, macs=100, macs_executed=50, instructions=80, exact=None, mix=None)
    print_bench(made)
    told = capsys.readouterr().out.splitlines()
    assert any("100   0.80 instructions per MAC of the model" in line for line in told)
    assert any("50   1.60 instructions per MAC executed" in line for line in told)
