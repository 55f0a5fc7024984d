"""Slopes, and the linear form of ADD: equal to TFLite's arithmetic on everything that can occur."""

from __future__ import annotations

import numpy as np
import pytest

from mcu_hybrid import ops
from mcu_hybrid.compiler.exact.breakpoints import Channels
from mcu_hybrid.compiler.exact.slope import fit_slope
from mcu_hybrid.compiler.select.dsp.elementwise.pack import find_linear
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops.broadcast import ArithmeticAttrs
from mcu_hybrid.quant import QuantParams, multiplier_shift

VALUES = np.arange(-128, 128)


def _channels(rng: np.random.Generator, count: int, zero_point: int) -> Channels:
    factors = [multiplier_shift(float(r)) for r in 10 ** rng.uniform(-4, -0.5, count)]
    mult, shift = (np.array(column, np.int64) for column in zip(*factors, strict=True))
    low, high = -rng.integers(0, 40_000, count), rng.integers(0, 40_000, count)
    offset = rng.integers(-3000, 3000, count)
    return Channels(mult, shift, zero_point, -128, 127, low + offset, high + offset, offset)


@pytest.mark.parametrize("prescale", [8, 11])
def test_a_slope_equals_tflite_on_all_reachable_sums(prescale: int) -> None:
    rng = np.random.default_rng(prescale)
    fitted = 0
    for zero_point in (-128, -128, -128, 127, -20):
        ch = _channels(rng, 40, zero_point)
        slope, fits = fit_slope(ch, prescale)
        fitted += int(fits.sum())
        for c in np.flatnonzero(fits):
            sums = np.arange(ch.acc_min[c], ch.acc_max[c] + 1)
            one = Channels(
                ch.mult[c : c + 1], ch.shift[c : c + 1], zero_point, -128, 127, *[sums] * 3
            )
            raw = np.zeros((sums.size, fits.size), np.int64)
            raw[:, c] = 0 if slope.constant[c] else sums - ch.offset[c]
            assert np.array_equal(slope.apply(raw)[:, c], one.outputs(sums)), (zero_point, c)
            value = (raw[:, c] << prescale) + slope.start[c]
            assert np.abs(value).max() < 1 << 31
    assert fitted > 100


def test_channels_that_never_change_need_no_weights() -> None:
    ch = Channels(
        *(np.array([n]) for n in (1 << 30, -30)), 5, -128, 127, *(np.array([n]) for n in (-9, 9, 0))
    )
    slope, fits = fit_slope(ch, 8)
    assert fits.all() and slope.constant.all() and slope.apply(np.array([0]))[0] == 5


def test_a_slope_cannot_serve_both_signs() -> None:
    """Two roundings part at the zero point: a fine factor around it must be refused."""
    mult, shift = multiplier_shift(0.0137)
    arrays = [np.array([n]) for n in (mult, shift)]
    ch = Channels(*arrays, 0, -128, 127, *(np.array([n]) for n in (-20_000, 20_000, 0)))
    assert not fit_slope(ch, 8)[1].any()


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
def test_the_linear_form_equals_the_operator_on_all_pairs(kind: str) -> None:
    rng = np.random.default_rng(1)
    found = 0
    for n in range(12):
        scales = 10 ** rng.uniform(-2.5, -1.5, 3)
        scales[1] = scales[0] if n % 3 == 0 else scales[1]
        graph = _binary(kind, scales, rng)
        linear = find_linear(graph, graph.ops[0])
        if linear is None:
            continue
        found += 1
        operands = [VALUES[:, None], VALUES[None, :]]
        (wanted,) = ops.operator(kind).reference(graph, graph.ops[0], operands)
        assert np.array_equal(linear.apply(*operands), wanted), n
    assert found > 8


def _binary(kind: str, scales: np.ndarray, rng: np.random.Generator) -> Graph:
    tensors = tuple(
        Tensor(name, (1, 4), "int8", QuantParams((float(np.float32(s)),), (int(z),)))
        for name, s, z in zip("aby", scales, rng.integers(-128, 128, 3), strict=True)
    )
    return Graph("one", tensors, (Op(kind, kind, (0, 1), (2,), ArithmeticAttrs(0)),), (0, 1), (2,))
