"""The operators that the engine runs: one module each (see ops/base.py for what a module offers).

To add one: write ops/<name>.py and kernels/ref/<name>_s8.c, and list the module here.
"""

from __future__ import annotations

from types import ModuleType

from mcu_hybrid.errors import UnsupportedOp
from mcu_hybrid.ops import (
    add,
    average_pool2d,
    concatenation,
    conv2d,
    depthwise_conv2d,
    float_tables,
    fully_connected,
    hard_swish,
    leaky_relu,
    logistic,
    max_pool2d,
    mean,
    min_max,
    mul,
    pad,
    quantize,
    relu,
    reshape,
    resize_nearest,
    route_features,
    softmax,
    split,
    stream,
    strided_slice,
    sub,
    table,
    tanh,
    transpose,
)

MODULES: tuple[ModuleType, ...] = (
    add,
    average_pool2d,
    concatenation,
    conv2d,
    depthwise_conv2d,
    float_tables,
    fully_connected,
    hard_swish,
    leaky_relu,
    logistic,
    max_pool2d,
    mean,
    min_max,
    mul,
    pad,
    quantize,
    relu,
    reshape,
    resize_nearest,
    route_features,
    softmax,
    split,
    stream,
    strided_slice,
    sub,
    table,
    tanh,
    transpose,
)

OPS: dict[str, ModuleType] = {kind: module for module in MODULES for kind in module.KINDS}


def module(kind: str) -> ModuleType:
    """Return the module that serves this kind of operator; raises UnsupportedOp."""
    try:
        return OPS[kind]
    except KeyError:
        raise UnsupportedOp(
            f"operator {kind} is not supported",
            f"replace it in the network and export again; supported: {', '.join(sorted(OPS))}",
        ) from None
