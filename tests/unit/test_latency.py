"""Times: estimates have a range and say so; only a real board's counter measures."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mcu_hybrid.artifacts.bench import BenchResult, LayerMix, LayerTime, M4Cycles, Mix, ModelMix
from mcu_hybrid.artifacts.build import LayerRow
from mcu_hybrid.artifacts.run import RunResult
from mcu_hybrid.artifacts.times import Latency, Rests
from mcu_hybrid.bench.timing import Timer, Work
from mcu_hybrid.board.load import board_names, load_board
from mcu_hybrid.cli.bench import print_bench
from mcu_hybrid.cli.run import print_run
from mcu_hybrid.errors import BoardError
from mcu_hybrid.link import is_serial_port
from mcu_hybrid.machines import price
from mcu_hybrid.routing import evaluate
from mcu_hybrid.routing.outcomes import Outcomes
from mcu_hybrid.routing.thresholds import threshold_for
from mcu_hybrid.wire.payloads import Hello
from tests.support.artefacts import example
from tests.support.own_boards import write_boards

KWS = 2_488_755  # instructions of kws_ref_model
LAYERS = [
    LayerRow(name="conv", op="CONV_2D", macs=3000, out_bytes=0),
    LayerRow(name="dense", op="FULLY_CONNECTED", macs=1000, out_bytes=0),
]


def hello(tick_instructions: int, tick_hz: int = 480_000_000) -> Hello:
    told = SimpleNamespace(tick_hz=tick_hz, tick_instructions=tick_instructions)
    return cast(Hello, told)


def timer(board: str, url: str, counts: bool = False, predicted: Any = (2000, 900)) -> Timer:
    return Timer(load_board(board), hello(40 if counts else 0), url, Work(LAYERS, predicted))


# -- what an estimate is


@pytest.mark.parametrize(
    ("board", "code", "cycles", "low", "high"),
    [
        ("stm32h7", price.AOT, 1.13, 0.92, 1.20),
        ("stm32h7", price.TFLM, 0.75, 0.92, 1.20),
        ("stm32f7", price.AOT, 1.13, 0.92, 1.20),
        ("mps2-an500", price.AOT, 1.13, 0.92, 1.20),
        ("stm32f4", price.AOT, 1.49 + 0.14, 0.85, 1.15),  # weights from flash at 5 wait states
        ("stm32f4", price.TFLM, 1.21, 0.85, 1.15),
        ("netduinoplus2", price.AOT, 1.49 + 0.14, 0.85, 1.15),
        ("nrf52840dk", price.AOT, 1.49, 0.95, 1.35),
    ],
)
def test_cycles_and_range(board: str, code: str, cycles: float, low: float, high: float) -> None:
    found = load_board(board)
    time = price.estimate(found, 1_000_000, code)
    us = 1e12 * cycles / found.estimate_clock_hz
    assert time.us == pytest.approx(us)
    assert (time.low_us, time.high_us) == pytest.approx((us * low, us * high))
    assert time.kind == "estimate" and price.MODELLED in time.basis and "estimate" in time.basis


def test_the_wording() -> None:
    told = price.text_of(price.estimate(load_board("stm32h7"), KWS).said())
    assert told.startswith(
        "about 5.9 ms (5.4-7.0), modelled from measured instruction timings, not measured on this "
        "board"
    )


def test_a_core_without_timings_has_no_time() -> None:
    for name in board_names():
        board = load_board(name)
        priced = board.core.name.startswith(("cortex-m7", "cortex-m4"))
        time = price.estimate(board, 1000)
        assert (time.us is not None) == (time.kind == "estimate") == priced, name
        assert priced or price.text_of(time.said()).startswith("-   no cycles")


def test_the_weights_of_a_fully_connected_layer_widen_the_range() -> None:
    board = load_board("stm32h7")
    parts = price.parts_of(LAYERS, [2000, 900], 2950)
    assert [part.instructions for part in parts] == [2000, 900, 50]
    assert [part.dense_bytes for part in parts] == [None, 1000, None]
    dense = price.estimate(board, parts[1:2])
    assert dense.us is not None and dense.us > 900 * 1.13 / 480  # streamed from flash
    assert dense.low_us == pytest.approx(0.75 * dense.us)
    assert dense.high_us == pytest.approx(1.25 * dense.us)
    wide = price.estimate(load_board("nrf52840dk"), parts[1:2])
    assert (wide.low_us or 0) / (wide.us or 1) == pytest.approx(0.75)
    assert (wide.high_us or 0) / (wide.us or 1) == pytest.approx(1.35)
    shared = price.parts_of(LAYERS, [2000, None], 4000)  # by MACs where a layer is not known
    assert [part.instructions for part in shared] == [3000, 1000, 0]


def test_a_counted_mix_prices_a_cortex_m4() -> None:
    board = load_board("mps2-an386")
    time = price.estimate(board, [price.Part(1000, None, 1600.0)])
    assert time.us == pytest.approx((1600 + 0.14 * 1000) / 180)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("cycles = { aot = 1.1 }", "cycles_range"),
        ("cycles_range = [-8, 20]", "cycles"),
        ("cycles = { aot = 0 }\ncycles_range = [-8, 20]", "cycles"),
        ("cycles = { tflm = 1.0 }\ncycles_range = [-8, 20]", "cycles"),
        ("cycles = { aot = 1.1, gcc = 2 }\ncycles_range = [-8, 20]", "cycles.gcc"),
        ("cycles = { aot = nan }\ncycles_range = [-8, 20]", "cycles"),
        ("cycles = { aot = 1.1 }\ncycles_range = [8, 20]", "cycles_range"),
        ("cycles = { aot = 1.1 }\ncycles_range = [-8]", "cycles_range"),
    ],
)
def test_a_wrong_price_is_an_error(tmp_path: Path, line: str, key: str) -> None:
    spoil = ("cores.toml", "kernel_dirs", f"{line}\nkernel_dirs")
    with pytest.raises(BoardError) as told:
        load_board("own", [write_boards(tmp_path, spoil)])
    assert told.value.key.endswith(key)


def test_a_wrong_flash_price_is_an_error(tmp_path: Path) -> None:
    spoil = ("chips/small.toml", "stack_bytes", "flash_cycles = { instruction = -1 }\nstack_bytes")
    with pytest.raises(BoardError, match="0 or more"):
        load_board("own", [write_boards(tmp_path, spoil)])


# -- what is measured


@pytest.mark.parametrize(
    ("board", "url", "kind"),
    [
        ("stm32h7", "uart:/dev/ttyACM0?baud=921600", "measured"),
        ("nrf52840dk", "uart:COM7", "measured"),
        ("stm32h7", "socket://127.0.0.1:5555", "estimate"),  # an emulator that says it is the board
        ("stm32h7", "uart:/dev/pts/3", "estimate"),
        ("mps2-an500", "uart:/dev/ttyACM0", "estimate"),
        ("mps3-an547", "socket://127.0.0.1:5555", None),
        ("native", "child:firmware", None),
        ("native", "socket://127.0.0.1:5555", None),
    ],
)
def test_only_a_real_boards_counter_measures(board: str, url: str, kind: str | None) -> None:
    time = timer(board, url).total(480_000, 0)
    assert time.kind == kind
    data = time.said()
    assert data.latency_is_estimate == (kind == "estimate")
    printed = price.text_of(data)
    if kind == "measured":
        assert time.us == pytest.approx(1000) and printed.startswith("1.000 ms, measured")
    else:
        assert "measured:" not in time.basis and (kind is None) == printed.startswith("-")
        assert time.board_ms()[0] != pytest.approx(1.0)


def test_an_emulated_boards_layers_are_the_builds_prediction() -> None:
    emulated = timer("stm32h7", "socket://localhost:5555")
    assert emulated.layer(0, 999_999, 0).us == pytest.approx(2000 * 1.13 / 480)
    assert "socket://localhost:5555 is no serial port" in emulated.total(999_999, 0).basis
    blind = timer("stm32h7", "socket://localhost:5555", predicted=None)
    assert blind.total(999_999, 0).us is None and blind.layer(0, 999_999, 0).us is None
    counting = timer("mps2-an500", "socket://localhost:5555", counts=True)
    assert counting.layer(0, 50, 2000).us == pytest.approx(2000 * 1.13 / 480)


def test_a_pseudo_terminal_is_no_serial_port(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        alias = tmp_path / "ttyACM0"
        alias.symlink_to(os.ttyname(slave))
        assert not is_serial_port(f"uart:{os.ttyname(slave)}?baud=115200")
        assert not is_serial_port(f"uart:{alias}")
    finally:
        os.close(master)
        os.close(slave)
    for port in ("/dev/ttyUSB0", "/dev/ttyS3", "/dev/ttyAMA0", "/dev/cu.usbmodem1", "COM3"):
        assert is_serial_port(f"uart:{port}?baud=921600")
    assert not is_serial_port("child:/dev/ttyACM0")


# -- what is printed


@pytest.mark.parametrize(
    ("us", "low", "high", "text"),
    [
        (147.2, 135.4, 176.7, "0.15 ms (0.14-0.18)"),
        (24_981, 22_983, 29_977, "25.0 ms (23.0-30.0)"),
        (512_345.0, 450_000.0, 575_000.0, "512 ms (450-575)"),
        (3.1, 2.3, 3.9, "0.0031 ms (0.0023-0.0039)"),
        (5870.0, None, None, "5.9 ms"),
    ],
)
def test_digits(us: float, low: float | None, high: float | None, text: str) -> None:
    assert price.milliseconds(us, low, high) == text


def test_results_of_the_first_version() -> None:
    old = Latency(latency_us=4100.0, latency_basis="estimate (+-15 %)")
    assert price.kind_of(old) == "estimate" and price.time_of(old).us is None
    seen = Latency(latency_us=1.0, latency_is_estimate=False)
    assert price.kind_of(replace(seen, latency_basis="measured: ticks at 1 Hz")) is None
    assert price.kind_of(replace(seen, latency_basis="host process: ticks at 1 Hz")) is None


def bench(board: str, time: price.Time, cycles: M4Cycles | None) -> BenchResult:
    mix = Mix(1000, {"alu": 1000}, {}, cycles)
    layer = example(LayerTime, op="CONV_2D", macs=10, instructions=1000, time=time.span)
    return example(
        BenchResult,
        board=board,
        core=load_board(board).core.name,
        instructions=1000,
        layers=(layer,),
        time=time.said(),
        exact=None,
        mix=ModelMix(mix, 1000, "table", (LayerMix("a", "CONV_2D", mix),)),
    )


def test_bench_prints_milliseconds_a_layer(capsys: pytest.CaptureFixture[str]) -> None:
    board = load_board("mps2-an500")
    print_bench(bench("mps2-an500", price.estimate(board, 1000 * KWS), None))
    told = capsys.readouterr().out
    assert "ms, estimate (range)" in told and "M4 cycles" not in told
    assert "5,859 (5,390-7,031)" in told
    cycles = M4Cycles(1400, 1500, 1600)
    print_bench(bench("mps2-an386", price.estimate(load_board("mps2-an386"), 1000), cycles))
    assert "M4 cycles" in capsys.readouterr().out
    print_bench(bench("mps3-an547", price.estimate(load_board("mps3-an547"), 1000), None))
    told = capsys.readouterr().out
    assert "latency       -   no cycles per instruction" in told and "ms" not in told.split()


def test_a_run_without_a_time_has_empty_latencies(capsys: pytest.CaptureFixture[str]) -> None:
    two, none = np.array([0, 1]), np.array([0, 0])
    labels = Outcomes.of_two(two, none, none, {"router": two})
    costs = evaluate.Costs(None, 40.0, 100)
    thresholds = {c: threshold_for(two, c) for c in evaluate.COVERAGES}
    rows = evaluate.table(labels, {"router": thresholds}, costs)
    assert all(row.latency_ms is None for row in rows)
    curve = evaluate.curve(labels, "router", costs)
    assert curve.latency_ms == (None,) * len(curve.coverage)
    result = example(
        RunResult,
        rows=rows,
        board="mps2-an385",
        edge_ms=None,
        query_ms=40.0,
        rests=Rests(latency_kind=None, latency_basis="no cycles per instruction are known"),
        exact=None,
    )
    print_run(result)
    told = capsys.readouterr().out
    assert "latency: none (no cycles per instruction are known); 40.00 ms per query" in told


def test_a_runs_estimate_has_a_range() -> None:
    costs = evaluate.Costs(6.0, 40.0, 100, 5.5, 7.0)
    assert costs.latency_ms(0.5) == (26.0, 25.5, 27.0)
