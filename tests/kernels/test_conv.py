"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: numpy, C under sanitizers and TFLM agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support import rig
from tests.support.tflite_builder import Spec, build_one

SAME, VALID = 0, 1
ACTIVATIONS = (0, 0, 1, 2, 3)


def _activation(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> Spec:
    scale = float(np.float32(10 ** rng.uniform(-2.5, -0.5)))
    zero = int(rng.choice([-128, 127, 0, int(rng.integers(-128, 128))]))
    return Spec(name, shape, scale=scale, zero=zero)


def _weights(
    rng: np.random.Generator, shape: tuple[int, ...], axis: int, per_channel: bool
) -> Spec:
    count = shape[axis] if per_channel else 1
    scales = np.float32(10 ** rng.uniform(-3, -1, count))
    data = rng.integers(-127, 128, shape).astype(np.int8)
    return Spec("w", shape, scale=scales, axis=axis, data=data)


def _bias(rng: np.random.Generator, source: Spec, weights: Spec, channels: int) -> Spec | None:
    if rng.random() < 0.2:
        return None
    scales = np.float32(source.scale) * np.asarray(weights.scale, np.float32)
    data = rng.integers(-2000, 2001, channels).astype(np.int32)
    return Spec("b", (channels,), "int32", scale=scales, data=data)


def _output_scale(rng: np.random.Generator, source: Spec, weights: Spec, depth: int) -> float:
    """Mostly a scale that uses the int8 range; sometimes far too fine or too coarse."""
    spread = float(np.float32(source.scale)) * float(np.max(weights.scale)) * 74 * 74 * depth**0.5
    return float(np.float32(spread / 60 * 10 ** rng.choice([0.0, 0.0, 0.0, -1.5, 1.5, 4.0])))


def _out_size(size: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == SAME else (size - reach) // stride + 1


def _window(rng: np.random.Generator, *, dilated: bool = True) -> dict[str, int]:
    options = {
        "padding": int(rng.integers(0, 2)),
        "stride_h": int(rng.choice([1, 1, 2, 3])),
        "stride_w": int(rng.choice([1, 1, 2, 4])),
        "fused_activation_function": int(rng.choice(ACTIVATIONS)),
    }
    if dilated:
        big = rng.random() < 0.3
        options["dilation_h_factor"] = int(rng.integers(1, 4)) if big else 1
        options["dilation_w_factor"] = int(rng.integers(1, 4)) if big else 1
    return options


def _map(
    rng: np.random.Generator, kernel: tuple[int, int], options: dict[str, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """An input size (also 1x1 and smaller than the kernel, with SAME) and its output size."""
    size, out = [], []
    for axis, letter in enumerate("hw"):
        stride = options[f"stride_{letter}"]
        dilation = options.get(f"dilation_{letter}_factor", 1)
        reach = (kernel[axis] - 1) * dilation + 1
        least = reach if options["padding"] == VALID else 1
        size.append(int(rng.choice([least, int(rng.integers(least, least + 9))])))
        out.append(_out_size(size[axis], kernel[axis], stride, dilation, options["padding"]))
    return (size[0], size[1]), (out[0], out[1])


def _output(
    rng: np.random.Generator, shape: tuple[int, ...], source: Spec, weights: Spec, depth: int
) -> Spec:
    zero = int(rng.choice([-128, 127, int(rng.integers(-128, 128))]))
    return Spec("out", shape, scale=_output_scale(rng, source, weights, depth), zero=zero)


def _conv(seed: int) -> rig.Case:
    rng = np.random.default_rng(seed)
    options = _window(rng)
    kernel = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    if seed % 4 == 0:
        kernel = (1, 1)
    size, out_size = _map(rng, kernel, options)
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    depth, filters = int(rng.integers(1, 10)), int(rng.integers(1, 8))
    out_c = groups * filters
    source = _activation(rng, "in", (1, *size, groups * depth))
    weights = _weights(rng, (out_c, *kernel, depth), 0, bool(rng.integers(0, 2)))
    bias = _bias(rng, source, weights, out_c)
    fan_in = depth * kernel[0] * kernel[1]
    output = _output(rng, (1, *out_size, out_c), source, weights, fan_in)
    inputs = [source, weights] if bias is None else [source, weights, bias]
    model = build_one("CONV_2D", inputs, [output], options)
    return rig.case(f"conv {seed}", model, rng)


def _depthwise(seed: int) -> rig.Case:
    rng = np.random.default_rng(seed)
    options = _window(rng)
    kernel = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    size, out_size = _map(rng, kernel, options)
    in_c, multiplier = int(rng.integers(1, 11)), int(rng.choice([1, 1, 1, 2, 3, 8]))
    options["depth_multiplier"] = multiplier
    source = _activation(rng, "in", (1, *size, in_c))
    weights = _weights(rng, (1, *kernel, in_c * multiplier), 3, bool(rng.integers(0, 2)))
    bias = _bias(rng, source, weights, in_c * multiplier)
    shape = (1, *out_size, in_c * multiplier)
    output = _output(rng, shape, source, weights, kernel[0] * kernel[1])
    inputs = [source, weights] if bias is None else [source, weights, bias]
    model = build_one("DEPTHWISE_CONV_2D", inputs, [output], options)
    return rig.case(f"depthwise {seed}", model, rng)


def _fully_connected(seed: int) -> rig.Case:
    rng = np.random.default_rng(seed)
    in_c, out_c = int(rng.integers(1, 70)), int(rng.integers(1, 20))
    keep = bool(rng.integers(0, 2))
    lead = tuple(int(n) for n in rng.integers(1, 4, int(rng.integers(1, 3)))) if keep else (1,)
    source = _activation(rng, "in", (1, *lead, in_c) if keep else (1, in_c))
    weights = _weights(rng, (out_c, in_c), 0, bool(rng.integers(0, 2)))
    bias = _bias(rng, source, weights, out_c)
    shape = (1, *lead, out_c) if keep else (1, out_c)
    output = _output(rng, shape, source, weights, in_c)
    if bias is None and rng.random() < 0.5:
        inputs = [source, weights, None]  # both ways to leave the bias out
    else:
        inputs = [source, weights] if bias is None else [source, weights, bias]
    options = {
        "fused_activation_function": int(rng.choice(ACTIVATIONS)),
        "keep_num_dims": keep,
    }
    model = build_one("FULLY_CONNECTED", inputs, [output], options)
    return rig.case(f"fully_connected {seed}", model, rng)


@pytest.mark.parametrize("make", [_conv, _depthwise, _fully_connected])
def test_numpy_c_and_tflm_agree(make: object, tmp_path: Path) -> None:
    rig.check([make(seed) for seed in range(80)], tmp_path)  # type: ignore[operator]


def _ties(kind: str, seed: int) -> rig.Case:
    """Weights of 0 and biases next to every sum that lies between two outputs.

    An error of one part in 2**24 in the effective scale (two scales multiplied in float32), or
    another rounding, moves some of them.
    """
    rng = np.random.default_rng(seed)
    scale_in, scale_w = (float(np.float32(s)) for s in rng.uniform(0.001, 0.002, 2))
    scale_out = float(np.float32(rng.uniform(0.8, 1.6)))
    halves = np.arange(-126, 127) + 0.5
    sums = np.round(halves * scale_out / (scale_in * scale_w))
    biases = (sums[:, np.newaxis] + np.arange(-8, 9)).reshape(-1).astype(np.int32)
    channels = biases.size
    fully_connected = kind == "FULLY_CONNECTED"
    shape = (channels, 1) if fully_connected else (channels, 1, 1, 1)
    source = Spec("in", (1, 1) if fully_connected else (1, 1, 1, 1), scale=scale_in, zero=0)
    weights = Spec("w", shape, scale=scale_w, data=np.zeros(shape, np.int8))
    bias = Spec("b", (channels,), "int32", scale=scale_in * scale_w, data=biases)
    out_shape = (1, channels) if fully_connected else (1, 1, 1, channels)
    output = Spec("out", out_shape, scale=scale_out, zero=0)
    options = {} if fully_connected else {"padding": VALID, "stride_h": 1, "stride_w": 1}
    model = build_one(kind, [source, weights, bias], [output], options)
    return rig.case(f"{kind} at ties {seed}", model, rng)


@pytest.mark.parametrize("kind", ["FULLY_CONNECTED", "CONV_2D"])
def test_rounding_at_ties(kind: str, tmp_path: Path) -> None:
    rig.check([_ties(kind, seed) for seed in range(6)], tmp_path)
