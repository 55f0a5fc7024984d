"""Inputs of a bench: the golden one, seeded random ones, or a file of raw int8; and raw outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mcu_hybrid import folders
from mcu_hybrid.errors import InputError


def golden_input(shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """q(i) = ((i * 37 + 11) mod 256) - 128 over the flat index of each input, int8."""
    inputs = []
    for shape in shapes:
        index = np.arange(int(np.prod(shape)), dtype=np.int64)
        inputs.append(((index * 37 + 11) % 256 - 128).astype(np.int8).reshape(shape))
    return inputs


def default_inputs(
    shapes: Sequence[tuple[int, ...]], count: int, seed: int = 0
) -> list[list[np.ndarray]]:
    """The golden input, then ``count - 1`` of uniform random bytes."""
    random = np.random.default_rng(seed)
    return [golden_input(shapes)] + [
        [random.integers(-128, 128, shape).astype(np.int8) for shape in shapes]
        for _ in range(count - 1)
    ]


def read_inputs(path: Path, shapes: Sequence[tuple[int, ...]]) -> list[list[np.ndarray]]:
    """Split a file of raw int8: all inputs of the model in order, once or several times over."""
    try:
        data = np.fromfile(path, np.int8)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", "give a file of raw int8", path=path
        ) from error
    sizes = [int(np.prod(shape)) for shape in shapes]
    if data.size == 0 or data.size % sum(sizes):
        raise InputError(
            f"has {data.size:,} bytes; one inference takes {sum(sizes):,} "
            f"(int8 {' + '.join(str(tuple(shape)) for shape in shapes)})",
            "write raw int8 values, one or several inputs one behind the other",
            path=path,
        )
    starts = np.cumsum([0, *sizes[:-1]])
    return [
        [
            row[start : start + size].reshape(shape)
            for start, size, shape in zip(starts, sizes, shapes, strict=True)
        ]
        for row in data.reshape(-1, sum(sizes))
    ]


def write_outputs(path: Path, outputs: Sequence[Sequence[bytes]]) -> None:
    """Write the outputs of all inferences in order, raw."""
    folders.write_whole(path, b"".join(part for parts in outputs for part in parts))
