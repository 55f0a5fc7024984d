"""Pools, MEAN, SOFTMAX, PAD and RESHAPE: numpy, C under sanitizers and TFLM agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support import rig
from tests.support.tflite_builder import Spec, build_one

SAME, VALID = 0, 1


def _int8(
    rng: np.random.Generator, name: str, shape: tuple[int, ...], like: Spec | None = None
) -> Spec:
    if like is not None:
        return Spec(name, shape, scale=like.scale, zero=like.zero)
    scale = float(np.float32(10 ** rng.uniform(-2.5, -0.5)))
    return Spec(name, shape, scale=scale, zero=int(rng.integers(-128, 128)))


def _pool(kind: str, seed: int) -> rig.Case:
    rng = np.random.default_rng(seed)
    padding, kernel = int(rng.integers(0, 2)), rng.integers(1, 6, 2)
    stride = rng.integers(1, 4, 2)
    least = kernel if padding == VALID else np.ones(2, int)
    size = least + rng.integers(0, 8, 2) * rng.integers(0, 2)
    out = -(-size // stride) if padding == SAME else (size - kernel) // stride + 1
    channels = int(rng.integers(1, 10))
    source = _int8(rng, "in", (1, int(size[0]), int(size[1]), channels))
    target = _int8(rng, "out", (1, int(out[0]), int(out[1]), channels), source)
    options = {
        "padding": padding,
        "filter_height": int(kernel[0]),
        "filter_width": int(kernel[1]),
        "stride_h": int(stride[0]),
        "stride_w": int(stride[1]),
        "fused_activation_function": int(rng.choice([0, 0, 1, 2, 3])),
    }
    return rig.case(f"{kind} {seed}", build_one(kind, [source], [target], options), rng)


def _average_pool(seed: int) -> rig.Case:
    return _pool("AVERAGE_POOL_2D", seed)


def _max_pool(seed: int) -> rig.Case:
    return _pool("MAX_POOL_2D", seed)


def _mean(seed: int) -> rig.Case:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(2, 5))
    largest = 40 if seed % 10 == 0 else 8
    shape = (1, *(int(n) for n in rng.integers(1, largest + 1, rank - 1)))
    count = int(rng.integers(1, rank + 1))
    axes = rng.choice(rank, count, replace=False)
    keep = bool(rng.integers(0, 2)) or count == rank
    kept = [1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes]
    signed = np.where(rng.random(count) < 0.3, axes - rank, axes).astype(np.int32)
    if seed % 7 == 0:
        signed = np.concatenate([signed, signed[:1]])  # an axis named twice counts once
    source = _int8(rng, "in", shape)
    # With one scale, sums fall exactly between two outputs: that shows how 1 / count is rounded.
    target = _int8(rng, "out", tuple(kept), source if seed % 2 else None)
    axis = Spec("axis", signed.shape, "int32", data=signed)
    model = build_one("MEAN", [source, axis], [target], {"keep_dims": keep})
    return rig.case(f"mean {seed}", model, rng)


def _softmax(seed: int) -> rig.Case:
    rng = np.random.default_rng(seed)
    depth = int(rng.choice([1, 2, 10, int(rng.integers(1, 300)), 4095 if seed == 0 else 3]))
    shape = (1, depth) if seed % 3 else (1, int(rng.integers(1, 4)), depth)
    scale = float(np.float32(10 ** rng.uniform(-3, 0.7)))
    source = Spec("in", shape, scale=scale, zero=int(rng.integers(-128, 128)))
    target = Spec("out", shape, scale=1 / 256, zero=-128)
    beta = float(rng.choice([1.0, 1.0, 0.5, 2.0]))
    built = rig.case(
        f"softmax {seed}", build_one("SOFTMAX", [source], [target], {"beta": beta}), rng
    )
    if seed % 5:
        return built
    near = np.clip(rng.normal(100, 8, shape).round(), -128, 127).astype(np.int8)
    return rig.Case(built.name, built.graph, (near,), built.model)


def _softmax_many_rows(seed: int) -> rig.Case:
    """Few classes and thousands of rows: enough large probabilities to see the last bits."""
    rng = np.random.default_rng(seed)
    shape = (1, 1500, 2 + seed)
    source = Spec("in", shape, scale=float(np.float32(rng.uniform(0.005, 0.03))), zero=3)
    target = Spec("out", shape, scale=1 / 256, zero=-128)
    model = build_one("SOFTMAX", [source], [target], {"beta": 1.0})
    return rig.case(f"softmax with many rows {seed}", model, rng)


def _pad(seed: int) -> rig.Case:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(2, 5))
    shape = (1, *(int(n) for n in rng.integers(1, 7, rank - 1)))
    before, after = (rng.integers(0, 4, rank).astype(np.int32) for _ in range(2))
    source = _int8(rng, "in", shape)
    target = _int8(rng, "out", tuple(int(n) for n in before + shape + after), source)
    paddings = Spec("p", (rank, 2), "int32", data=np.stack([before, after], axis=1))
    inputs = [source, paddings]
    if seed % 2:
        data = rng.integers(-128, 128, 1).astype(np.int8)
        inputs.append(Spec("value", (1,), scale=source.scale, zero=source.zero, data=data))
    model = build_one("PADV2" if seed % 2 else "PAD", inputs, [target])
    return rig.case(f"pad {seed}", model, rng)


def test_softmax_agrees_in_the_last_bits(tmp_path: Path) -> None:
    rig.check([_softmax_many_rows(seed) for seed in range(4)], tmp_path)


def _reshape(seed: int) -> rig.Case:
    rng = np.random.default_rng(seed)
    shape = (1, *(int(n) for n in rng.integers(1, 7, 3)))
    flat = (1, int(np.prod(shape)))
    source = _int8(rng, "in", shape)
    new_shape = Spec("shape", (2,), "int32", data=np.array(flat, np.int32))
    inputs = [source, new_shape] if seed % 2 else [source]
    options = {"new_shape": list(flat)}
    model = build_one("RESHAPE", inputs, [_int8(rng, "out", flat, source)], options)
    return rig.case(f"reshape {seed}", model, rng)


def _squeeze(seed: int) -> rig.Case:
    rng = np.random.default_rng(seed)
    source = _int8(rng, "in", (1, 1, 1 + seed))
    target = _int8(rng, "out", (1, 1 + seed), source)
    model = build_one("SQUEEZE", [source], [target], {"squeeze_dims": [1]})
    return rig.case(f"squeeze {seed}", model, rng)


def _expand_dims(seed: int) -> rig.Case:
    rng = np.random.default_rng(seed)
    source = _int8(rng, "in", (1, 1 + seed))
    target = _int8(rng, "out", (1, 1, 1 + seed), source)
    axis = Spec("axis", (1,), "int32", data=np.array([1], np.int32))
    return rig.case(f"expand {seed}", build_one("EXPAND_DIMS", [source, axis], [target]), rng)


@pytest.mark.parametrize("make", [_average_pool, _max_pool, _mean, _softmax, _pad])
def test_numpy_c_and_tflm_agree(make: object, tmp_path: Path) -> None:
    rig.check([make(seed) for seed in range(60)], tmp_path)  # type: ignore[operator]


@pytest.mark.parametrize("make", [_reshape, _squeeze, _expand_dims])
def test_views_agree_with_tflm(make: object, tmp_path: Path) -> None:
    rig.check([make(seed) for seed in range(8)], tmp_path)  # type: ignore[operator]
