"""What the depthwise kernels of the DSP extension execute: their assembly, counted from a shape.

How often the C around it runs is counted with it; what that costs was measured (__init__.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

UNROLLED = 4  # segments


@dataclass(frozen=True)
class Shape:
    """What a cost depends on, as the kernel walks: rows, columns and channels of both maps."""

    in_size: tuple[int, int, int]
    out_size: tuple[int, int, int]
    multiplier: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    strip: int
    tile: int
    is_exact: bool
    fixups: int  # output channels
    fixup_groups: tuple[int, ...]  # those of up to four input channels that they lie in
    is_clipped: bool = False  # rows of padding are left out
    in_blocks: bool = False  # rows of 3 and 5 outputs, too


@dataclass(frozen=True)
class Part:
    """Columns of a tile: what it reads, padding in front of that, outputs."""

    columns: int
    pad: int
    width: int


def parts(shape: Shape) -> Iterator[Part]:
    """The tiles of a layer."""
    stride, kernel, pad = shape.stride[1], shape.kernel[1], shape.pad[1]
    for x in range(0, shape.out_size[1], shape.tile):
        width = min(shape.tile, shape.out_size[1] - x)
        begin = x * stride - pad
        end = begin + (width - 1) * stride + kernel
        yield Part(min(end, shape.in_size[1]) - max(begin, 0), max(-begin, 0), width)


def strips(shape: Shape) -> Iterator[tuple[int, int, int, int]]:
    """Of each strip: output rows, rows kept from the last strip, rows gathered, rows of padding."""
    stride, kernel, top, out_h = shape.stride[0], shape.kernel[0], shape.pad[0], shape.out_size[0]
    held_end = -(1 << 30)
    for y in range(0, out_h, shape.strip):
        rows = min(shape.strip, out_h - y)
        low = y * stride - top
        high = low + (rows - 1) * stride + kernel
        begin = max(low, 0) if shape.is_clipped else low
        end = min(high, shape.in_size[0]) if shape.is_clipped else high
        kept = max(held_end - begin, 0)
        new = begin + kept
        gathered = max(min(end, shape.in_size[0]) - max(new, 0), 0)
        yield rows, kept, gathered, end - new - gathered
        held_end = end


def groups(shape: Shape) -> tuple[int, int]:
    """Groups of up to four input channels, and calls of a core for each strip of all of them."""
    in_c = shape.in_size[2]
    count = -(-in_c // 4)
    return count, count if shape.multiplier == 1 else in_c


def gather1(columns: int, pad: int, extra: int) -> int:
    """A row of mh_gather_w64 and its like; ``extra``: instructions more for each pair."""
    lead, rest = pad & 1, columns - (pad & 1)
    quads, tail = rest // 4, rest % 4
    pair, quad = 12 + extra, 28 + 2 * extra
    ends = (3, 6 + pair, 10 + pair, 12 + 2 * pair)[tail]
    return 12 + lead * (4 + pair) + quads * quad + ends


def gather2(columns: int, pad: int) -> int:
    """A row of mh_gather_kronecker2."""
    lead = pad & 3
    first = min(4 - lead, columns) if lead else 0
    quads, tail = divmod(columns - first, 4)
    cost = 5 + (21 + 28 + 2 if lead else 2) + quads * (6 + 28 + 2)
    return cost + 1 + 3 + (21 + 28 + 3 - 1 if tail else 0) + 7


def fill_words(size: int) -> float:
    """mh_fill_words of so many bytes."""
    return 12 + 4 * (size // 32) + 3 * (size % 32 // 4) if size > 0 else 11


def copy_words(size: int) -> float:
    """mh_copy_words of so many bytes."""
    return 11 + 4 * (size // 16) + 4 * (size % 16 // 4)


def core3(shape: Shape, width: int, rows: int) -> tuple[int, int]:
    """(once, per channel) of the 3x3 core for rows of ``width`` outputs."""
    pairs, odd = divmod(width, 2)
    first = shape.stride[1] == 1
    channel, pair, single = (25, 23, 16) if first else (24, 26, 16)
    if shape.is_exact:
        channel, pair, single = channel + (7 if first else 6), pair + 8, single + 5
    row = pairs * pair + (pairs + 1) // 2 * 2 + 2 + odd * single + 6
    return 9, channel + rows * row


def counts3(shape: Shape, row_bytes: int) -> tuple[float, ...]:
    """Instructions in assembly; calls, tiles, strips of groups, of those parts of maps, cores."""
    tiles = strips_ = cut = cores = asm = 0.0
    count, calls = groups(shape)
    channels = shape.in_size[2] * shape.multiplier
    for part in parts(shape):
        tiles += 1
        asm += fill_words(((shape.strip - 1) * shape.stride[0] + 3) * row_bytes)
        for rows, kept, gathered, padded in strips(shape):
            once, each = core3(shape, part.width, rows)
            gather = 7 + gathered * gather1(part.columns, part.pad, 0)
            asm += count * gather + calls * once + channels * each
            strips_, cores = strips_ + count, cores + calls
            if shape.strip < shape.out_size[0]:
                cut += count
                asm += count * (copy_words(kept * row_bytes) if kept else 0)
                asm += count * fill_words(padded * row_bytes)
            asm += shape.fixups * sum(core3(replace(shape, is_exact=True), part.width, rows))
            cores += shape.fixups + (count if shape.fixups else 0)
    return asm, 1, tiles, strips_, cut, cores


def counts_kronecker(shape: Shape, words: int) -> tuple[float, ...]:
    """Instructions in assembly; calls, tiles, strips of groups, rows of tables, cores,
    bytes of a last row.
    """
    tiles = strips_ = tabled = cores = copied = asm = 0.0
    count, calls = groups(shape)
    phases, kernel = shape.stride[1], shape.kernel[0]
    channels = shape.in_size[2] * shape.multiplier
    row_bytes = 256 * phases
    held = (shape.strip - 1) * shape.stride[0] + kernel
    held = min(held, shape.in_size[0]) if shape.is_clipped else held
    is_whole = shape.strip >= shape.out_size[0]
    sees_last = (shape.out_size[0] - 1) * shape.stride[0] - shape.pad[0] + kernel >= shape.in_size[
        0
    ]
    for part in parts(shape):
        tiles += 1
        asm += fill_words(held * row_bytes)
        copied += part.columns * shape.in_size[2] * (shape.in_size[2] < 4 and sees_last)
        y = 0
        for rows, kept, gathered, padded in strips(shape):
            one = (
                gather1(part.columns, part.pad, 2)
                if phases == 1
                else gather2(part.columns, part.pad)
            )
            asm += count * (7 + gathered * one)
            asm += count * (copy_words(kept * row_bytes) if kept else 0)
            asm += count * (fill_words(padded * row_bytes) if padded else 0)
            segments = [_seen(shape, y + i) * phases for i in range(rows)]
            once, each = core_kronecker(shape, part.width, segments, words)
            asm += calls * once + channels * each
            strips_, cores = strips_ + count, cores + calls
            tabled += rows if is_whole else count * rows
            if shape.fixups:
                asm += shape.fixups * sum(
                    core_kronecker(replace(shape, is_exact=True), part.width, segments, words)
                )
                cores += shape.fixups
                # The exact core has a table of its own; the next group needs the first again.
                after = sum(group + 1 < count for group in shape.fixup_groups)
                tabled += (len(shape.fixup_groups) + is_whole * after) * rows
            y += rows
    return asm, 1, tiles, strips_, tabled, cores, copied


def _seen(shape: Shape, y: int) -> int:
    """Kernel rows that an output row sums."""
    top = y * shape.stride[0] - shape.pad[0]
    if not shape.is_clipped:
        return shape.kernel[0]
    return min(top + shape.kernel[0], shape.in_size[0]) - max(top, 0)


def core_kronecker(
    shape: Shape, width: int, segments: Sequence[int], words: int
) -> tuple[float, float]:
    """(once, per channel) of a core whose rows sum so many segments."""
    packed = -(-shape.kernel[0] * shape.stride[1] * words // 4) * 2
    exact = shape.is_exact
    channel = 2 + packed // 2 * 16 + (4 if exact else 3) + 11
    passes = [-(-n // UNROLLED) for n in segments]
    summed, ends = sum(segments), 3 * sum(passes)
    rows = len(segments)
    if shape.out_size[1] in (3, 5) and not shape.in_blocks:
        outputs = shape.out_size[1]
        segment = {2: 9, 3: 13, 4: 16}[words] if outputs == 5 else {2: 7, 3: 10, 4: 12}[words]
        fields, store = (13, 6) if outputs == 5 else (8, 3)
        tail = 2 + fields + outputs * (5 if exact else 2) + (4 if exact else 0) + 4 + store + 4
        return 13, channel + 2 + rows * (9 + tail) + summed * segment + ends
    blocks = (width + 6) // 6
    last = width - 6 * (blocks - 1)
    segment = {2: 9, 3: 13, 4: 16}[words]
    tail = 3 + 16 + 6 * (5 if exact else 2) + (4 if exact else 0) + 4
    final = (4, 6, 9, 11, 14, 14)[last] + 4
    row = 17 + (blocks - 1) * (tail + 12 + 5) + tail + final
    return 13, channel + rows * row + blocks * (summed * segment + ends)
