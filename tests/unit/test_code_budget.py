"""The code budget: shared code is paid once, budgets are kept, sizes are the compiler's."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_hybrid.board.load import load_board
from mcu_hybrid.cli import main
from mcu_hybrid.compiler import code_budget
from mcu_hybrid.compiler.code_budget import TABLE, CodeTable, choose, code_table, pick
from mcu_hybrid.compiler.lowering import lower_graph
from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.errors import CapacityError
from mcu_hybrid.ops.base import CStruct, CSymbol, KernelCall, KernelId
from tools.calibrate import code_size

# Two kernels that share "core", one that brings its own, and a small one that replaces all.
SECTIONS = {
    "k.mh_a_s8": (100, ("k.core",)),
    "k.mh_b_s8": (50, ("k.core",)),
    "k.mh_own_s8": (900, ()),
    "k.mh_tiny_s8": (30, ()),
    "k.core": (1000, ()),
    "odd.mh_gemm_last_channel": (7, ()),
}
TABLE_OF_TEST = CodeTable(5000, {"p": 10}, SECTIONS)
FIXED = TABLE_OF_TEST.predicted(())  # of a model without layers


def way(family: str, instructions: int, *others: Choice, also: tuple[str, ...] = ()) -> Choice:
    call = KernelCall(KernelId(family), CStruct("p", ()), "unary", (0,), (1,), "k", also)
    return Choice(call, 0, (), instructions, {}, others=others)


def glue(layers: int) -> int:
    """Params and calls of so many layers."""
    one = TABLE_OF_TEST.predicted((way("tiny", 0),)) - FIXED - 30
    return layers * one


def test_shared_code_is_counted_once() -> None:
    lowered = (way("a", 1), way("b", 1), None, way("a", 1))
    assert TABLE_OF_TEST.predicted(lowered) == FIXED + glue(3) + 100 + 50 + 1000


def test_code_on_demand_counts_where_the_call_asks_for_it() -> None:
    table = replace(
        TABLE_OF_TEST, sections=SECTIONS | {"gemm_odd_s8.mh_gemm_last_channel": (7, ())}
    )
    plain, odd = way("tiny", 1), way("tiny", 1, also=("gemm_odd_s8",))
    assert table.predicted((odd,)) - table.predicted((plain,)) == 7


def test_what_the_params_point_to_is_counted() -> None:
    form = ("forms.rodata.mh_form_wide", (8, ("k.core",)))
    table = replace(TABLE_OF_TEST, sections=SECTIONS | dict((form,)))
    (choice,) = (way("tiny", 1),)
    params = CStruct("p", (("form", CSymbol("mh_form_wide", "forms")),))
    formed = replace(choice, call=replace(choice.call, params=params))
    assert table.predicted((formed,)) - table.predicted((choice,)) == 8 + 1000


def test_without_a_budget_little_is_spent() -> None:
    cheap = way("a", 1000, way("tiny", 1005))
    dear = way("a", 1000, way("tiny", 1500))
    assert choose((cheap, cheap), TABLE_OF_TEST).instructions == 2010
    # All layers must leave the core before its bytes are saved.
    found = choose((cheap, dear), TABLE_OF_TEST)
    assert found.instructions == found.fastest_instructions == 2000
    assert found.facts()["code_bytes_saved"] == 0


def test_a_budget_is_kept_with_few_instructions() -> None:
    first = way("a", 1000, way("tiny", 1300))
    second = way("own", 1000, way("tiny", 1100))
    lowered = (first, second)
    fastest = FIXED + glue(2) + 1100 + 900
    one = choose(lowered, TABLE_OF_TEST, fastest - 1)
    assert [c.call.kernel.family for c in one.kernels] == ["a", "tiny"]  # type: ignore[union-attr]
    assert one.instructions == 2100 and one.code_bytes == FIXED + glue(2) + 1130
    assert choose(lowered, TABLE_OF_TEST, fastest).instructions == 2000
    least = FIXED + glue(2) + 30
    assert choose(lowered, TABLE_OF_TEST, least).code_bytes == least
    with pytest.raises(CapacityError, match=rf"takes about {least:,} B") as error:
        choose(lowered, TABLE_OF_TEST, least - 1)
    assert f"--code-budget {least}" in str(error.value)


def test_pick_avoids_what_was_given_up() -> None:
    choice = way("a", 1, way("own", 2), way("tiny", 3))
    assert pick(choice, frozenset(), TABLE_OF_TEST) is choice
    assert pick(choice, frozenset({"k.core"}), TABLE_OF_TEST).call.kernel.family == "own"
    both = frozenset({"k.core", "k.mh_own_s8"})
    assert pick(choice, both, TABLE_OF_TEST).call.kernel.family == "tiny"


def test_every_kernel_of_a_model_was_measured(shared: Path) -> None:
    data = (shared / "models" / "mcunet_vww1.tflite").read_bytes()
    graph = optimise(read_tflite(data, "mcunet_vww1").graph, fold_dead=True)
    dirs = load_board("mps2-an500").core.kernel_dirs
    table = code_table(dirs)
    for choice in (step.kernel for step in lower_graph(graph, dirs)):
        for one in (choice, *choice.others) if choice is not None else ():
            assert f"{one.call.source}.{one.call.kernel.symbol}" in table.sections
            for _, value in one.call.params.fields:
                if isinstance(value, CSymbol):
                    assert f"{value.source}.rodata.{value.name}" in table.sections
            assert one.call.params.ctype in table.params


def _tool(name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")


def test_sizes_are_those_of_the_compiler_here() -> None:
    _tool("arm-none-eabi-gcc")
    known = json.loads(TABLE.read_text("utf-8"))
    assert known.keys() == code_size.BOARDS.keys()
    for folder, here in code_size.tables().items():
        there = known[folder]
        assert there["sections"].keys() == here["sections"].keys()
        assert there["params"] == here["params"]
        assert here["harness"] == pytest.approx(there["harness"], rel=0.03)
        total = sum(size for size, _ in here["sections"].values())
        off = sum(
            abs(size - there["sections"][key][0]) for key, (size, _) in here["sections"].items()
        )
        assert off <= 0.03 * total, f"{folder}: run python -m tools.calibrate.code_size --write"


def _run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize("budget", [(), ("--code-budget", "13100")])
def test_a_build_takes_what_was_predicted(
    budget: tuple[str, ...], shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _tool("arm-none-eabi-gcc")
    model = str(shared / "models" / "kws_ref_model.tflite")
    code, out, err = _run(capsys, "build", model, "--out", str(tmp_path / "out"), "--json", *budget)
    assert code == 0, err
    facts = json.loads(out)
    assert facts["predicted_code_bytes"] == pytest.approx(facts["code_bytes"], rel=0.02)
    if budget:
        assert facts["predicted_code_bytes"] <= 13_000
        assert facts["code_bytes_saved"] > 500 and facts["instructions_spent"] > 0


def test_an_impossible_budget_names_the_smallest(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(shared / "models" / "kws_ref_model.tflite")
    argv = ("build", model, "--out", str(tmp_path / "out"), "--code-budget", "6K")
    code, _, err = _run(capsys, *argv)
    assert code == 1
    assert "the code budget is 6,144 B" in err and "--code-budget 1" in err
    assert "Traceback" not in err


def test_the_slack_is_what_the_help_says(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = _run(capsys, "build", "--help")
    words = " ".join(out.replace("\u2502", " ").split())
    assert f"less than {code_budget.SLACK * 100:g} % more instructions" in words
