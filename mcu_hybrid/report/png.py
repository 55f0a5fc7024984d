"""Small images as PNG data URIs, with nothing but zlib: the report needs no imaging library."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np


def png(image: np.ndarray) -> bytes:
    """A PNG file of an image uint8 [H, W, C], grey (C = 1) or RGB (C = 3)."""
    height, width, channels = image.shape
    if channels not in (1, 3):
        raise ValueError(f"an image has 1 or 3 channels, not {channels}")
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    rows = np.ascontiguousarray(image, np.uint8).reshape(height, width * channels)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rows], 1)  # 0: no filter
    body = zlib.compress(lines.tobytes(), 9)
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def png_uri(image: np.ndarray) -> str:
    """The image as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()
