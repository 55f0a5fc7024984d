"""MAX_POOL_2D int8: the largest value inside the map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops import pooling
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.base import KernelCall, no_macs, no_scratch, not_inplace
from mcu_hybrid.ops.padding import padded, tap
from mcu_hybrid.quant import INT8_MIN

KINDS = ("MAX_POOL_2D",)

Attrs = pooling.PoolAttrs
from_tflite = pooling.from_tflite
check = pooling.check
macs = no_macs
scratch_bytes = no_scratch
inplace = not_inplace


def reference(graph: Graph, op: Op, inputs: Sequence[np.ndarray | None]) -> tuple[np.ndarray, ...]:
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


def lower(graph: Graph, op: Op) -> KernelCall:
    """The call of mh_max_pool2d_s8."""
    return pooling.lower(graph, op, "max_pool2d_s8")
