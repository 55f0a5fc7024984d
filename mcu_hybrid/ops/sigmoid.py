"""What LOGISTIC and TANH share: bringing int8 to four integer bits, and saturating outside.

Not here: the functions themselves (fixed_point.py) and their output formats (their modules).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.checks import where
from mcu_hybrid.quant import multiplier_shift, multiply_by_quantized_multiplier

_INTEGER_BITS = 4
_MAX_SHIFT = 62  # of TFLM's 64-bit arithmetic


@dataclass(frozen=True)
class SigmoidInput:
    """Input zero point, the factor to 2**27 per unit, and the radius beyond which it saturates."""

    zero_point: int
    multiplier: int
    shift: int
    radius: int

    def rescale(self, x: np.ndarray) -> np.ndarray:
        """int8 to four integer bits, as int64; 0 where ``saturate`` overrides it anyway."""
        value = x.astype(np.int64) - self.zero_point
        inside = np.where(np.abs(value) < self.radius, value, 0)
        return multiply_by_quantized_multiplier(inside, self.multiplier, self.shift)

    def saturate(self, x: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """The int8 result: ``inside``, or the ends of the int8 range beyond the radius."""
        value = x.astype(np.int64) - self.zero_point
        result = np.where(value >= self.radius, 127, inside)
        # The lower end wins where the radius is 0, as in TFLM.
        return np.where(value <= -self.radius, -128, result).astype(np.int8)


def sigmoid_input(graph: Graph, op: Op[object]) -> SigmoidInput:
    """TFLM's parameters for the operator's input; raises ModelError for a senseless scale."""
    quant = graph.tensor(op.inputs[0]).require_quant()
    real = quant.scale * (1 << (31 - _INTEGER_BITS))
    shift = math.frexp(real)[1]  # TFLM limits it nowhere: from 2**31 on the radius is 0
    if not 0 <= shift <= _MAX_SHIFT:
        raise ModelError(
            f"input scale {quant.scale:.9g} is outside the range of the integer function",
            "check the representative data set: the input of this layer has no sensible range",
            key=where(op),
        )
    largest = ((1 << _INTEGER_BITS) - 1) * (1 << (31 - _INTEGER_BITS)) / (1 << shift)
    return SigmoidInput(quant.zero_point, *multiplier_shift(real), math.floor(largest))


def require_output_quant(graph: Graph, op: Op[object], *, scale: float, zero_point: int) -> None:
    """Raise ModelError unless the output is quantised as the integer function writes it."""
    target = graph.tensor(op.outputs[0])
    quant = target.require_quant()
    if (quant.scale, quant.zero_point) != (scale, zero_point):
        raise ModelError(
            f"output '{target.name}' has scale {quant.scale:.9g}, zero point {quant.zero_point}; "
            f"the int8 function always writes scale {scale:.9g}, zero point {zero_point}",
            "export with the TFLite converter, which sets exactly these",
            key=where(op),
        )
