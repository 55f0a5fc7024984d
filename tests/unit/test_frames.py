"""The frame codec of the host: pieces of any size, errors, and back in step after each."""

from __future__ import annotations

import zlib

import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from mcu_hybrid.wire.frames import BadFrame, Decoder, Frame, encode
from mcu_hybrid.wire.messages import CRC_RESIDUE, MAX_PAYLOAD, Code

frame = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=MAX_PAYLOAD))


def test_the_bytes_of_one_frame_are_these() -> None:
    # HELLO, seq 7: 01 07, its crc32, COBS with one code byte, a delimiter on either side.
    assert encode(Frame(0x01, 0x07)).hex() == "000701071db6a6c600"
    assert zlib.crc32(bytes.fromhex("0107")) == 0xC6A6B61D


def test_residue_of_a_good_frame() -> None:
    body = b"any bytes"
    crc = zlib.crc32(body).to_bytes(4, "little")
    assert zlib.crc32(body + crc) == CRC_RESIDUE


@given(frames=st.lists(frame, max_size=5), sizes=st.lists(st.integers(1, 600), min_size=1))
def test_frames_survive_any_split(frames: list[Frame], sizes: list[int]) -> None:
    wire = b"".join(encode(f) for f in frames)
    decoder, found, at = Decoder(), [], 0
    for size in sizes * (len(wire) + 1):
        if at >= len(wire):
            break
        found += decoder.feed(wire[at : at + size])
        at += size
    assert found == frames


@given(noise=st.binary(max_size=2000), last=frame)
def test_noise_costs_no_following_frame(noise: bytes, last: Frame) -> None:
    assert Decoder().feed(noise + encode(last))[-1] == last


@pytest.mark.parametrize(
    "encoded, code",
    [
        (cobs.encode(b"12345"), Code.TRUNCATED),  # shorter than head and checksum
        (b"\x09abc", Code.TRUNCATED),  # the block promises eight bytes
        (cobs.encode(b"\x01\x02\0\0\0\0"), Code.BAD_CRC),
        (cobs.encode(bytes(519)), Code.TOO_LONG),
        (b"\x01" * 100_000, Code.TOO_LONG),
    ],
)
def test_bad_frames_are_named(encoded: bytes, code: Code) -> None:
    good = Frame(1, 1)
    bad, after = Decoder().feed(encoded + b"\0" + encode(good))
    assert isinstance(bad, BadFrame) and bad.code == code and after == good


def test_an_endless_stream_does_not_fill_the_memory() -> None:
    decoder = Decoder()
    for _ in range(100):
        assert decoder.feed(b"\x01" * 10_000) == []
    assert len(decoder._buffer) < 1000
    assert decoder.feed(b"\0" + encode(Frame(1, 1)))[-1] == Frame(1, 1)


def test_a_payload_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ValueError, match="513"):
        encode(Frame(1, 1, bytes(MAX_PAYLOAD + 1)))
