"""The seam between build and an engine: what a build hands on is what its folder says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.board.load import load_board
from mcu_hybrid.compiler.engine import EngineOptions
from mcu_hybrid.firmware import render
from mcu_hybrid.reference import interp
from mcu_hybrid.steps import build as steps
from mcu_hybrid.steps.engine import ENGINES
from tests.support.random_graph import random_inputs


@pytest.mark.parametrize("kernels", ["fast", "ref"])
def test_a_build_hands_on_what_its_folder_says(
    kernels: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shared / "models" / "hello_world_int8.tflite"
    read: list[str] = []

    def counted(data: bytes, name: str) -> object:
        read.append(name)
        return read_tflite(data, name)

    read_tflite, read_image = steps.read_tflite, steps.read_image
    monkeypatch.setattr(steps, "read_tflite", counted)
    monkeypatch.setattr(steps, "read_image", None)  # the linker's own reading is enough
    options = EngineOptions(kernels=kernels)
    made = steps.build_step(model, load_board("native"), tmp_path / "b", options)
    assert read == [model.name]
    monkeypatch.setattr(steps, "read_image", read_image)
    opened = steps.open_build(tmp_path / "b")
    assert (made.folder, made.board, made.facts) == (opened.folder, opened.board, opened.facts)
    assert made.image == opened.image and made.image.elf.is_file()
    assert made.model.data == opened.model.data


def test_what_the_engine_compiles(shared: Path) -> None:
    model = steps.read_model(shared / "models" / "kws_ref_model.tflite")
    made = ENGINES["aot"].compile(model, load_board("mps2-an500"), EngineOptions())
    assert set(made.files(())) == {"model.c", "model.h"}
    assert made.footprint.layers == len(made.layers) == len(made.plan.ops)
    assert made.footprint.arena_bytes == made.plan.arena_bytes
    assert made.facts.aot is not None and len(made.facts.aot.predicted_instructions) == len(
        made.layers
    )
    inputs = random_inputs(model.graph, 1)
    pairs = zip(interp.run(made.graph, inputs), interp.run(model.graph, inputs), strict=True)
    assert all(np.array_equal(ours, given) for ours, given in pairs)


def test_every_engine_has_a_name_in_the_firmware() -> None:
    assert set(ENGINES) == set(render.ENGINES)
