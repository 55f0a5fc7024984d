"""The stream of an MVE depthwise layer (mh_nn_mve.h), and which byte of it each lane takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.compiler.select.mve.requant import Requant

LANES, OUTPUTS = 16, 8  # bytes of a vector, outputs of a chunk


@dataclass(frozen=True)
class Shape:
    """What the kernel computes at a time; ``vectors`` hold a window, and two where rows share."""

    rows: int
    stride: int
    vectors: int
    band_rows: int

    @property
    def is_shared(self) -> bool:
        """True where two rows of outputs read the same vectors."""
        return self.rows > 1 and self.vectors < 3


def pack_stream(weights: np.ndarray, requant: Requant) -> tuple[np.ndarray, int]:
    """The records of all output channels, and the bytes of weights and zeros in each."""
    taps = weights.reshape(-1, weights.shape[3]).T
    padded = np.pad(taps, ((0, 0), (0, 4 - taps.shape[1] % 4))).astype(np.int8)
    constants = [values.astype(np.int32)[:, None].view(np.int8) for values in requant.constants]
    records = np.ascontiguousarray(np.concatenate([padded, *constants], 1))
    return records.view(np.uint32).reshape(-1), padded.shape[1]


def lanes_of(kernel: tuple[int, ...], dilation: tuple[int, int], shape: Shape) -> np.ndarray:
    """Per lane the byte of a record: a tap's weight, or the zero behind them."""
    tables = []
    for shift in (0, shape.stride) if shape.is_shared else (0,):
        place = np.arange(LANES * shape.vectors) - shift
        column, row = place // shape.band_rows, place % shape.band_rows
        is_tap = (place >= 0) & (row % dilation[0] == 0) & (column % dilation[1] == 0)
        y, x = row // dilation[0], column // dilation[1]
        is_tap &= (y < kernel[0]) & (x < kernel[1])
        tables.append(np.where(is_tap, y * kernel[1] + x, kernel[0] * kernel[1]))
    return np.concatenate(tables).astype(np.uint8)
