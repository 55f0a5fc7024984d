"""Float operators of one value, as TFLM computes them in float32: what a float island runs.

What goes through exp and its like is computed in double precision and rounded once; the rest in
TFLM's own order of operations. Not here: where such islands are (float_islands.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

F = np.float32
_MAX = np.finfo(F).max
# TFLite's fused activations that are float bounds: none, RELU, RELU_N1_TO_1, RELU6.
_BOUNDS = {0: (-_MAX, _MAX), 1: (F(0), _MAX), 2: (F(-1), F(1)), 3: (F(0), F(6))}
# No float kernel of TFLM's: the definition is ours.
NOT_IN_TFLM = ("GELU", "RELU_0_TO_1", "RELU_N1_TO_1", "SIGN")


def _double(function: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """The function of doubles, rounded to float32."""
    return lambda x: function(x.astype(np.float64)).astype(F)


def _logistic(x: np.ndarray) -> np.ndarray:
    """With the cutoffs of TFLite's kernel."""
    grown = np.exp(x.astype(np.float64)).astype(F)
    shrunk = np.exp(-x.astype(np.float64)).astype(F)
    return np.where(x > F(16.619047), F(1), np.where(x < F(-9), grown, F(1) / (F(1) + shrunk)))


def _gelu(x: np.ndarray, approximate: bool) -> np.ndarray:
    wide = x.astype(np.float64)
    if approximate:
        inner = math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
        return np.asarray(0.5 * wide * (1 + np.tanh(inner)))
    return np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in wide])


_UNARY: dict[str, Callable[..., np.ndarray]] = {
    "ABS": np.abs,
    "CEIL": np.ceil,
    "COS": _double(np.cos),
    "ELU": lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0).astype(np.float64)).astype(F), x),
    "EXP": _double(np.exp),
    "FLOOR": np.floor,
    "HARD_SWISH": lambda x: x * np.minimum(F(6), np.maximum(F(0), x + F(3))) / F(6),
    "LOG": _double(np.log),
    "LOGISTIC": _logistic,
    "NEG": np.negative,
    "RELU": lambda x: np.maximum(x, F(0)),
    "RELU6": lambda x: np.clip(x, F(0), F(6)),
    "RELU_0_TO_1": lambda x: np.clip(x, F(0), F(1)),
    "RELU_N1_TO_1": lambda x: np.clip(x, F(-1), F(1)),
    "ROUND": np.rint,
    "RSQRT": lambda x: F(1) / np.sqrt(x),
    "SIGN": np.sign,
    "SIN": _double(np.sin),
    "SQRT": np.sqrt,
    "SQUARE": lambda x: x * x,
    "TANH": _double(np.tanh),
}
_BINARY: dict[str, Callable[..., np.ndarray]] = {
    "ADD": np.add,
    "DIV": np.divide,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "MUL": np.multiply,
    "PRELU": lambda x, slope: np.where(x >= 0, x, x * slope),
    "SQUARED_DIFFERENCE": lambda a, b: (a - b) * (a - b),
    "SUB": np.subtract,
}
# Kinds that the quantiser gives int8 operands, and that TFLM has in float only.
INT8 = ("COS", "EXP", "LOG", "NEG", "SIN", "SQRT", "SQUARE")
NOT_BELOW_0 = ("LOG", "SQRT")  # no number is their value there
# Kinds whose options are read though the engine does not run them in int8.
READ = {"DIV"}


def is_pointwise(kind: str, operands: int, options: Mapping[str, Any]) -> bool:
    """True for an operator that takes its operands place by place, with options we know."""
    known = options.get("fused_activation_function", 0) in _BOUNDS
    return (
        known
        and operands == (1 if kind in (*_UNARY, "GELU", "LEAKY_RELU") else 2)
        and kind in (*_UNARY, *_BINARY, "GELU", "LEAKY_RELU")
    )


def evaluate(kind: str, operands: Sequence[np.ndarray], options: Mapping[str, Any]) -> np.ndarray:
    """The float32 results of a pointwise operator for these float32 operands."""
    first = operands[0]
    if kind == "GELU":
        return _gelu(first, bool(options.get("approximate", False))).astype(F)
    if kind == "LEAKY_RELU":
        return np.where(first > 0, first, first * F(options.get("alpha", 0.0)))
    if kind in _UNARY:
        return _UNARY[kind](first)
    low, high = _BOUNDS[options.get("fused_activation_function", 0)]
    return np.clip(_BINARY[kind](*operands), low, high)
