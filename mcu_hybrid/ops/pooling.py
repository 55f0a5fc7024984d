"""What AVERAGE_POOL_2D and MAX_POOL_2D share: options, checks and params."""

from __future__ import annotations

from dataclasses import dataclass

from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.activation import activation_range, read_activation
from mcu_hybrid.ops.base import CStruct, KernelCall, KernelId, RawOp, Shape
from mcu_hybrid.ops.checks import require_int8, require_operands, where
from mcu_hybrid.ops.padding import Window, mapped, read_window, require_window, window_fields

_SCALE_TOLERANCE = 1e-6  # TFLM's bound on the difference of the scales


@dataclass(frozen=True)
class PoolAttrs:
    """The window, its kernel (height, width), and the fused activation's number."""

    window: Window
    kernel: tuple[int, int]
    activation: int


def read(raw: RawOp) -> PoolAttrs:
    """Read the options table."""
    kernel = (int(raw.options["filter_height"]), int(raw.options["filter_width"]))
    if min(kernel) < 1:
        raise ModelError(
            f"a pool of {list(kernel)} makes no sense",
            "export the model again; the file is damaged or of another schema",
            key=f"{raw.kind} '{raw.name}'",
        )
    return PoolAttrs(read_window(raw, dilated=False), kernel, read_activation(raw))


def check(graph: Graph, op: Op[PoolAttrs]) -> None:
    """Maps of the same channels and quantisation that fit the window."""
    require_operands(graph, op, inputs=1)
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    require_int8(op, source, target)
    require_window(graph, op, op.attrs.window, op.attrs.kernel, source.shape[-1])
    a, b = source.require_quant(), target.require_quant()
    if abs(a.scale - b.scale) > _SCALE_TOLERANCE or a.zero_point != b.zero_point:
        raise ModelError(
            f"input (scale {a.scale:.9g}, zero point {a.zero_point}) and output (scale "
            f"{b.scale:.9g}, zero point {b.zero_point}) differ; a pool never rescales",
            "export with the TFLite converter, which gives both one scale",
            key=where(op),
        )


def lower(graph: Graph, op: Op[PoolAttrs], family: str) -> KernelCall:
    """The call of a pool's kernel."""
    source, target = graph.tensor(op.inputs[0]).shape, graph.tensor(op.outputs[0]).shape
    quant = graph.tensor(op.outputs[0]).require_quant()
    lo, hi = activation_range(op.attrs.activation, quant)
    fields = (
        ("in_h", source[1]),
        ("in_w", source[2]),
        ("channels", source[3]),
        ("out_h", target[1]),
        ("out_w", target[2]),
        *window_fields(graph, op, op.attrs.window, op.attrs.kernel, dilated=False),
        ("lo", lo),
        ("hi", hi),
    )
    params = CStruct("mh_pool2d_params", fields)
    return KernelCall(KernelId(family), params, "unary", op.inputs, op.outputs, f"{family}_s8")


def shapes(raw: RawOp) -> list[Shape]:
    """The output's map."""
    attrs = read(raw)
    return mapped(raw, attrs.window, attrs.kernel, raw.shape(0)[3])
