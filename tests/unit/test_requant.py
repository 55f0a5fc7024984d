"""Requantisation forms equal TFLite's double rounding: at every breakpoint, and everywhere."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mcu_hybrid.compiler.exact.requant import EXACT, FINE, LINE, LayerRequant, fit_layer
from mcu_hybrid.compiler.exact.requant_lines import MAX_SHIFT
from mcu_hybrid.quant import multiplier_shift, multiply_by_quantized_multiplier


def _factors(reals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array([multiplier_shift(float(r)) for r in reals], np.int64)
    return pairs[:, 0], pairs[:, 1]


def _reference(
    raw: np.ndarray, reals: np.ndarray, zp: int, lo: int, hi: int, offset: np.ndarray
) -> np.ndarray:
    mult, shift = _factors(reals)
    return np.clip(multiply_by_quantized_multiplier(raw + offset, mult, shift) + zp, lo, hi)


def _check(
    reals: np.ndarray,
    zp: int,
    bounds: tuple[int, int],
    reach: tuple[np.ndarray, np.ndarray],
    offset: np.ndarray,
) -> LayerRequant:
    """Fit, and compare at every breakpoint, its neighbours and both ends of the range."""
    low, high = reach
    found = fit_layer(*_factors(reals), zp, *bounds, low, high, offset)
    assert found is not None
    steps = np.arange(bounds[0] - 1, bounds[1] + 2)[:, None]
    centre = np.round((steps - zp - 0.5) / reals[None, :]).astype(np.int64) - offset
    near = [centre + d for d in range(-4, 5)] + [low[None, :], high[None, :]]
    raw = np.clip(np.concatenate(near), low, high)
    np.testing.assert_array_equal(
        found.apply(raw), _reference(raw, reals, zp, *bounds, offset), str(found.form)
    )
    return found


def _channels(
    rng: np.random.Generator, n: int, spread: float
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
    reals = 2.0 ** (-rng.uniform(4, 12) - rng.uniform(0, spread, n))
    size = rng.integers(1000, 400_000, n)
    low = -rng.integers(0, size)
    offset = rng.integers(-40_000, 40_000, n)
    return reals, (low, low + size), offset


@pytest.mark.parametrize("seed", range(6))
def test_relu_layers_use_lines(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reals, reach, offset = _channels(rng, 200, 3.0)
    zp = -128 if seed % 2 else int(rng.integers(-127, 100))
    found = _check(reals, zp, (zp, 127 if seed < 4 else 110), reach, offset)
    assert found.form in (LINE, FINE) and found.forms == {found.form: 200}
    assert (found.post_clamp is None) == (zp == -128 and seed < 4)


@pytest.mark.parametrize("seed", range(6))
def test_linear_layers_are_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reals, reach, offset = _channels(rng, 200, 6.0)
    found = _check(reals, int(rng.integers(-128, 128)), (-128, 127), reach, offset)
    assert found.form == EXACT and found.forms == {EXACT: 200}


def test_every_sum_of_small_layers() -> None:
    rng = np.random.default_rng(7)
    for n in range(40):
        reals = 2.0 ** -rng.uniform(0.1, 9, 5)
        zp, offset = int(rng.integers(-128, 128)), rng.integers(-3000, 3000, 5)
        bounds = (zp, 127) if n % 2 else (-128, 127)
        low, high = np.full(5, -3000), np.full(5, 3000)
        found = fit_layer(*_factors(reals), zp, *bounds, low, high, offset)
        if found is None:  # factors >= 0.5 on both sides of zero, and others in one layer
            assert bounds[0] == -128 and reals.max() >= 0.5
            continue
        raw = np.arange(-3000, 3001)[:, None] * np.ones(5, np.int64)
        np.testing.assert_array_equal(
            found.apply(raw), _reference(raw, reals, zp, *bounds, offset), f"{n} {found.form}"
        )


def test_factors_that_round_once_are_lines_on_both_sides() -> None:
    reals = np.array([0.5, 0.77, 0.999, 1.0, 1.7, 3.0, 30.0])
    reach = (np.full(7, -600), np.full(7, 600))
    found = _check(reals, 5, (-128, 127), reach, np.arange(7))
    assert found.form in (LINE, FINE)


def test_most_layers_need_no_addend() -> None:
    rng = np.random.default_rng(1)
    forms = Counter()
    for _ in range(20):
        reals, reach, offset = _channels(rng, 16, 2.0)
        forms += _check(reals, -128, (-128, 127), reach, offset).forms
    assert set(forms) <= {LINE, FINE} and forms[LINE] > 10 * forms[FINE]


def test_constant_channels() -> None:
    """Dead channels, whose factor or offset would fit no form, give their one value."""
    reals = np.array([0.01, 2.0**-30, 0.0, 2.0**-12])
    offset = np.array([100, 1 << 30, 5, -3000])
    low, high = np.array([0, 0, -500, 0]), np.array([0, 0, 500, 100])
    for bounds in ((-128, 127), (-7, 100)):
        found = fit_layer(*_factors(reals), -7, *bounds, low, high, offset)
        assert found is not None
        raw = np.stack([low, high, (low + high) // 2])
        np.testing.assert_array_equal(found.apply(raw), _reference(raw, reals, -7, *bounds, offset))


def test_outside_the_number_range() -> None:
    one = np.ones(1, np.int64)
    factors = _factors(np.array([2.0**-25]))
    assert fit_layer(*factors, 0, -128, 127, -one << 29, one << 29, 0 * one) is None
    factors = _factors(np.array([2.0**-12]))
    assert fit_layer(*factors, 0, -128, 127, -one << 30, one << 30, 0 * one) is None


def test_without_lines() -> None:
    rng = np.random.default_rng(3)
    reals, (low, high), offset = _channels(rng, 50, 3.0)
    found = fit_layer(*_factors(reals), -128, -128, 127, low, high, offset, allow_line=False)
    assert found is not None and found.form == EXACT


def test_constants_fit_32_bits() -> None:
    rng = np.random.default_rng(11)
    reals, reach, offset = _channels(rng, 300, 3.0)
    for bounds in ((-128, 127), (-20, 127)):
        found = _check(reals, -20, bounds, reach, offset)
        for name in ("mul", "add", "addend", "offset", "right"):
            assert np.abs(getattr(found, name)).max() < 1 << 31, name
        assert found.shift <= MAX_SHIFT
