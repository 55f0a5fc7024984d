"""The firmware's frame decoder and encoder against the host's, byte for byte, under sanitizers."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcu_hybrid import resources
from mcu_hybrid.wire.frames import BadFrame, Decoder, Frame, encode
from mcu_hybrid.wire.messages import MAX_FRAME, MAX_PAYLOAD, Code
from tests.support.wire_rig import HERE, build


class Rig:
    """One running program; each call is one fresh decoder."""

    def __init__(self, program: Path, *mode: str) -> None:
        self._process = subprocess.Popen(
            [program, *mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def lines(self, data: bytes) -> list[str]:
        """Feed one case and return what the program printed for it."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(struct.pack("<I", len(data)) + data)
        self._process.stdin.flush()
        lines = iter(self._process.stdout.readline, b".\n")
        return [self._text(line) for line in lines]

    def decode(self, data: bytes) -> list[Frame | Code]:
        """The frames and errors, in order."""
        found: list[Frame | Code] = []
        for line in self.lines(data):
            mark, *fields = line.split(" ")
            if mark == "R":
                kind, seq, payload = fields
                found.append(Frame(int(kind), int(seq), bytes.fromhex(payload)))
            else:
                found.append(Code(int(fields[0])))
        return found

    def close(self) -> None:
        """The sanitizer's verdict is the exit code."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        assert self._process.wait(10) == 0
        self._process.stdout.close()

    def _text(self, line: bytes) -> str:
        assert line, f"the program ended with code {self._process.wait()}"
        return line.decode().rstrip("\n")


def rig(tmp_path_factory: pytest.TempPathFactory, *mode: str) -> Iterator[Rig]:
    source = resources.root("firmware_templates") / "app" / "mh_frames.c"
    program = build(tmp_path_factory.mktemp("frames"), [source, HERE / "decoder_main.c"])
    running = Rig(program, *mode)
    yield running
    running.close()


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    yield from rig(tmp_path_factory)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    yield from rig(tmp_path_factory, "encode")


def host_decode(data: bytes) -> list[Frame | Code]:
    return [f.code if isinstance(f, BadFrame) else f for f in Decoder().feed(data)]


# Zeros and long runs without zeros are what COBS is about.
payload = st.one_of(
    st.binary(max_size=MAX_PAYLOAD),
    st.builds(
        lambda n, byte: bytes([byte]) * n, st.integers(0, MAX_PAYLOAD), st.sampled_from([0, 1, 255])
    ),
    st.builds(lambda n: bytes(1 + i % 255 for i in range(n)), st.integers(240, MAX_PAYLOAD)),
)
frame = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), payload)
# The junk stays below the frame limit: which of two errors a too long AND incomplete frame has is
# not part of the protocol.
noise = st.one_of(
    st.binary(max_size=64), st.binary(min_size=1, max_size=500).map(lambda b: b + b"\0")
)
quick = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(frames=st.lists(frame, max_size=4))
def test_both_encoders_and_decoders_agree(decoder: Rig, encoder: Rig, frames: list[Frame]) -> None:
    wire = b"".join(encode(f) for f in frames)
    assert decoder.decode(wire) == frames == host_decode(wire)
    for f in frames:
        (line,) = encoder.lines(bytes((f.type, f.seq)) + f.payload)
        assert bytes.fromhex(line) == encode(f)


@quick
@given(first=frame, junk=noise, last=frame)
def test_noise_costs_no_following_frame(
    decoder: Rig, first: Frame, junk: bytes, last: Frame
) -> None:
    found = decoder.decode(encode(first) + junk + encode(last))
    assert found == host_decode(encode(first) + junk + encode(last))
    assert found[0] == first and found[-1] == last


@quick
@given(sent=frame, after=frame, where=st.floats(0, 1), flip=st.integers(1, 255))
def test_a_damaged_byte_is_never_taken_for_the_frame(
    decoder: Rig, sent: Frame, after: Frame, where: float, flip: int
) -> None:
    wire = bytearray(encode(sent))
    at = 1 + int(where * (len(wire) - 3))
    wire[at] ^= flip
    found = decoder.decode(bytes(wire) + encode(after))
    # A new zero cuts the frame in two, a new length can make it too long: bad in any case.
    assert found[-1] == after and len(found) >= 2
    assert all(isinstance(item, Code) for item in found[:-1])


@quick
@given(sent=frame, after=frame, where=st.floats(0, 1))
def test_a_truncated_frame(decoder: Rig, sent: Frame, after: Frame, where: float) -> None:
    wire = encode(sent)
    cut = 2 + int(where * (len(wire) - 4))
    found = decoder.decode(wire[:cut] + encode(after))
    assert found == host_decode(wire[:cut] + encode(after))
    assert found[-1] == after and len(found) == 2 and isinstance(found[0], Code)


@pytest.mark.parametrize("extra", [1, 2, 100, 5000])
def test_an_oversized_frame(decoder: Rig, extra: int) -> None:
    from cobs import cobs

    after = Frame(1, 2, b"3")
    for filler in (b"\0", b"\x07"):
        wire = b"\0" + cobs.encode(filler * (MAX_FRAME + extra)) + encode(after)
        assert decoder.decode(wire) == [Code.TOO_LONG, after] == host_decode(wire)


def test_the_longest_frame(decoder: Rig) -> None:
    for byte in (0, 1, 255):
        longest = Frame(3, 4, bytes([byte]) * MAX_PAYLOAD)
        assert decoder.decode(encode(longest)) == [longest]


def test_idle_delimiters_are_nothing(decoder: Rig) -> None:
    assert decoder.decode(b"\0" * 100) == []
