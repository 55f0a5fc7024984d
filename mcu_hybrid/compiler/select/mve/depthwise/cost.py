"""Terms of the depthwise kernel of the vector extension.

The products' assembly is counted; around it planes of channels are filled row by row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from mcu_hybrid.compiler.select.loops import Terms, Values, numbers
from mcu_hybrid.compiler.select.mve.bounds import VECTOR, clamped
from mcu_hybrid.ops.base import KernelCall

OUTPUTS = LANES = 8  # of a chunk, channels of a vector of 16-bit values
_MOST_OFFSET = 65535


def _products(call: KernelCall, bands: int) -> Terms:
    """The channels of all bands: weights and constants, then chunks of 8 outputs."""
    v, (rows, _, vectors) = numbers(call), call.kernel.tile
    is_shared = rows > 1 and vectors < 3
    chunks = -(-v["out_w"] * rows // OUTPUTS)
    loads = vectors * (4 if is_shared else 8)
    adds = {1: 8, 2: 4, 4: 2}[rows]
    chunk = loads + 8 * vectors + adds + 19 + 4 * (call.kernel.form == "away")
    channels = bands * v["in_c"] * v["multiplier"]
    weights = 2 * vectors * (1 + is_shared)
    return {
        "assembly": channels * (weights + chunks * chunk),
        "channel": channels,
        "channel of chunks": channels * (chunks > 1),
    }


def _depthwise(call: KernelCall) -> Terms:
    v, rows = numbers(call), call.kernel.tile[0]
    bands, ragged = -(-v["out_h"] // rows), v["out_h"] % rows > 0
    blocks = [min(v["block"], v["in_c"] - c) for c in range(0, v["in_c"], v["block"])]
    chunks = -(-v["out_w"] * rows // OUTPUTS)
    masks = (1 + (ragged and bands > 1)) * (1 + (chunks > 1))
    alone = v["multiplier"] > 1
    terms: Counter[str] = Counter()
    for channels in blocks:
        terms.update(_filled(v, channels, bands, rows))
    return {
        "call": 1,
        "block": len(blocks),
        "mask": masks * len(blocks),
        "band": bands * len(blocks),
        "band's row": bands * len(blocks) * v["band_rows"],
        "start": bands * (v["in_c"] if alone else len(blocks)),
        **terms,
        **_products(call, bands),
        **clamped(v, v["out_h"] * v["out_w"] * v["in_c"] * v["multiplier"]),
    }


def _filled(v: Values, channels: int, bands: int, rows: int) -> Counter[str]:
    """What a block of channels takes to its planes, all bands."""
    first = np.arange(bands)[:, None] * rows * v["stride_h"] - v["pad_top"]
    places = first + np.arange(v["band_rows"])[None, :]
    inside = int(((places >= 0) & (places < v["in_h"])).sum())
    below = int((places[1:] >= v["in_h"]).sum())
    vectors = -(-channels // LANES)
    terms: Counter[str] = Counter(
        {
            "filled": channels * v["plane_bytes"] // VECTOR,
            "spread": inside,
            "below": below,
            "below vector": below * vectors,
            "below pixel": below * vectors * v["in_w"],
        }
    )
    left = channels
    while left > 0:
        groups = 4 if left >= 4 * LANES else 2 if left >= 2 * LANES else 1
        groups = groups if (groups * LANES - 1) * v["plane_bytes"] <= _MOST_OFFSET else 1
        name = f"spread {groups}" if left >= LANES else "spread some"
        terms[name] += inside
        terms[f"{name}'s pixel"] += inside * v["in_w"]
        left -= groups * LANES
    return terms


TERMS: dict[str, Callable[[KernelCall], Terms]] = {"mve_depthwise": _depthwise}
