"""DEPTHWISE_CONV_2D int8: any kernel, stride, dilation, padding and depth multiplier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.activation import read_activation
from mcu_hybrid.ops.base import (
    CStruct,
    KernelCall,
    KernelId,
    Operands,
    Operator,
    RawOp,
    Shape,
    Tflm,
    Ties,
    Traits,
    Weighted,
)
from mcu_hybrid.ops.checks import where
from mcu_hybrid.ops.padding import (
    Window,
    mapped,
    padded,
    read_window,
    require_window,
    tap,
    window_fields,
)
from mcu_hybrid.ops.weighted import (
    WEIGHTS,
    check_weighted,
    range_fields,
    requantised,
    table_fields,
    weights_of,
)


@dataclass(frozen=True)
class Attrs:
    """The window, output channels per input channel, and the fused activation's number."""

    window: Window
    multiplier: int
    activation: int


def read(raw: RawOp) -> Attrs:
    """Read the options table."""
    window = read_window(raw, dilated=True)
    return Attrs(window, int(raw.options["depth_multiplier"]), read_activation(raw))


def check(graph: Graph, op: Op[Attrs]) -> None:
    """Maps that fit the window; filter [1, height, width, in channels * multiplier]."""
    check_weighted(graph, op, channel_axis=3, rank=4)
    first, height, width, out_c = weights_of(graph, op).shape
    require_window(graph, op, op.attrs.window, (height, width), out_c)
    in_c = graph.tensor(op.inputs[0]).shape[3]
    if first != 1 or out_c != in_c * op.attrs.multiplier or op.attrs.multiplier >= 1 << 15:
        raise ModelError(
            f"a filter of shape {[first, height, width, out_c]} does not fit {in_c} input channels "
            f"and depth multiplier {op.attrs.multiplier}",
            "export the model again; the filter must be [1, height, width, channels * multiplier]",
            key=where(op),
        )


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    exact = sums(graph, op, np.asarray(inputs[0]), weights_of(graph, op))
    return (requantised(graph, op, exact, op.attrs.activation),)


def sums(graph: Graph, op: Op[Attrs], data: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Exact sums of products [1, height, width, out] of a map with these filters; no bias."""
    weights = weights[0].astype(np.int32)
    height, width, channels = weights.shape
    zero_point = graph.tensor(op.inputs[0]).require_quant().zero_point
    image = data[0].astype(np.int32) - zero_point
    window = op.attrs.window
    out = window.out_size((data.shape[1], data.shape[2]), (height, width))
    image = padded(image, window, (height, width), 0)
    total = np.zeros((*out, channels), np.int32)  # check() has shown that 32 bits are enough
    for y in range(height):
        for x in range(width):
            seen = tap(image, window, out, (y, x))
            total += np.repeat(seen, op.attrs.multiplier, axis=2) * weights[y, x]
    return total[np.newaxis]


def macs(graph: Graph, op: Op[Attrs]) -> int:
    """Nominal multiply-accumulates, those with padding included."""
    _, height, width, _ = weights_of(graph, op).shape
    return graph.tensor(op.outputs[0]).elements * height * width


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The call of mh_depthwise_conv2d_s8."""
    source, target = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    _, height, width, out_c = weights_of(graph, op).shape
    fields = (
        *table_fields(graph, op, out_c),
        ("in_h", source[1]),
        ("in_w", source[2]),
        ("in_c", source[3]),
        ("out_h", target[1]),
        ("out_w", target[2]),
        ("multiplier", op.attrs.multiplier),
        *window_fields(graph, op, op.attrs.window, (height, width), dilated=True),
        *range_fields(graph, op, op.attrs.activation),
    )
    params = CStruct("mh_depthwise_conv2d_params", fields)
    return KernelCall(
        KernelId("depthwise_conv2d"),
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        "depthwise_conv2d_s8",
    )


def shapes(raw: RawOp) -> list[Shape]:
    """The output's map."""
    _, height, width, last = raw.shape(WEIGHTS)
    return mapped(raw, read(raw).window, (height, width), last)


def ties(graph: Graph, op: Op[Attrs]) -> Ties:
    """An input channel with all that come of it; one input channel: each output stands alone."""
    target, depth = op.outputs[0], graph.tensor(op.inputs[0]).shape[3]
    labels = np.arange(graph.tensor(target).shape[-1])
    if depth == 1:
        return [(target, labels)]
    return [(op.inputs[0], np.arange(depth)), (target, labels // op.attrs.multiplier)]


DEPTHWISE_CONV_2D = Operator(
    "DEPTHWISE_CONV_2D",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    macs=macs,
    traits=Traits(
        windowed=True,
        weighted=Weighted(sums, channel_axis=3),
        clamps=True,
        tflm=Tflm("AddDepthwiseConv2D", has_int8=True),
    ),
    shapes=shapes,
    ties=ties,
)
