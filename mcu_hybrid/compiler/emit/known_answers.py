"""Known answers of the firmware's self-test: seeded inputs, checksum of the outputs."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.graph.types import Graph
from mcu_hybrid.reference import interp

SEEDS = (0x12345678, 0x9E3779B9)  # any two; each answer costs 8 bytes and an inference of self-test
_A, _C = 1664525, 1013904223  # Numerical Recipes' linear congruential generator, modulo 2**32


@dataclass(frozen=True)
class KnownAnswer:
    """``crc`` is zlib's crc32 over all outputs, in order, of the inputs that ``seed`` gives."""

    seed: int
    crc: int


def input_bytes(seed: int, count: int) -> np.ndarray:
    """The first ``count`` bytes (uint8) of x = x * 1664525 + 1013904223, byte = x >> 24."""
    # x_n = A^n * seed + C * (A^0 + ... + A^(n-1)); unsigned arrays wrap as the C code does.
    powers = np.full(count + 1, _A, np.uint32)
    powers[0] = 1
    powers = np.cumprod(powers, dtype=np.uint32)
    sums = np.cumsum(powers[:-1], dtype=np.uint32)
    x = powers[1:] * np.uint32(seed) + sums * np.uint32(_C)
    return (x >> np.uint32(24)).astype(np.uint8)


def inputs_of(graph: Graph, seed: int) -> list[np.ndarray]:
    """The graph's inputs that a seed stands for."""
    tensors = [graph.tensor(i) for i in graph.inputs]
    stream = input_bytes(seed, sum(t.bytes for t in tensors)).tobytes()
    inputs, at = [], 0
    for tensor in tensors:
        data = np.frombuffer(stream, tensor.dtype, tensor.elements, at)
        inputs.append(data.reshape(tensor.shape))
        at += tensor.bytes
    return inputs


def checksum(outputs: Sequence[np.ndarray]) -> int:
    """The checksum of one inference's outputs."""
    crc = 0
    for output in outputs:
        crc = zlib.crc32(np.ascontiguousarray(output).tobytes(), crc)
    return crc


def known_answers(graph: Graph, seeds: Sequence[int] = SEEDS) -> tuple[KnownAnswer, ...]:
    """Run the reference interpreter once per seed."""
    return tuple(
        KnownAnswer(seed, checksum(interp.run(graph, inputs_of(graph, seed)))) for seed in seeds
    )
