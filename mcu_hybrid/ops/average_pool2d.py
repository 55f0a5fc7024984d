"""AVERAGE_POOL_2D int8: the mean of the values inside the map, rounded half away from zero."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import pooling
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.base import KernelCall, Monotone, Operands, Operator, Tflm, Traits, tied_along
from mcu_hybrid.ops.padding import padded, tap
from mcu_hybrid.ops.pooling import PoolAttrs


def reference(graph: Graph, op: Op[PoolAttrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    window, kernel = op.attrs.window, op.attrs.kernel
    image = np.asarray(inputs[0])[0].astype(np.int64)
    target = graph.tensor(op.outputs[0])
    inside = padded(np.ones((*image.shape[:2], 1), np.int64), window, kernel, 0)
    image = padded(image, window, kernel, 0)
    out = target.shape[1:3]
    sums = np.zeros(target.shape[1:], np.int64)
    counts = np.zeros((*out, 1), np.int64)
    for y in range(kernel[0]):
        for x in range(kernel[1]):
            sums += tap(image, window, out, (y, x))
            counts += tap(inside, window, out, (y, x))
    mean = np.sign(sums) * ((np.abs(sums) + counts // 2) // counts)
    lo, hi = activation_range(op.attrs.activation, target.require_quant())
    return (np.clip(mean, lo, hi).astype(np.int8)[np.newaxis],)


def lower(graph: Graph, op: Op[PoolAttrs]) -> KernelCall:
    """The call of mh_average_pool2d_s8."""
    return pooling.lower(graph, op, "average_pool2d")


AVERAGE_POOL_2D = Operator(
    "AVERAGE_POOL_2D",
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
        tflm=Tflm("AddAveragePool2D", has_int8=True),
    ),
    shapes=pooling.shapes,
    ties=tied_along,
)
