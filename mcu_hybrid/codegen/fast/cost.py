"""Executed instructions of the matrix kernels, predicted from shapes before anything is compiled.

Loops written in assembly are counted; what the compiler makes of the C around them was measured
(arm-none-eabi-gcc 12.2, -O2, mps2-an500) and may differ by a few instructions with another one.
Memory wait states and cycles are not modelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mcu_hybrid.codegen.fast.matrix import Geometry
    from mcu_hybrid.codegen.fast.packing import Packed

# A pair of channels, constants and stores included: (three pixels, one pixel), by form.
_TAILS = {"line": (29, 15), "fine": (29, 15), "exact": (51, 25), "plain": (42, 18)}
_ENTER3 = _ENTER1 = 9
_UNROLLED3, _UNROLLED1 = 8, 4
# Measured: per call, per three pixels, per single pixel.
_GEMM_CALL, _GEMM_TRIPLE, _GEMM_SINGLE = 123.0, 25.0, 31.0
_LAST_TRIPLE, _LAST_SINGLE = 67.0, 40.0  # an odd number of channels
_CLAMP_BYTE = 9.0
# mh_conv: whole windows go at once, others by the row (ky) and place (ky, kx) of the window.
_CONV_CALL, _CONV_TRIPLE, _CONV_WHOLE, _CONV_CLEAR = 181.0, 76.0, 31.0, 1.75
_BORDER_ROW, _BORDER_PLACE = 12.0, 37.0
_CONV_SINGLE, _SINGLE_ROW, _SINGLE_PLACE = 53.0, 19.0, 17.0
# mh_convb: rows of the band, inside the map and outside; windows that are kept for the next row.
_CONVB_CALL, _CONVB_CLEAR, _CONVB_TRIPLE, _CONVB_ROW, _CONVB_PIXEL = 198.0, 0.38, 7.5, 45.0, 18.0
_BAND_ROW, _BAND_OUTSIDE, _OUTSIDE_PIXEL, _OUTSIDE_BYTE = 45.0, 59.0, 5.5, 5.2
_TURN_ONE, _TURN_THREE, _TURN_THREE_LAST = 4.0, 6.0, 7.0
_TURN_PIXEL, _TURN_WORD, _TURN_BYTE = 14.0, 4.4, 4.2
_KEPT, _KEPT_WORD = 41.0, 4.0


def gemm_cost(packed: Packed, pixels: int) -> float:
    """All but the filling of the columns."""
    triples, singles = divmod(pixels, 3)
    pairs, odd = divmod(packed.out_c, 2)
    three, one = _pair3(packed), _pair1(packed)
    cost = triples * ((_ENTER3 + pairs * three) if pairs else 0)
    cost += singles * ((_ENTER1 + pairs * one) if pairs else 0)
    if odd:
        cost += triples * (_LAST_TRIPLE + three) + singles * (_LAST_SINGLE + one)
    if packed.is_clamped:
        cost += _CLAMP_BYTE * pixels * packed.out_c
    return cost


def product_cost(packed: Packed, pixels: int) -> float:
    """A whole mh_gemm_*_s8."""
    triples, singles = divmod(pixels, 3)
    columns = triples * (_GEMM_TRIPLE + widen3(packed.steps))
    columns += singles * (_GEMM_SINGLE + widen1(packed.steps))
    return _GEMM_CALL + columns + gemm_cost(packed, pixels)


def sliding_cost(packed: Packed, geometry: Geometry) -> float:
    """A whole mh_conv_*_s8 or mh_convb_*_s8."""
    gather = _conv_columns if geometry.in_c % 4 == 0 else _convb_columns
    pixels = geometry.out_h * geometry.out_w
    return gather(packed, geometry) + gemm_cost(packed, pixels)


def widen3(groups: int) -> float:
    """mh_widen3."""
    return 9 + 10 * groups + 2 * (groups // 2)


def widen1(groups: int) -> float:
    """mh_widen1."""
    return 5 + 4 * groups + 2 * (groups // 2)


def _pair3(packed: Packed) -> float:
    tail = _TAILS[packed.form.rstrip("0123456789")][0]
    if packed.form == "plain":
        return 6 + 24 * packed.steps + 1 + tail
    more = packed.steps - 1
    return 18 + 17 * more + 2 * -(-more // _UNROLLED3) + (more > 0) + tail


def _pair1(packed: Packed) -> float:
    tail = _TAILS[packed.form.rstrip("0123456789")][1]
    if packed.form == "plain":
        return 2 + 12 * packed.steps + 1 + tail
    double, odd = divmod(packed.steps - 1, 2)
    loop = 14 * double + 2 * -(-double // _UNROLLED1) + (double > 0)
    return 9 + 9 * odd + loop + tail


def _conv_columns(packed: Packed, g: Geometry) -> float:
    groups, places = g.in_c // 4, g.kernel_h * g.kernel_w
    whole = _whole_windows(g)
    triples, singles = divmod(whole.size, 3)
    inner = int(whole[: 3 * triples].reshape(-1, 3).all(1).sum())
    rows = _CONV_WHOLE + 8 + g.kernel_h * (7 + 12 * g.kernel_w * groups)
    border = g.kernel_h * _BORDER_ROW + places * (_BORDER_PLACE + widen3(groups))
    single = _CONV_SINGLE + g.kernel_h * _SINGLE_ROW + places * (_SINGLE_PLACE + widen1(groups))
    cost = _CONV_CALL + _CONV_CLEAR * g.in_c + triples * _CONV_TRIPLE
    return cost + inner * rows + (triples - inner) * border + singles * single


def _whole_windows(g: Geometry) -> np.ndarray:
    """For each output pixel in order: True where its window hangs over no side of the map."""
    y = np.arange(g.out_h) * g.stride_h - g.pad_top
    x = np.arange(g.out_w) * g.stride_w - g.pad_left
    rows = (y >= 0) & (y + (g.kernel_h - 1) * g.dilation_h < g.in_h)
    columns = (x >= 0) & (x + g.kernel_w <= g.in_w) & (g.dilation_w == 1)
    return (rows[:, None] & columns[None, :]).reshape(-1)


def _convb_columns(packed: Packed, g: Geometry) -> float:
    pixels = g.out_h * g.out_w
    triples, singles = divmod(pixels, 3)
    cost = _CONVB_CALL + _CONVB_CLEAR * (g.band_bytes + 12 * packed.steps)
    cost += triples * (_CONVB_TRIPLE + widen3(packed.steps)) + singles * widen1(packed.steps)
    cost += g.out_h * _CONVB_ROW + pixels * _CONVB_PIXEL + _band_cost(g)
    word_count = g.kernel_h * g.kernel_w * g.in_c // 4
    if g.dilation_w > 1:
        kept = pixels
    else:
        waiting = np.arange(1, g.out_h + 1) * g.out_w % 3
        kept = int(np.minimum(waiting, g.out_w).sum())
    return cost + kept * (_KEPT + _KEPT_WORD * word_count)


def _band_cost(g: Geometry) -> float:
    first = np.arange(g.out_h)[:, None] * g.stride_h - g.pad_top
    y = first + np.arange(g.kernel_h)[None, :] * g.dilation_h
    inside = (y >= 0) & (y < g.in_h)
    count, last = int(inside.sum()), int(inside[:, -1].sum())
    outside = inside.size - count
    if g.in_c == 1:
        turned = _TURN_ONE * count
    elif g.in_c == 3:
        turned = _TURN_THREE * (count - last) + _TURN_THREE_LAST * last
    else:
        turned = count * (_TURN_PIXEL + _TURN_WORD * (g.in_c // 4) + _TURN_BYTE * (g.in_c % 4))
    cleared = outside * (_OUTSIDE_PIXEL + _OUTSIDE_BYTE * g.in_c)
    return count * _BAND_ROW + outside * _BAND_OUTSIDE + g.in_w * (turned + cleared)
