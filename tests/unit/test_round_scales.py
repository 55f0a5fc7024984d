"""Scales such as 0.05 and 0.04 put results half-way between two bytes: random scales never do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.reference import interp
from tests.support.tflite_builder import OpSpec, Spec, build

pytest.importorskip("tflite_micro")

PAIRS = (1, 256, 256, 1)
SCALES = [
    *((0.05, 0.02, 0.04), (0.02, 0.05, 0.04), (0.05, 0.03, 0.02), (0.1, 0.04, 0.08)),
    *((0.05, 0.01, 0.02), (0.3, 0.2, 0.4), (0.25, 0.5, 0.125), (0.0313, 0.07, 0.04)),
]
POINTS = [(9, -4, 7), (0, 0, 0), (-128, 127, -1)]


def _every_pair() -> list[np.ndarray]:
    bytes_ = np.arange(-128, 128, dtype=np.int8)
    a, b = np.meshgrid(bytes_, bytes_)
    return [a.reshape(PAIRS), b.reshape(PAIRS)]


def _equals_tflm(data: bytes, inputs: list[np.ndarray]) -> None:
    from mcu_hybrid.reference.judge import Judge

    graph = read_tflite(data, "round").graph
    want = Judge(data).run(inputs)[0]
    np.testing.assert_array_equal(interp.run(graph, inputs)[0], want)
    np.testing.assert_array_equal(interp.run(optimise(graph), inputs)[0], want)


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_two_operands_equal_tflm_for_every_pair_of_bytes(kind: str, scales: Any) -> None:
    for points in POINTS:
        specs = zip("xzy", scales, points, strict=True)
        tensors = [Spec(name, PAIRS, scale=scale, zero=zero) for name, scale, zero in specs]
        _equals_tflm(build(tensors, [OpSpec(kind, (0, 1), (2,))], [0, 1], [2]), _every_pair())


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, {}) for kind in ("QUANTIZE", "RELU", "HARD_SWISH", "ELU")),
        *(("LEAKY_RELU", {"alpha": alpha}) for alpha in (0.1, 0.25, 0.5)),
    ],
)
def test_one_operand_equals_tflm_for_every_byte(kind: str, options: Any, scales: Any) -> None:
    shape = (1, 16, 16, 1)
    inputs = [np.arange(-128, 128).astype(np.int8).reshape(shape)]
    for points in POINTS:
        tensors = [
            Spec("x", shape, scale=scales[0], zero=points[0]),
            Spec("y", shape, scale=scales[2], zero=points[2]),
        ]
        _equals_tflm(build(tensors, [OpSpec(kind, (0,), (1,), options)], [0], [1]), inputs)


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("extent", [2, 4, 5, 10])
def test_a_mean_equals_tflm(extent: int, scales: Any) -> None:
    axes = Spec("axes", (2,), "int32", data=np.array([1, 2], np.int32))
    generator = np.random.default_rng(0)
    shape = (1, extent, extent, 500)
    inputs = [generator.integers(-128, 128, shape).astype(np.int8)]
    for points in POINTS:
        tensors = [
            Spec("x", shape, scale=scales[0], zero=points[0]),
            axes,
            Spec("y", (1, 1, 1, 500), scale=scales[2], zero=points[2]),
        ]
        op = OpSpec("MEAN", (0, 1), (2,), {"keep_dims": True})
        _equals_tflm(build(tensors, [op], [0], [2]), inputs)


@pytest.mark.parametrize("kind", ["RELU", "LEAKY_RELU", "HARD_SWISH", "QUANTIZE"])
def test_a_factor_in_single_precision_would_differ(kind: str) -> None:
    """Pairs of scales that tell TFLM's double precision from float32, found by trying."""
    shape = (1, 16, 16, 1)
    inputs = [np.arange(-128, 128).astype(np.int8).reshape(shape)]
    options = {"alpha": 0.3} if kind == "LEAKY_RELU" else {}
    for source in (0.05, 0.2, 0.3, 0.6, 1 / 3):
        for target in (0.04, 0.08, 0.4, 6 / 255, 12 / 255):
            tensors = [
                Spec("x", shape, scale=source, zero=-128),
                Spec("y", shape, scale=target, zero=-1),
            ]
            _equals_tflm(build(tensors, [OpSpec(kind, (0,), (1,), options)], [0], [1]), inputs)
