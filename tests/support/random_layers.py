"""Layers of random int8 models, one method each, with scales that suit what they compute.

Weights and biases are random bytes. Not here: where decisions come from (random_source.py), and how
layers make a model (random_models.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.support.random_source import Source
from tests.support.tflite_builder import OpSpec, Spec

Shape = tuple[int, ...]
SAME, VALID = 0, 1
_SCALE = 0.04
_ZERO_POINTS = (-128, -128, 0, 3, 127, -37, 64)
_FIXED = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "SOFTMAX": (1 / 256, -128)}


class Builder:
    """Grows a model; every method returns the index of the tensor that it makes."""

    def __init__(self, source: Source) -> None:
        self.s = source
        self.tensors: list[Spec] = []
        self.ops: list[OpSpec] = []
        self.folded: set[int] = set()  # what is computed from constants alone: no outputs

    # --- tensors --------------------------------------------------------------------------------

    def tensor(
        self, shape: Shape, scale: Any = None, zero: int = 0, data: Any = None, axis: int = 0
    ) -> int:
        """An activation, or a constant of the array's type."""
        dtype = "int8" if data is None else str(data.dtype)
        name = f"t{len(self.tensors)}"
        self.tensors.append(Spec(name, shape, dtype, scale, zero, axis, data))
        return len(self.tensors) - 1

    def ints(self, values: Any) -> int:
        data = np.array(values, np.int32)
        return self.tensor(data.shape, data=data)

    def shape(self, x: int) -> Shape:
        return tuple(self.tensors[x].shape)

    def quant(self, x: int) -> tuple[float, int]:
        found = self.tensors[x]
        assert isinstance(found.scale, float) and isinstance(found.zero, int)
        return found.scale, found.zero

    def fresh(
        self, near: float | None = None, far: tuple[float, ...] = (8.0, 0.1)
    ) -> tuple[float, int]:
        """A quantisation; mostly one that uses the output's range, where ``near`` says which."""
        factor = float(np.exp(self.s.values.uniform(-0.7, 0.7)))
        if self.s.chance(10):
            factor *= self.s.pick(far)
        # Chains of sums must not end at scales that no operator takes any more.
        return float(np.float32(min(near or _SCALE, 2.0) * factor)), self.s.pick(_ZERO_POINTS)

    def op(
        self, kind: str, inputs: Sequence[int], shape: Shape, q: tuple[float, int], **options: Any
    ) -> int:
        out = self.tensor(shape, *q)
        self.ops.append(OpSpec(kind, tuple(inputs), (out,), options))
        return out

    # --- layers with weights --------------------------------------------------------------------

    def weighted(
        self, kind: str, x: int, shape: Shape, axis: int, out: Shape, **options: Any
    ) -> int:
        """A layer with random weights [shape]; its bias and scales suit what its sums reach."""
        s, channels = self.s, shape[axis]
        data = s.values.integers(-128 if s.chance(20) else -127, 128, shape)
        if s.chance(15):
            np.moveaxis(data, axis, 0)[s.below(channels)] = 0
        is_small = s.chance(15)
        data = data // 40 if is_small else data
        count = channels if s.chance(75) else 1
        fan = data.size // channels
        reach = (3 if is_small else 74) * 74 * fan**0.5
        source_scale = self.quant(x)[0]
        scales = s.values.uniform(0.3, 3.0, count) * _SCALE * 50 / (reach * source_scale)
        if s.chance(10):
            scales = scales * 10 ** s.values.uniform(-1.5, 1.5, count)
        scales = np.float32(scales)
        w = self.tensor(shape, scales, data=data.astype(np.int8), axis=axis if count > 1 else 0)
        inputs = [x, w]
        if s.chance(85):
            bias = s.values.normal(0, reach / 2, channels).astype(np.int32)
            inputs.append(self.tensor((channels,), scales * np.float32(source_scale), data=bias))
        elif kind == "FULLY_CONNECTED" and s.chance(50):
            inputs.append(-1)  # TFLM crashes on this in a depthwise convolution
        # Far off, factors are above one, which only few kernels take.
        q = self.fresh(source_scale * float(np.max(scales)) * reach / 50, (8.0, 0.1, 0.01))
        return self.op(kind, inputs, out, q, fused_activation_function=self.act(), **options)

    def act(self) -> int:
        return self.s.pick((0, 1, 3, 1, 0, 2))

    def window(
        self, x: int, kernel: Shape, *, dilated: bool = True
    ) -> tuple[Shape, dict[str, int]]:
        """Options of a window over a map, and the output's height and width."""
        s, out = self.s, []
        options = {"padding": s.pick((SAME, VALID))}
        stride = s.pick(((1, 1), (1, 1), (2, 2), (2, 1), (1, 3)))
        dilation = s.pick(((1, 1), (2, 2), (1, 2), (3, 1))) if dilated and s.chance(15) else (1, 1)
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        size = self.shape(x)[1:3]
        if any(r > n for r, n in zip(reach, size, strict=True)):
            options["padding"] = SAME
        for n, step, r in zip(size, stride, reach, strict=True):
            out.append(-(-n // step) if options["padding"] == SAME else (n - r) // step + 1)
        options |= {"stride_h": stride[0], "stride_w": stride[1]}
        if dilated:
            options |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
        return tuple(out), options

    def conv(self, x: int, channels: int | None = None, keep: bool = False) -> int:
        """With ``keep`` the output has the map's size."""
        s, depth = self.s, self.shape(x)[3]
        kernel = s.pick(((1, 1), (3, 3), (1, 1), (1, 3), (5, 1), (2, 2), (5, 4)))
        out, options = self.window(x, kernel)
        if keep:
            out = self.shape(x)[1:3]
            options |= {"padding": SAME, "stride_h": 1, "stride_w": 1}
        channels = channels or s.pick((4, 8, 1, 3, 5, 7, 12))
        if depth % 2 == 0 and channels % 2 == 0 and s.chance(6):
            depth //= 2  # two groups
        shape = (channels, *kernel, depth)
        return self.weighted("CONV_2D", x, shape, 0, (1, *out, channels), **options)

    def depthwise(self, x: int) -> int:
        s, depth = self.s, self.shape(x)[3]
        kernel = s.pick(((3, 3), (5, 5), (3, 3), (7, 7), (1, 1), (3, 5), (4, 2)))
        out, options = self.window(x, kernel)
        multiplier = s.pick((1, 1, 1, 2, 3)) if depth < 8 else 1
        shape = (1, *kernel, depth * multiplier)
        options["depth_multiplier"] = multiplier
        return self.weighted("DEPTHWISE_CONV_2D", x, shape, 3, (1, *out, shape[3]), **options)

    def dense(self, x: int) -> int:
        """A fully connected layer over all of a tensor."""
        size, outputs = int(np.prod(self.shape(x))), self.s.pick((4, 1, 3, 10, 7))
        if len(self.shape(x)) != 2:
            x = self.reshape(x, (1, size))
        return self.weighted("FULLY_CONNECTED", x, (outputs, size), 0, (1, outputs))

    def dense_per_pixel(self, x: int) -> int:
        """A fully connected layer over the channels of each pixel."""
        (_, *size, depth), outputs = self.shape(x), self.s.pick((4, 3, 8))
        shape, out = (outputs, depth), (1, *size, outputs)
        return self.weighted("FULLY_CONNECTED", x, shape, 0, out, keep_num_dims=True)

    # --- layers without weights -----------------------------------------------------------------

    def reshape(self, x: int, shape: Shape) -> int:
        return self.op("RESHAPE", (x, self.ints(shape)), shape, self.quant(x))

    def view(self, x: int) -> int:
        """The same bytes as another map, perhaps by way of fewer dimensions."""
        _, height, width, depth = self.shape(x)
        if self.s.chance(30):
            x = self.reshape(x, (1, height * width, depth))
        return self.reshape(
            x, self.s.pick(((1, 1, height * width, depth), (1, width, height, depth)))
        )

    def pool(self, x: int) -> int:
        kernel = self.s.pick(((2, 2), (3, 3), (1, 2), (4, 3), (1, 1)))
        if self.s.chance(15):
            kernel = self.shape(x)[1:3]
        out, options = self.window(x, kernel, dilated=False)
        options |= {"filter_height": kernel[0], "filter_width": kernel[1]}
        options["fused_activation_function"] = self.act()
        kind = self.s.pick(("MAX_POOL_2D", "AVERAGE_POOL_2D"))
        return self.op(kind, (x,), (1, *out, self.shape(x)[3]), self.quant(x), **options)

    def pad(self, x: int) -> int:
        before, after = ((0, *(self.s.between(0, 2) for _ in range(2)), 0) for _ in range(2))
        if self.s.chance(15):
            after = (*after[:3], 1)
        if self.s.chance(10):
            before = after = (0, 0, 0, 0)
        both = zip(before, self.shape(x), after, strict=True)
        inputs, kind, q = (
            [x, self.ints(list(zip(before, after, strict=True)))],
            "PAD",
            self.quant(x),
        )
        if self.s.chance(40):
            value = np.array([self.s.pick((-128, 5, q[1]))], np.int8)
            inputs, kind = [*inputs, self.tensor((1,), *q, data=value)], "PADV2"
        return self.op(kind, inputs, tuple(sum(parts) for parts in both), q)

    def unary(self, x: int) -> int:
        kinds = ("RELU", "RELU6", "QUANTIZE", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH")
        kind = self.s.pick(kinds)
        q = _FIXED.get(kind) or self.fresh(self.quant(x)[0])
        if kind == "RELU6" or (kind == "RELU" and self.s.chance(50)):
            q = self.quant(x)
        options = {"alpha": self.s.pick((0.1, 0.3))} if kind == "LEAKY_RELU" else {}
        return self.op(kind, (x,), self.shape(x), q, **options)

    def arithmetic(self, a: int, b: int) -> int:
        kind = self.s.pick(("ADD", "MUL", "SUB", "ADD"))
        scale = max(self.quant(a)[0], self.quant(b)[0]) * 1.4
        if kind == "MUL":
            scale = self.quant(a)[0] * self.quant(b)[0] * 90
        shape = tuple(int(n) for n in np.broadcast_shapes(self.shape(a), self.shape(b)))
        inputs = (a, b) if self.s.chance(70) else (b, a)
        q = self.fresh(scale)
        return self.op(kind, inputs, shape, q, fused_activation_function=self.act())

    def constant(self, x: int) -> int:
        """A constant that broadcasts to the tensor."""
        shape = self.s.pick(
            ((self.shape(x)[-1],), (1,), (1, 1, 1, self.shape(x)[-1]), self.shape(x))
        )
        data = self.s.values.integers(-128, 128, shape).astype(np.int8)
        made = self.tensor(shape, *self.fresh(self.quant(x)[0]), data=data)
        if self.s.chance(10):  # work that can be done beforehand
            made = self.unary(made)
            self.folded.add(made)
        return made

    def concat(self, parts: Sequence[int], axis: int) -> int:
        """Of one quantisation, brought there by QUANTIZE where it has to be."""
        q = self.quant(parts[0])
        same = [
            p if self.quant(p) == q else self.op("QUANTIZE", (p,), self.shape(p), q) for p in parts
        ]
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(p)[axis] for p in parts)
        return self.op("CONCATENATION", same, tuple(shape), q, axis=axis)

    def split(self, x: int) -> list[int]:
        """Equal parts, or unequal ones."""
        shape, s = self.shape(x), self.s
        axis = s.pick([i for i in (3, 1, 2) if shape[i] > 1])
        first, kind = shape[axis] // 2, "SPLIT"
        if shape[axis] % 2 or s.chance(20):
            first, kind = s.between(1, shape[axis] - 1), "SPLIT_V"
        parts = (first, shape[axis] - first)
        outs = [self.tensor((*shape[:axis], n, *shape[axis + 1 :]), *self.quant(x)) for n in parts]
        ins = [self.ints(axis), x]
        if kind == "SPLIT_V":
            ins = [x, self.ints(parts), self.ints(axis)]
        self.ops.append(OpSpec(kind, ins, outs, {"num_splits": 2}))
        return outs

    def slice(self, x: int) -> int:
        """Forwards, or a dimension backwards; ends by number or by mask."""
        shape = self.shape(x)
        begin = [0, *(self.s.below(min(n, 3)) for n in shape[1:])]
        end, strides = list(shape), [1, *(self.s.pick((1, 1, 2)) for _ in shape[1:])]
        options = {"end_mask": self.s.pick((0, 15, 5))}
        if self.s.chance(20):
            axis = self.s.between(1, 3)
            begin[axis], end[axis], strides[axis] = -1, -shape[axis] - 1, -1
        spans = [
            range(n - 1, -1, -1) if step < 0 else range(b, n, step)
            for b, n, step in zip(begin, shape, strides, strict=True)
        ]
        operands = [self.ints(v) for v in (begin, end, strides)]
        out = tuple(len(span) for span in spans)
        return self.op("STRIDED_SLICE", (x, *operands), out, self.quant(x), **options)

    def transpose(self, x: int) -> int:
        perm = self.s.pick(((0, 3, 1, 2), (0, 2, 3, 1), (0, 2, 1, 3), (0, 1, 2, 3)))
        shape = tuple(self.shape(x)[i] for i in perm)
        return self.op("TRANSPOSE", (x, self.ints(perm)), shape, self.quant(x))

    def resize(self, x: int) -> int:
        size = tuple(max(n * f // 2, 1) for n, f in zip(self.shape(x)[1:3], (4, 3), strict=True))
        options = self.s.pick(({}, {"half_pixel_centers": True}, {"align_corners": True}))
        shape = (1, *size, self.shape(x)[3])
        return self.op(
            "RESIZE_NEAREST_NEIGHBOR", (x, self.ints(size)), shape, self.quant(x), **options
        )

    def mean(self, x: int, keep: bool) -> int:
        axes = self.s.pick(((1, 2), (1, 2), (2,), (1,), (3,))) if keep else (1, 2)
        shape = tuple(
            1 if i in axes else n for i, n in enumerate(self.shape(x)) if keep or i not in axes
        )
        q = self.quant(x) if self.s.chance(50) else self.fresh(self.quant(x)[0] * 0.5)
        return self.op("MEAN", (x, self.ints(axes)), shape, q, keep_dims=keep)

    def softmax(self, x: int) -> int:
        return self.op("SOFTMAX", (x,), self.shape(x), _FIXED["SOFTMAX"], beta=1.0)
