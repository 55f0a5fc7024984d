"""``speed`` is the fastest of all schedules, streams included; other aims are never faster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mcu_hybrid.board.load import load_board
from mcu_hybrid.compiler import code_budget
from mcu_hybrid.compiler.engine import EngineOptions
from mcu_hybrid.compiler.program import Program
from mcu_hybrid.compiler.schedule.choose import MUCH_SMALLER, SAME_SPEED, choose
from mcu_hybrid.compiler.schedule.stream import Stream
from mcu_hybrid.engines.compile import Selected, compile_graph
from mcu_hybrid.steps.build import read_model

MODELS = (
    "hello_world_int8",
    "micro_speech_quantized",
    "kws_ref_model",
    "vww_96_int8",
    "pretrainedResnet_quant",
    "field/mltk_image_example1",
    "field/blazeface_128_int8",
)


def _predicted(made: Selected) -> int:
    return sum(choice.instructions or 0 for choice in made.program.kernels)


def _compiled(model: Path, **options: object) -> Selected:
    wanted = replace(EngineOptions(), **options)  # type: ignore[arg-type]
    return compile_graph(read_model(model).graph, load_board("mps2-an500"), wanted)


@pytest.mark.parametrize("name", MODELS)
def test_no_other_schedule_is_predicted_faster(shared: Path, name: str) -> None:
    model = shared / "models" / f"{name}.tflite"
    speed, ram = _compiled(model), _compiled(model, optimize="ram")
    assert speed.code is not None
    others = [point.instructions for point in ram.front]
    others += [_predicted(ram), speed.code.instructions]  # the last: every operator by itself
    assert _predicted(speed) <= SAME_SPEED * min(others)
    assert ram.program.plan.arena_bytes <= speed.program.plan.arena_bytes


def test_speed_takes_streams_that_are_faster(shared: Path) -> None:
    """Rows that no window of the last pool sees are not computed by a stream."""
    made = _compiled(shared / "models" / "field" / "mltk_image_example1.tflite")
    assert made.code is not None
    assert made.program.streams
    assert _predicted(made) < 0.9 * made.code.instructions


def test_streams_that_buy_nothing_are_not_taken(shared: Path) -> None:
    """They would take code: 0.1 % fewer instructions in the same arena."""
    made = _compiled(shared / "models" / "field" / "blazeface_128_int8.tflite")
    assert not made.program.streams


def test_streams_stay_within_the_code_budget(shared: Path) -> None:
    model = shared / "models" / "field" / "mltk_image_example1.tflite"
    table = code_budget.code_table(load_board("mps2-an500").core.kernel_dirs)
    free = _compiled(model)
    size = table.predicted(free.program.kernels)
    made = _compiled(model, code_budget=size - 200)
    assert table.predicted(made.program.kernels) <= size - 200 < size


def _point(like: Program, instructions: int, arena: int, streams: int) -> Program:
    """One layer with all the instructions, and streams that cost none."""
    plain = next(layer for layer in like.layers if not isinstance(layer.op, Stream))
    stream = like.layers[like.streams[0][0]]
    costs = replace(plain, kernel=replace(plain.kernel, instructions=instructions))
    free = replace(stream, kernel=replace(stream.kernel, instructions=0))
    segment = replace(like.segments[0], layers=(costs, *[free] * streams))
    plan = replace(like.plan, arena_bytes=arena)
    return replace(like, segments=(segment,), plan=plan)


def test_of_equally_fast_schedules_the_much_smaller_one(shared: Path) -> None:
    made = _compiled(shared / "models" / "field" / "mltk_image_example1.tflite", optimize="ram")
    like = next(point for point in made.front if point.streams)
    near, far = round(1e6 * SAME_SPEED), round(1e6 * SAME_SPEED) + 1
    small, large = round(1000 * MUCH_SMALLER), round(1000 * MUCH_SMALLER) + 1
    fastest = _point(like, 10**6, 1000, 1)
    for other, wanted in (
        (_point(like, near, small, 3), 1),
        (_point(like, far, small, 3), 0),
        (_point(like, near, large, 3), 0),
        (_point(like, near, large, 0), 1),  # as fast, and less code
    ):
        assert choose([fastest, other], "speed") is [fastest, other][wanted]
