"""The stream of an MVE matrix layer, in the order that mh_nn_mve.h has, and the window it sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_hybrid.compiler.select.mve.requant import Requant
from mcu_hybrid.ops.base import CSymbol, CTable, Field

GROUP, BLOCK = 4, 16  # channels of a tile, products of an instruction


@dataclass(frozen=True)
class Geometry:
    """A window over a map; the last fields of mh_mve_matrix_params, in their order."""

    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    kernel_h: int
    stride_h: int
    stride_w: int
    dilation_h: int
    pad_top: int
    pad_left: int
    in_zp: int
    columns: int

    @property
    def band_bytes(self) -> int:
        """Bytes of the rows that an output row sees, padded."""
        return self.columns * self.kernel_h * self.in_c


def matrix_fields(weights: np.ndarray, requant: Requant) -> tuple[tuple[Field, ...], int]:
    """mh_mve_matrix of weights [out, sum's length], and K % 16."""
    out_c, length = weights.shape
    padded = np.pad(weights, ((0, -out_c % GROUP), (0, -length % 4))).astype(np.int8)
    groups = padded.reshape(-1, GROUP, padded.shape[1])
    tail = padded.shape[1] % BLOCK
    blocks = padded.shape[1] // BLOCK
    first = groups[:, :, :tail].reshape(len(groups), -1)
    whole = groups[:, :, tail:].reshape(len(groups), GROUP, blocks, BLOCK)
    parts = [first, whole.transpose(0, 2, 1, 3).reshape(len(groups), -1)]
    for values in requant.constants:
        words = np.pad(values, (0, -out_c % GROUP)).astype(np.int32).reshape(-1, GROUP)
        parts.append(words.view(np.int8))
    stream = np.ascontiguousarray(np.concatenate(parts, 1)).view(np.uint32)
    form = CSymbol(f"mh_form_mve_{requant.form}{tail}", "mve_tile_s8")
    fields: tuple[Field, ...] = (
        ("form", form),
        ("stream", CTable("stream", "uint32_t", stream.reshape(-1))),
        ("blocks", blocks if tail else blocks - 1),
        ("group_words", stream.shape[1]),
        ("out_c", out_c),
        ("out_zp", requant.out_zp),
        ("lo", requant.lo),
        ("hi", requant.hi),
    )
    return fields, tail
