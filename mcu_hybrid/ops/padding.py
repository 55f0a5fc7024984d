"""Windows that slide over a map: TFLite's SAME and VALID padding for convolutions and pools.

A file only says SAME or VALID; passes that take padding from elsewhere give explicit rows and
columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops.base import RawOp, Shape
from mcu_hybrid.ops.checks import require_shape, where

SAME, VALID = 0, 1  # TFLite's Padding
_MAX_PADDED = 1 << 22  # values of a map with its padding, where the map itself is small
_PADDED_TIMES = 4  # and as a multiple of a large map
_INT16_MAX = (1 << 15) - 1
_MAX_TAPS = 1 << 16  # of a pool, whose kernel is no tensor that would bound it


@dataclass(frozen=True)
class Window:
    """Stride, dilation and padding of a sliding window; pairs are (height, width).

    ``explicit`` (rows on top, at the bottom, columns on the left, on the right) overrides
    ``padding``.
    """

    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: int
    explicit: tuple[int, int, int, int] | None = None

    def out_size(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the output map (TFLite's ComputeOutSize); <= 0 where none fits."""
        if self.explicit is not None:
            top, bottom, left, right = self.explicit
            size = (size[0] + top + bottom, size[1] + left + right)
        elif self.padding == SAME:
            return _pair(-(-n // s) for n, s in zip(size, self.stride, strict=True))
        reach = self.reach(kernel)
        return _pair((n + s - r) // s for n, s, r in zip(size, self.stride, reach, strict=True))

    def reach(self, kernel: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns that a dilated kernel spans."""
        return _pair((k - 1) * d + 1 for k, d in zip(kernel, self.dilation, strict=True))

    def before(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Padded rows on top and columns on the left; an odd rest goes to the other end."""
        if self.explicit is not None:
            return self.explicit[0], self.explicit[2]
        both = zip(self._span(size, kernel), size, strict=True)
        return _pair(max(span - n, 0) // 2 for span, n in both)

    def after(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Padded rows at the bottom and columns on the right that some window touches."""
        spans, before = self._span(size, kernel), self.before(size, kernel)
        return _pair(max(s - b - n, 0) for s, b, n in zip(spans, before, size, strict=True))

    def _span(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns from the first window's start to the last one's end."""
        both = zip(self.out_size(size, kernel), self.stride, self.reach(kernel), strict=True)
        return _pair((o - 1) * s + r for o, s, r in both)


def _pair(values: Iterable[int]) -> tuple[int, int]:
    height, width = values
    return height, width


def read_window(raw: RawOp, *, dilated: bool) -> Window:
    """Read stride, dilation and padding; raises ModelError where a value makes no sense."""
    options = raw.options
    stride = (int(options["stride_h"]), int(options["stride_w"]))
    dilation = (1, 1)
    if dilated:
        dilation = (int(options["dilation_h_factor"]), int(options["dilation_w_factor"]))
    padding = int(options["padding"])
    if min(*stride, *dilation) < 1 or padding not in (SAME, VALID):
        raise ModelError(
            f"stride {stride}, dilation {dilation} or padding number {padding} makes no sense",
            "export the model again; the file is damaged or of another schema",
            key=f"{raw.kind} '{raw.name}'",
        )
    return Window(stride, dilation, padding)


def mapped(raw: RawOp, window: Window, kernel: tuple[int, int], channels: int) -> list[Shape]:
    """The output map of a window on the first input of a file's operator."""
    _, height, width, _ = raw.shape(0)
    rows, columns = window.out_size((height, width), kernel)
    if min(rows, columns) < 1:
        raise ModelError(
            f"a kernel of {list(kernel)} does not fit into a map of {height} x {width}",
            "give a larger --input-shape",
            key=f"{raw.kind} '{raw.name}'",
        )
    return [(1, rows, columns, channels)]


def padded(x: np.ndarray, window: Window, kernel: tuple[int, int], value: int) -> np.ndarray:
    """Return the map ``x`` [height, width, channels] with all padding that its windows touch."""
    size = (x.shape[0], x.shape[1])
    widths = tuple(zip(window.before(size, kernel), window.after(size, kernel), strict=True))
    return np.pad(x, (*widths, (0, 0)), constant_values=value)


def tap(
    x: np.ndarray, window: Window, out: tuple[int, ...], position: tuple[int, int]
) -> np.ndarray:
    """What one kernel position sees of a padded map: [out height, out width, channels]."""
    rows, columns = (
        slice(p * d, p * d + (o - 1) * s + 1, s)
        for p, d, o, s in zip(position, window.dilation, out, window.stride, strict=True)
    )
    return x[rows, columns]


def require_map(op: Op[object], tensor: Tensor) -> None:
    """Raise ModelError unless the tensor is one map: [1, height, width, channels]."""
    if len(tensor.shape) != 4 or tensor.shape[0] != 1:
        raise ModelError(
            f"'{tensor.name}' has shape {list(tensor.shape)}, expected [1, height, width, depth]",
            "export the model with batch 1 and NHWC layout",
            key=where(op),
        )


def require_window(
    graph: Graph, op: Op[object], window: Window, kernel: tuple[int, int], channels: int
) -> None:
    """Raise ModelError unless input and output are maps that this window brings together."""
    source, target = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    require_map(op, source)
    require_map(op, target)
    out = window.out_size((source.shape[1], source.shape[2]), kernel)
    if min(window.explicit or (0,)) < 0:
        raise ModelError(
            f"padding {window.explicit} is negative",
            "this is a fault of mcu-hybrid: report it",
            key=where(op),
        )
    if min(out) < 1:
        raise ModelError(
            f"a kernel of {list(kernel)} does not fit into the map {list(source.shape[1:3])}",
            "use SAME padding or a smaller kernel",
            key=where(op),
        )
    require_shape(op, target, (1, *out, channels))
    _require_reach(op, source, window, kernel)


def _require_reach(op: Op[object], source: Tensor, window: Window, kernel: tuple[int, int]) -> None:
    """Refuse windows that mostly see padding: the padded map must stay near the map's own size."""
    _, height, width, channels = source.shape
    size = (height, width)
    ends = zip(size, window.before(size, kernel), window.after(size, kernel), strict=True)
    rows, columns = _pair(sum(parts) for parts in ends)
    limit = max(_MAX_PADDED, _PADDED_TIMES * source.elements)
    too_many = kernel[0] * kernel[1] > max(_MAX_TAPS, height * width)
    if rows * columns * channels > limit or too_many:
        raise UnsupportedOp(
            f"a window of {list(kernel)} with dilation {list(window.dilation)} reaches over "
            f"{rows:,} x {columns:,} positions of a map of {height} x {width}",
            "use a kernel and a dilation of the size of the map",
            key=where(op),
        )
    numbers = (*window.stride, *window.dilation, *window.before(size, kernel))
    if max(numbers) > _INT16_MAX:
        raise UnsupportedOp(
            f"stride {list(window.stride)}, dilation {list(window.dilation)} or padding "
            f"{list(window.before(size, kernel))} is beyond 16 bits, as TFLM holds them",
            "use a stride and a dilation of the size of the map",
            key=where(op),
        )


def window_fields(
    graph: Graph, op: Op[object], window: Window, kernel: tuple[int, int], *, dilated: bool
) -> tuple[tuple[str, int], ...]:
    """Kernel, stride, dilation and padding of a kernel's params."""
    source = graph.tensor(op.inputs[0])
    top, left = window.before((source.shape[1], source.shape[2]), kernel)
    dilation = (("dilation_h", window.dilation[0]), ("dilation_w", window.dilation[1]))
    return (
        ("kernel_h", kernel[0]),
        ("kernel_w", kernel[1]),
        ("stride_h", window.stride[0]),
        ("stride_w", window.stride[1]),
        *(dilation if dilated else ()),
        ("pad_top", top),
        ("pad_left", left),
    )
