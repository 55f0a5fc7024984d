"""Random int8 .tflite models of 4 to 20 operators, as TFLite's converter would write them.

Branches, residuals, gates, constants, several inputs and outputs, float edges. Layers are made in
random_layers.py; not here: what is done with the models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.support.random_layers import Builder
from tests.support.random_source import Source
from tests.support.tflite_builder import OpSpec, Spec, build

MAX_ELEMENTS = 3000
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class Model:
    """A .tflite and the kinds of its operators, in order."""

    data: bytes
    kinds: tuple[str, ...]


def random_model(source: Source) -> Model:
    """An input or two, blocks with branches, perhaps a head, and one output or several."""
    b = Builder(source)
    size = (source.pick((8, 5, 1, 2, 11)), source.pick((8, 6, 1, 3, 9)))
    channels = source.pick((4, 3, 1, 8, 2))
    limit = MAX_ELEMENTS
    if source.chance(15):  # what kernels cut into parts, or unroll
        size = (source.pick((20, 49, 33)), source.pick((20, 10, 40)))
        channels, limit = source.pick((4, 1, 16)), 5 * limit
    shape = (1, *size, channels)
    inputs = [b.tensor(shape, *b.fresh()) for _ in range(2 if source.chance(15) else 1)]
    live = list(inputs)
    target = source.between(3, 17)
    while len(b.ops) < target:
        made = _block(b, live)
        live += [y for y in made if np.prod(b.shape(y)) <= limit]
    last = b.ops[-1].outputs[-1]
    if source.chance(60) or not any(op.kind in _WEIGHTED for op in b.ops):
        last = _head(b, last)
    outputs = [last]
    inner = [o for op in b.ops for o in op.outputs if o != last and o not in b.folded]
    while inner and source.chance(25):
        outputs.append(inner.pop(source.below(len(inner))))
    kinds = tuple(op.kind for op in b.ops)
    if source.chance(15):
        inputs, outputs = _float_edges(b, inputs, outputs)
    return Model(build(b.tensors, b.ops, inputs, outputs), kinds)


def _float_edges(b: Builder, inputs: list[int], outputs: list[int]) -> tuple[list[int], list[int]]:
    """The edges of a model that was converted with float inputs and outputs."""

    def floats(like: int) -> int:
        b.tensors.append(Spec(f"float {like}", b.shape(like), "float32"))
        return len(b.tensors) - 1

    ins, outs = [floats(x) for x in inputs], [floats(y) for y in outputs]
    pairs = zip(ins, inputs, strict=True)
    b.ops[:0] = [OpSpec("QUANTIZE", (f,), (x,)) for f, x in pairs]
    b.ops += [OpSpec("DEQUANTIZE", (y,), (f,)) for y, f in zip(outputs, outs, strict=True)]
    return ins, outs


def _block(b: Builder, live: list[int]) -> list[int]:
    """One operator, or a few that belong together; mostly behind the newest tensor."""
    s = b.s
    x = live[-1] if s.chance(75) else s.pick(live)
    shape = b.shape(x)
    match s.below(18):
        case 0 | 1 | 2:
            return [b.conv(x)]
        case 3 | 4:
            return [b.depthwise(x)]
        case 5:
            return [b.pool(x)]
        case 6:  # a residual
            y = b.conv(x, shape[3], keep=True)
            return [y, b.arithmetic(y, x)]
        case 7:
            same = [y for y in live if b.shape(y)[1:3] == shape[1:3]]
            return [b.concat([x, *(s.pick(same) for _ in range(s.between(1, 2)))], 3)]
        case 8:
            return [b.conv(b.pad(x))] if s.chance(60) else [b.pad(x)]
        case 9:
            return [b.unary(b.unary(x))] if s.chance(30) else [b.unary(x)]
        case 10:
            same = [y for y in live if b.shape(y) == shape]
            other = s.pick(same) if s.chance(50) else b.constant(x)
            return [b.arithmetic(x, other)]
        case 11:  # a gate: every channel times a number of its own
            gate = b.conv(b.mean(x, keep=True), None) if s.chance(30) else b.mean(x, keep=True)
            is_fit = all(m in (1, n) for m, n in zip(b.shape(gate), shape, strict=True))
            return [b.arithmetic(x, gate)] if is_fit else [gate]
        case 12:
            if max(shape) == 1:
                return [b.slice(x)]
            parts = b.split(x)
            is_even = b.shape(parts[0]) == b.shape(parts[1])
            return [b.arithmetic(*parts)] if is_even and s.chance(50) else parts
        case 13:
            return [b.resize(x)]
        case 14:
            there = b.transpose(x)
            return [there] if s.chance(50) else [b.transpose(b.unary(there))]
        case 15:
            return [b.dense_per_pixel(x)]
        case 16:
            return [b.view(x)]
        case _:
            return [b.slice(x)] if s.chance(60) else [b.softmax(x)]


def _head(b: Builder, x: int) -> int:
    if b.s.chance(50):
        x = b.mean(x, keep=False)
    x = b.dense(x)
    if b.s.chance(30):
        x = b.dense(x)
    return b.softmax(x) if b.s.chance(50) else x
