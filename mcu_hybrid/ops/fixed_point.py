"""gemmlowp's 32-bit fixed-point functions on int64 arrays that hold int32 values.

Here: what TFLM's integer LOGISTIC and TANH need, to the bit. A value with b integer bits stands
for raw / 2**(31 - b). Multiplying values adds their integer bits. Not here: requantisation
(quant.py) and softmax.
"""

from __future__ import annotations

import numpy as np

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
ONE_Q2 = 1 << 29  # 1.0 with two integer bits

# exp(-2**k) without integer bits, for k = -2 .. 4.
_EXP_OF_MINUS_POWER = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def high_mul(a: np.ndarray | int, b: np.ndarray | int) -> np.ndarray:
    """SaturatingRoundingDoublingHighMul on int32 values: ties towards plus infinity."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    return np.minimum(high, INT32_MAX)  # only INT32_MIN * INT32_MIN exceeds it


def round_shift(x: np.ndarray | int, exponent: int) -> np.ndarray:
    """RoundingDivideByPOT: x / 2**exponent, ties away from zero."""
    x = np.asarray(x, np.int64)
    mask = (1 << exponent) - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def saturating_shift(x: np.ndarray, exponent: int) -> np.ndarray:
    """x * 2**exponent for exponent > 0, saturated to int32."""
    return np.clip(x << exponent, INT32_MIN, INT32_MAX)


def exp_on_negative_values(x: np.ndarray, integer_bits: int) -> np.ndarray:
    """exp(x) without integer bits, for x <= 0 with at most 5 integer bits."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    low = (x & (quarter - 1)) - quarter  # x modulo 1/4, moved into [-1/4, 0)
    result = _exp_near_zero(low << integer_bits)
    rest = low - x
    for power, factor in enumerate(_EXP_OF_MINUS_POWER, start=-2):
        if power < integer_bits:
            bit = rest & (1 << (fraction_bits + power))
            result = np.where(bit != 0, high_mul(result, factor), result)
    return np.where(x == 0, INT32_MAX, result)


def _exp_near_zero(x: np.ndarray) -> np.ndarray:
    """exp(x) for x in [-1/4, 0): Taylor expansion around -1/8, no integer bits."""
    exp_minus_eighth, third = 1895147668, 715827883
    t = x + (1 << 28)
    t2 = high_mul(t, t)
    t3 = high_mul(t2, t)
    t4 = high_mul(t2, t2)
    tail = round_shift(high_mul(round_shift(t4, 2) + t3, third) + t2, 1)
    return exp_minus_eighth + high_mul(exp_minus_eighth, t + tail)


def _reciprocal(x: np.ndarray) -> np.ndarray:
    """2 / (1 + x) with two integer bits, for x in (0, 1): three Newton-Raphson steps."""
    half_denominator = (x + INT32_MAX + 1) >> 1  # RoundingHalfSum(x, 1.0); both are positive
    estimate = 1515870810 + high_mul(half_denominator, -1010580540)  # 48/17 - 32/17 d
    for _ in range(3):
        error = ONE_Q2 - high_mul(half_denominator, estimate)
        estimate = estimate + saturating_shift(high_mul(estimate, error), 2)
    return estimate


def one_over_one_plus(x: np.ndarray) -> np.ndarray:
    """1 / (1 + x) without integer bits, for x in [0, 1) without integer bits."""
    return saturating_shift(_reciprocal(x), 1)


def logistic(x: np.ndarray, integer_bits: int) -> np.ndarray:
    """1 / (1 + exp(-x)) without integer bits."""
    positive = one_over_one_plus(exp_on_negative_values(-np.abs(x), integer_bits))
    return np.where(x == 0, 1 << 30, np.where(x > 0, positive, INT32_MAX - positive))


def tanh(x: np.ndarray, integer_bits: int) -> np.ndarray:
    """tanh(x) without integer bits, as (1 - exp(-2x)) / (1 + exp(-2x))."""
    # Doubling is free: the same raw value with one integer bit more.
    exponential = exp_on_negative_values(-np.abs(x), integer_bits + 1)
    magnitude = saturating_shift(_reciprocal(exponential) - ONE_Q2, 2)
    return np.where(x == 0, 0, np.where(x > 0, magnitude, -magnitude))
