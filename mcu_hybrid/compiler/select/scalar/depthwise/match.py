"""DEPTHWISE_CONV_2D on the scalar kernel: weights by channel, bands that fit a small scratch."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.scalar.requant import FORMS, fit
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import CStruct, CTable, Field, KernelCall, KernelId
from mcu_hybrid.ops.depthwise_conv2d import DEPTHWISE_CONV_2D
from mcu_hybrid.ops.padding import Window, window_fields
from mcu_hybrid.ops.weighted import weights_of

SCRATCH_BYTES = 4096  # of the copy, where a band of one row needs no more
_PIXELS = 4  # computed at once: the last ones may read beyond a row's end


def match(graph: Graph, op: Op) -> Choice | None:
    """The scalar kernel of a depthwise convolution, or None (other operators, no exact form)."""
    if not DEPTHWISE_CONV_2D.serves(op):
        return None
    weights = weights_of(graph, op)[0]
    height, width, channels = weights.shape
    by_channel = weights.transpose(2, 0, 1).reshape(channels, -1)
    requant = fit(graph, op, by_channel, centred=True)
    if requant is None:
        return None
    constants = np.concatenate([requant.start[:, None], requant.words], 1).astype(np.int32)
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    band = _band(op.attrs.window, source.shape[1:3], target.shape[1:3], (height, width))
    fields: tuple[Field, ...] = (
        ("weights", CTable("weights", "int8_t", by_channel.reshape(-1))),
        ("constants", CTable("constants", "int32_t", constants.reshape(-1))),
        ("form", FORMS[requant.form]),
        ("lo", requant.clamp[0]),
        ("hi", requant.clamp[1]),
        ("in_h", source.shape[1]),
        ("in_w", source.shape[2]),
        ("in_c", source.shape[3]),
        ("out_h", target.shape[1]),
        ("out_w", target.shape[2]),
        ("multiplier", op.attrs.multiplier),
        *window_fields(graph, op, op.attrs.window, (height, width), dilated=True),
        ("in_zp", source.require_quant().zero_point),
        *zip(("band_rows", "row_width", "copy_rows"), band, strict=True),
    )
    params = CStruct("mh_scalar_depthwise_params", fields)
    call = KernelCall(
        KernelId("scalar_depthwise"),
        params,
        "unary",
        op.inputs[:1],
        op.outputs,
        "scalar_depthwise_s8",
        ("scalar_matrix_s8", "scalar_dot_s8"),
    )
    return Choice(call, 2 * band[1] * band[2], (), None, requant.forms)


def _band(
    window: Window, size: tuple[int, ...], out: tuple[int, ...], kernel: tuple[int, int]
) -> tuple[int, int, int]:
    """Output rows of a band, values of a row of its copy, and rows of the copy."""
    left = window.before((size[0], size[1]), kernel)[1]
    reach = window.reach(kernel)
    pixels = -(-out[1] // _PIXELS) * _PIXELS
    width = max((pixels - 1) * window.stride[1] + reach[1], left + size[1])

    def copied(rows: int) -> int:
        return min((rows - 1) * window.stride[0] + reach[0], size[0])

    rows = out[0]
    while rows > 1 and 2 * width * copied(rows) > SCRATCH_BYTES:
        rows -= 1
    bands = -(-out[0] // rows)
    rows = -(-out[0] // bands)  # of equal size
    return rows, width, copied(rows)
