"""FULLY_CONNECTED int8: rows of the input times [out, in] weights, per tensor or per channel."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from mcu_hybrid.errors import ModelError, UnsupportedOp
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
from mcu_hybrid.ops.weighted import (
    BIAS,
    WEIGHTS,
    bias_of,
    check_weighted,
    range_fields,
    requantised,
    table_fields,
    weights_of,
)

_BIAS_TOLERANCE = 0.02  # TFLM's bound on |scale_bias - scale_in * scale_weights| / scale_out


@dataclass(frozen=True)
class Attrs:
    """The fused activation as TFLite numbers it."""

    activation: int


def read(raw: RawOp) -> Attrs:
    """Read the options table."""
    if raw.options.get("weights_format", 0) != 0:
        raise UnsupportedOp(
            "shuffled weights are not supported",
            "export with the default weights format",
            key=f"{raw.kind} '{raw.name}'",
        )
    return Attrs(read_activation(raw))


def check(graph: Graph, op: Op[Attrs]) -> None:
    """Weights [out, in]; the input holds rows of ``in``, the output as many rows of ``out``."""
    check_weighted(graph, op, channel_axis=0, rank=2)
    out_c, in_c = weights_of(graph, op).shape
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    whole = source.elements % in_c == 0
    if not whole or target.elements != source.elements // in_c * out_c or target.shape[-1] != out_c:
        raise ModelError(
            f"input {list(source.shape)} and output {list(target.shape)} do not fit weights "
            f"{[out_c, in_c]}",
            "export the model again with fixed shapes and batch 1",
            key=where(op),
        )
    _check_bias_scale(graph, op)


def _check_bias_scale(graph: Graph, op: Op[Attrs]) -> None:
    """TFLM refuses a per-tensor layer whose bias has a scale of its own."""
    weights = graph.tensor(op.inputs[WEIGHTS]).require_quant()
    if weights.per_channel or bias_of(graph, op) is None:
        return
    bias = graph.tensor(op.inputs[BIAS]).quant
    product = graph.tensor(op.inputs[0]).require_quant().scale * weights.scale
    out_scale = graph.tensor(op.outputs[0]).require_quant().scale
    if bias is not None and abs(product - bias.scale) / out_scale > _BIAS_TOLERANCE:
        raise ModelError(
            f"the bias has scale {bias.scale:.9g}, expected {product:.9g} (input times weights)",
            "export with the TFLite converter, which gives the bias this scale",
            key=where(op),
        )


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The operator in integer numpy, bit-exact with TFLM."""
    exact = sums(graph, op, np.asarray(inputs[0]), weights_of(graph, op))
    out = requantised(graph, op, exact, op.attrs.activation)
    return (out.reshape(graph.tensor(op.outputs[0]).shape),)


def sums(graph: Graph, op: Op[Attrs], data: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Exact sums of products [rows, out] of an input with these weights; no bias."""
    # float64 products are exact: every partial sum is an integer below 2**53.
    weights = weights.astype(np.float64)
    zero_point = graph.tensor(op.inputs[0]).require_quant().zero_point
    rows = data.reshape(-1, weights.shape[1]).astype(np.float64) - zero_point
    return np.asarray(rows @ weights.T, np.int64)


def macs(graph: Graph, op: Op[Attrs]) -> int:
    """Multiply-accumulates."""
    return graph.tensor(op.outputs[0]).elements * weights_of(graph, op).shape[1]


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall:
    """The call of mh_fully_connected_s8."""
    out_c, in_c = weights_of(graph, op).shape
    fields = (
        *table_fields(graph, op, out_c),
        ("rows", graph.tensor(op.inputs[0]).elements // in_c),
        ("in_c", in_c),
        ("out_c", out_c),
        *range_fields(graph, op, op.attrs.activation),
    )
    params = CStruct("mh_fully_connected_params", fields)
    return KernelCall(
        KernelId("fully_connected"),
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        "fully_connected_s8",
    )


def shapes(raw: RawOp) -> list[Shape]:
    """Rows of outputs, or the input's own dimensions with the last one replaced."""
    out_c, in_c = raw.shape(WEIGHTS)
    source = raw.shape(0)
    if prod(source) % in_c:
        raise ModelError(
            f"takes {in_c} values a row, the given input shape leads to {prod(source)}",
            "give the --input-shape that the network was made for: this layer fixes it",
            key=f"{raw.kind} '{raw.name}'",
        )
    if raw.options.get("keep_num_dims", False):
        return [(*source[:-1], out_c)]
    return [(prod(source) // in_c, out_c)]


FULLY_CONNECTED = Operator(
    "FULLY_CONNECTED",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    macs=macs,
    traits=Traits(
        weighted=Weighted(sums, channel_axis=0),
        clamps=True,
        tflm=Tflm("AddFullyConnected", has_int8=True),
    ),
    shapes=shapes,
)
