"""The fit gate: what a model asks of a board, and the message where it does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcu_hybrid.artifacts.codec import to_json
from mcu_hybrid.board.load import list_boards, load_board
from mcu_hybrid.compiler import report
from mcu_hybrid.compiler.program import program_of
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import CapacityError
from mcu_hybrid.firmware.fit import fit_gate, needs
from mcu_hybrid.image.firmware import Footprint

SMALL = Footprint(1_000, 2_000, 3, ("conv2d_s8",))


def footprint(shared: Path, name: str) -> Footprint:
    graph = read_tflite((shared / "models" / f"{name}.tflite").read_bytes(), name).graph
    return report.footprint(program_of(graph))


CANDIDATES = ("mps2-an386", "mps2-an500", "netduinoplus2", "nrf52840dk", "stm32f7", "stm32h7")


@pytest.mark.parametrize("board", list_boards(), ids=lambda board: board.name)
def test_a_small_model_fits_every_board(board) -> None:  # type: ignore[no-untyped-def]
    assert all(need.fits for need in fit_gate(board, SMALL))


def test_needs_follow_the_placement() -> None:
    found = {need.region: need for need in needs(load_board("stm32h7"), SMALL)}
    assert found["ram"].parts == (("arena", 1_000),)
    assert [name for name, _ in found["dtcm"].parts] == ["statics", "stack"]
    assert found["flash"].have == 2 * 1024 * 1024


def test_too_much_ram_names_need_have_largest_and_boards() -> None:
    model = Footprint(140_000, 2_000, 3, (), ("op 7 CONV_2D 98,304 B",), ("op 1 CONV_2D 2 B",))
    with pytest.raises(CapacityError) as error:
        fit_gate(load_board("stm32f4"), model, [load_board(name) for name in CANDIDATES])
    assert str(error.value) == (
        "needs 149,980 B RAM, stm32f4 has 131,072 B (statics 1,788 + stack 8,192 + arena 140,000); "
        "largest: op 7 CONV_2D 98,304 B\n"
        "  next step: boards that fit: mps2-an386, mps2-an500, nrf52840dk, stm32f7, stm32h7; "
        "or a smaller input or network"
    )
    assert (error.value.need, error.value.have) == (149_980, 131_072)


def test_too_much_flash_names_the_heaviest_tables() -> None:
    model = Footprint(10, 1_100_000, 3, (), ("op 7 CONV_2D 10 B",), ("op 9 FULLY_CONNECTED 1 B",))
    with pytest.raises(CapacityError, match=r"B flash, .*largest: op 9 FULLY_CONNECTED 1 B"):
        fit_gate(load_board("stm32f7"), model)


def test_nothing_fits_says_so() -> None:
    with pytest.raises(CapacityError, match="boards that fit: none;"):
        fit_gate(load_board("stm32f4"), Footprint(1 << 30, 1, 1, ()), list_boards())


def test_a_host_has_no_limits() -> None:
    assert fit_gate(load_board("native"), Footprint(1 << 30, 1 << 30, 1, ())) == ()


def test_mcunet_fits_its_budget_and_not_less(shared: Path) -> None:
    model = footprint(shared, "mcunet_vww1")
    assert fit_gate(load_board("stm32f7"), model)
    if model.arena_bytes > 131_072:
        with pytest.raises(CapacityError, match=r"needs 1\d\d,\d{3} B RAM, stm32f4 has 131,072 B"):
            fit_gate(load_board("stm32f4"), model)


def test_largest_are_the_fullest_layers(shared: Path) -> None:
    model = footprint(shared, "kws_ref_model")
    assert len(model.largest_ram) == len(model.largest_flash) == 3
    assert f" {model.arena_bytes:,} B (1x25x5x64 8,000 + " in model.largest_ram[0]
    assert sum(row["bytes"] for row in _flash(shared)) == model.weights_bytes


def _flash(shared: Path) -> list[dict[str, int]]:
    data = (shared / "models" / "kws_ref_model.tflite").read_bytes()
    return report.flash_rows(program_of(read_tflite(data, "kws").graph))


def test_plan_json_is_a_map_over_time(shared: Path) -> None:
    graph = read_tflite((shared / "models" / "kws_ref_model.tflite").read_bytes(), "kws").graph
    program = program_of(graph)
    data = to_json(report.memory_map(program))
    assert max(op["live_bytes"] for op in data["ops"]) <= data["lower_bound_bytes"]
    assert data["ops"][data["peak_op"]]["live_bytes"] == max(o["live_bytes"] for o in data["ops"])
    assert all(b["offset"] + b["bytes"] <= data["arena_bytes"] for b in data["buffers"])
    assert [op["op"] for op in data["ops"]] == [row.op for row in report.layer_rows(program)]
