"""How far a matrix kernel's input must lie above its output, against its reads and writes."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcu_hybrid.compiler.select.dsp.matrix.call import Geometry

small = st.integers(1, 4)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([1, 3, 4, 8]),
    st.tuples(small, small),
    st.tuples(small, small),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 9),
)
def test_an_overlap_is_safe_and_no_longer_than_needed(
    size: tuple[int, int],
    in_c: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pad: tuple[int, int],
    out_c: int,
) -> None:
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    out = [(n + 2 * p - r) // s + 1 for n, p, r, s in zip(size, pad, reach, stride, strict=True)]
    assume(min(out) >= 1 and all(p < r for p, r in zip(pad, reach, strict=True)))
    g = Geometry(*size, in_c, *out, *kernel, *stride, *dilation, *pad, 0)
    overlap = g.overlap(out_c)
    assert _is_safe(g, out_c, overlap)
    # By rows and by blocks of three pixels it may keep a row or three pixels more than it needs.
    slack = size[1] * in_c + 3 * out_c * max(stride) + in_c * max(stride) * 3
    if overlap > slack:
        assert not _is_safe(g, out_c, overlap - slack)


def _is_safe(g: Geometry, out_c: int, overlap: int) -> bool:
    """Whether no byte is written before its last reading, with the input this far above."""
    size = g.in_h * g.in_w * g.in_c
    last_read = np.full(size, -1)
    written = np.zeros(g.out_h * g.out_w * out_c, np.int64)
    pixels = [(y, x) for y in range(g.out_h) for x in range(g.out_w)]
    by_row = g.in_c % 4 != 0
    whole = len(pixels) - len(pixels) % 3
    for n, (oy, ox) in enumerate(pixels):
        block = n // 3 if n < whole else n  # singles follow the threes
        # In threes: all reads of a block come before its writes; by rows: before the row's writes.
        time = 2 * block
        written[n * out_c : (n + 1) * out_c] = time + 1
        reads = (
            range(g.in_w)
            if by_row
            else [ox * g.stride_w - g.pad_left + k * g.dilation_w for k in range(g.kernel_w)]
        )
        for ky in range(g.kernel_h):
            y = oy * g.stride_h - g.pad_top + ky * g.dilation_h
            for x in reads:
                if 0 <= y < g.in_h and 0 <= x < g.in_w:
                    at = (y * g.in_w + x) * g.in_c
                    # A row is loaded when its first pixel begins, after the pixels before it.
                    when = 2 * ((oy * g.out_w) // 3) if by_row else time
                    last_read[at : at + g.in_c] = np.maximum(last_read[at : at + g.in_c], when)
    for at in range(size):
        place = at + overlap  # the output begins at 0
        if place < written.size and last_read[at] >= 0 and written[place] < last_read[at]:
            return False
    return True
