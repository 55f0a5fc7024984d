"""CONV_2D int8: any kernel, stride, dilation and padding; groups where the filter is narrower."""

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
    """The window, and the fused activation as TFLite numbers it."""

    window: Window
    activation: int


def read(raw: RawOp) -> Attrs:
    """Read the options table."""
    return Attrs(read_window(raw, dilated=True), read_activation(raw))


def check(graph: Graph, op: Op[Attrs]) -> None:
    """Maps that fit the window; filter [out, height, width, in / groups]."""
    check_weighted(graph, op, channel_axis=0, rank=4)
    out_c, height, width, depth = weights_of(graph, op).shape
    require_window(graph, op, op.attrs.window, (height, width), out_c)
    in_c = graph.tensor(op.inputs[0]).shape[3]
    if in_c % depth or out_c % (in_c // depth):
        raise ModelError(
            f"a filter of shape {[out_c, height, width, depth]} does not divide {in_c} input "
            "channels into groups",
            "export the model again; the filter's last dimension must be input channels / groups",
            key=where(op),
        )


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    exact = sums(graph, op, np.asarray(inputs[0]), weights_of(graph, op))
    return (requantised(graph, op, exact, op.attrs.activation),)


def sums(graph: Graph, op: Op[Attrs], data: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Exact sums of products [1, height, width, out] of a map with these filters; no bias."""
    # float64 products are exact: every partial sum is an integer below 2**53.
    weights = weights.astype(np.float64)
    out_c, height, width, depth = weights.shape
    zero_point = graph.tensor(op.inputs[0]).require_quant().zero_point
    image = data[0].astype(np.float64) - zero_point
    window = op.attrs.window
    out_h, out_w = window.out_size((data.shape[1], data.shape[2]), (height, width))
    image = padded(image, window, (height, width), 0)
    groups = image.shape[2] // depth
    total = np.zeros((groups, out_h * out_w, out_c // groups))
    for y in range(height):
        for x in range(width):
            seen = tap(image, window, (out_h, out_w), (y, x)).reshape(-1, groups, depth)
            filters = weights[:, y, x].reshape(groups, out_c // groups, depth)
            total += np.matmul(seen.transpose(1, 0, 2), filters.transpose(0, 2, 1))
    return total.transpose(1, 0, 2).reshape(1, out_h, out_w, out_c).astype(np.int64)


def macs(graph: Graph, op: Op[Attrs]) -> int:
    """Nominal multiply-accumulates, those with padding included."""
    out = graph.tensor(op.outputs[0])
    return out.elements * (weights_of(graph, op).size // out.shape[3])


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The call of mh_conv2d_s8."""
    source, target = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    out_c, height, width, depth = weights_of(graph, op).shape
    fields = (
        *table_fields(graph, op, out_c),
        ("in_h", source[1]),
        ("in_w", source[2]),
        ("in_c", source[3]),
        ("out_h", target[1]),
        ("out_w", target[2]),
        ("out_c", out_c),
        *window_fields(graph, op, op.attrs.window, (height, width), dilated=True),
        ("groups", source[3] // depth),
        *range_fields(graph, op, op.attrs.activation),
    )
    params = CStruct("mh_conv2d_params", fields)
    return KernelCall(KernelId("conv2d"), params, "unary", op.inputs[:1], op.outputs, "conv2d_s8")


def shapes(raw: RawOp) -> list[Shape]:
    """The output's map."""
    first, height, width, _ = raw.shape(WEIGHTS)
    return mapped(raw, read(raw).window, (height, width), first)


CONV_2D = Operator(
    "CONV_2D",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    macs=macs,
    traits=Traits(
        windowed=True,
        weighted=Weighted(sums, channel_axis=0),
        clamps=True,
        tflm=Tflm("AddConv2D", has_int8=True),
    ),
    shapes=shapes,
)
