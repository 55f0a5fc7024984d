"""MAX_POOL_2D int8: the largest value inside the map."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import pooling
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.base import KernelCall, Monotone, Operands, Operator, Tflm, Traits, tied_along
from mcu_hybrid.ops.padding import padded, tap
from mcu_hybrid.ops.pooling import PoolAttrs
from mcu_hybrid.quant import INT8_MIN


def reference(graph: Graph, op: Op[PoolAttrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    window, kernel = op.attrs.window, op.attrs.kernel
    image = padded(np.asarray(inputs[0])[0], window, kernel, INT8_MIN)
    target = graph.tensor(op.outputs[0])
    largest = np.full(target.shape[1:], INT8_MIN, np.int8)
    for y in range(kernel[0]):
        for x in range(kernel[1]):
            np.maximum(largest, tap(image, window, target.shape[1:3], (y, x)), out=largest)
    lo, hi = activation_range(op.attrs.activation, target.require_quant())
    return (np.clip(largest.astype(np.int64), lo, hi).astype(np.int8)[np.newaxis],)


def lower(graph: Graph, op: Op[PoolAttrs]) -> KernelCall:
    """The call of mh_max_pool2d_s8."""
    return pooling.lower(graph, op, "max_pool2d")


MAX_POOL_2D = Operator(
    "MAX_POOL_2D",
    attrs=PoolAttrs,
    read=pooling.read,
    check=pooling.check,
    reference=reference,
    lower=lower,
    traits=Traits(
        windowed=True,
        clamps=True,
        reduces=True,
        monotone=Monotone.ALL,
        tflm=Tflm("AddMaxPool2D", has_int8=True),
    ),
    shapes=pooling.shapes,
    ties=tied_along,
)
