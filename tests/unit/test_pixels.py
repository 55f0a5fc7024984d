"""What a pixel is worth: form, int8 levels, metadata; and the sentences about a wrong range."""

from __future__ import annotations

import numpy as np
import pytest

from mcu_hybrid.compiler.passes.link_route import link_route
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.export import suspicion
from mcu_hybrid.graph.pixels import UNIT, USUAL, PixelForm, pixels_from_json
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.quant import QuantParams
from mcu_hybrid.reference.images import to_int8

EVERY = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)[None]
IMAGENET = USUAL[-1]


def graph(scale: float, zero: int, form: PixelForm, channels: int = 1) -> Graph:
    shape = (1, 16, 16, channels)
    quant = QuantParams((float(np.float32(scale)),), (zero,))
    tensors = (Tensor("image", shape, "int8", quant), Tensor("out", shape, "int8", quant))
    return Graph("m", tensors, (Op("RELU", "r", (0,), (1,), None),), (0,), (1,), pixels=form)


@pytest.mark.parametrize(
    ("scale", "zero", "form"),
    [
        (1 / 255, -128, UNIT),
        (1.0, -128, PixelForm(255.0)),
        (2 / 255, -1, PixelForm(1.0, (0.5,), (0.5,))),  # a tie at every pixel
        (2 / 255, 0, PixelForm(1.0, (0.5,), (0.5,))),
        (1.0, 0, PixelForm(255.0, (128.0,))),
        (1 / 255 / 0.225, -13, PixelForm(1.0, (0.45,), (0.225,))),
    ],
)
def test_every_pixel_is_a_level_of_its_own(scale: float, zero: int, form: PixelForm) -> None:
    levels = to_int8(graph(scale, zero, form), EVERY).ravel()
    assert (levels == np.arange(256) - 128).all()


def test_channels_have_their_own_numbers() -> None:
    form = IMAGENET.check(3)
    x = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    real = (x / 255 - np.array(form.mean)) / np.array(form.std)
    np.testing.assert_allclose(form.real(x), real, atol=1e-6)
    levels = to_int8(graph(0.02, -10, form, 3), x)
    assert np.abs((levels.astype(float) + 10) * np.float32(0.02) - real).max() <= 0.0101


def test_the_metadata_says_it() -> None:
    form = PixelForm(1.0, (0.5,), (0.25,))
    told = {"input": {"pixels": form.to_json()}}
    assert link_route(graph(0.01, 0, UNIT), told).pixels == form
    plain = graph(0.01, 0, UNIT)
    assert link_route(plain, {"input": {"scale_to_real": "x/255"}}) is plain
    for bad in (
        3,
        {"scale": 1},
        {"scale": 1, "mean": [], "std": [1]},
        {**form.to_json(), "std": [0]},
    ):
        with pytest.raises(ModelError, match="input range"):
            pixels_from_json(bad, "m")


@pytest.mark.parametrize(
    "form",
    [
        PixelForm(0.0),
        PixelForm(1.0, (0.1, 0.2)),
        PixelForm(1.0, (0.0,), (-1.0,)),
        PixelForm(float("nan")),
    ],
)
def test_a_range_that_is_none(form: PixelForm) -> None:
    with pytest.raises(InputError):
        form.check(3)


def test_a_file_s_input_says_its_range() -> None:
    def ends(scale: float, zero: int) -> tuple[float, float]:
        return (-128 - zero) * scale, (127 - zero) * scale

    assert suspicion.matching_form(*ends(1 / 255, -128)) == UNIT
    assert suspicion.matching_form(*ends(1.0, -128)) == PixelForm(255.0)
    assert suspicion.matching_form(*ends(0.00784, -1)) == PixelForm(1.0, (0.5,), (0.5,))
    assert suspicion.matching_form(*ends(0.0317, -4)) is None
    few = np.full(256, -4) + np.arange(256) // 8
    assert "32 levels" in suspicion.of_levels(-3.9, 4.1, few, UNIT)[0]
    assert not suspicion.of_levels(0, 1, np.arange(256) - 128, UNIT)


def test_chance_and_losses_are_told_by_counts() -> None:
    truth = np.arange(400) % 4
    assert suspicion.is_at_chance(np.zeros(400, int), truth)
    assert not suspicion.is_at_chance(truth, truth)
    half = np.where(np.arange(400) < 200, truth, 0)
    assert not suspicion.is_at_chance(half, truth)
    rare = (np.arange(400) < 20).astype(int)  # always "0" is right on 95 %, and says nothing
    assert suspicion.is_at_chance(np.zeros(400, int), rare)
    assert not suspicion.is_at_chance(np.zeros(9, int), np.zeros(9, int))  # one class: who knows
    assert "more than guessing" in suspicion.of_float("it", np.zeros(400, int), truth, UNIT)[0]
    assert "lost to int8" in suspicion.of_int8(half, truth, truth)[0]
    assert not suspicion.of_int8(np.where(np.arange(400) < 398, truth, 0), truth, truth)


def test_the_range_that_would_be_right_is_named() -> None:
    truth = np.arange(80) % 4

    def run(x: np.ndarray, form: PixelForm) -> np.ndarray:
        return x[:, 0, 0, 0] if form.scale == 255 and form.mean == (0.0,) else np.zeros(len(x))

    x = np.zeros((80, 2, 2, 1), np.uint8)
    x[:, 0, 0, 0] = truth
    said = suspicion.better_form(run, x, truth, UNIT)
    assert "[0, 255]" in said and "--input-scale 255" in said
    assert "--global-input-scale 255" in suspicion.better_form(run, x, truth, UNIT, "global-")
    assert suspicion.better_form(run, x, truth, PixelForm(255.0)) == ""
