"""The firmware's application with a toy engine, on standard input and output, under sanitizers.

Every byte goes through the real C: frames, dispatch, decision, counters. The same requests run on
boards in tests/e2e.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.device.client import Device
from mcu_hybrid.device.trouble import DeviceError, DeviceFault
from mcu_hybrid.errors import InputError, LinkError, ProtocolError
from mcu_hybrid.link import open_link
from mcu_hybrid.wire import payloads
from mcu_hybrid.wire.frames import Decoder, Frame, encode
from mcu_hybrid.wire.messages import Code, Decision, Engine, Type
from tests.support.routers import Router
from tests.support.wire_rig import BUILD_ID, HERE, app_sources, build

IMAGE, LOGITS = 1300, 700


def lcg(seed: int, n: int) -> bytes:
    """The input bytes of a known-answer vector."""
    data = bytearray()
    for _ in range(n):
        seed = (seed * 1664525 + 1013904223) % 2**32
        data.append(seed >> 24)
    return bytes(data)


def expected(image: np.ndarray, bias: np.ndarray) -> tuple[bytes, bytes, bytes]:
    """What the toy engine computes."""
    logits = (image[:LOGITS].astype(np.int32) + int(bias[0])).astype(np.int8)
    scores = np.array([1000, 2000, 3000], "<i4") * int(image[1])
    return logits.tobytes(), image[:1].tobytes(), scores.astype("<i4").tobytes()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = np.frombuffer(lcg(1, IMAGE + 1), np.int8)
    crc = zlib.crc32(b"".join(expected(data[:IMAGE], data[IMAGE:])))
    sources = [*app_sources(), HERE / "port.c", HERE / "model.c"]
    return build(tmp_path_factory.mktemp("rig"), sources, f"-DKAT_CRC={crc}u")


@pytest.fixture
def device(program: Path) -> Iterator[Device]:
    with Device.open(f"child:{program}", budget_s=2.0) as opened:
        yield opened


def sample(seed: int, bias: int = 3) -> list[np.ndarray]:
    image = np.random.default_rng(seed).integers(-128, 128, IMAGE).astype(np.int8)
    return [image, np.array([bias], np.int8)]


def test_hello(device: Device) -> None:
    hello = device.hello()
    assert (hello.board, hello.chip, hello.core) == ("rig", "host chip", "host")
    assert hello.build_id == BUILD_ID and hello.model_sha256 == "abcd" + 30 * "00"
    assert (hello.inputs, hello.outputs, hello.layers) == (2, 3, 3)
    assert (hello.logits, hello.route, hello.scores) == (0, 1, 2)
    assert hello.rx_window == 1024
    assert hello.engine == Engine.AOT and hello.init_status == 0
    assert device.input_bytes() == (IMAGE, 1)
    assert device.output_bytes() == (LOGITS, 1, 12)


def test_another_build_is_named_with_both_ids(device: Device) -> None:
    with pytest.raises(ProtocolError, match=rf"build {BUILD_ID}, expected {'ff' * 16}"):
        device.require_build("ff" * 16)


def test_outputs_decision_and_counters(device: Device) -> None:
    assert (device.get_route().router, device.get_route().threshold) == (Router.LEARNED, 5)
    queried = 0
    for seed in range(20):
        inputs = sample(seed)
        result = device.infer(inputs)
        assert result.outputs == expected(*inputs)
        simple = (Router.ENTROPY, Router.MAX_PROB, Router.MARGIN)
        assert result.score == result.scores[Router.LEARNED] == inputs[0][0]
        values = [1000 * (i + 1) * int(inputs[0][1]) for i in range(3)]
        assert [result.scores[router] for router in simple] == values
        assert result.escalate == (inputs[0][0] > 5)
        assert result.ticks > 0 and result.instructions == 0
        queried += result.escalate
    stats = device.stats()
    assert (stats.inferences, stats.queried, stats.kept) == (20, queried, 20 - queried)
    assert 0 < queried < 20 and stats.frame_errors == 0 and stats.stack_used_bytes == 1234
    device.reset_stats()
    assert device.stats().inferences == 0


@pytest.mark.parametrize(
    "router, score",
    [
        (Router.LEARNED, 3),
        (Router.ENTROPY, 7000),
        (Router.MAX_PROB, 14_000),
        (Router.MARGIN, 21_000),
    ],
)
def test_route_changes_without_a_rebuild(device: Device, router: Router, score: int) -> None:
    inputs = sample(1)
    inputs[0][:2] = 3, 7
    # The score itself as threshold keeps, because only a larger score is for the cloud.
    for threshold, decision in ((score - 1, Decision.QUERY), (score, Decision.KEEP)):
        device.set_route(router, threshold)
        result = device.infer(inputs)
        assert (result.decision, result.router) == (decision, router)
        assert (result.score, result.threshold) == (score, threshold)


def test_no_router_decides_nothing_and_an_unknown_one_is_refused(device: Device) -> None:
    device.set_route(Router.NONE, 0)
    result = device.infer(sample(1))
    assert (result.decision, result.score) == (Decision.NONE, None)
    with pytest.raises(DeviceError) as refused:
        device._channel.request(Type.SET_ROUTE, b"\x05\0\0\0\0")
    assert refused.value.code == Code.BAD_INDEX
    assert device.get_route().router == Router.NONE


def test_profile_rows_hold_each_layers_checksum(device: Device) -> None:
    inputs = sample(2)
    profile = device.profile(inputs)
    outputs = expected(*inputs)
    assert [row.crc32 for row in profile.rows] == [zlib.crc32(out) for out in outputs]
    assert [row.out_bytes for row in profile.rows] == [LOGITS, 1, 12]
    assert profile.ticks == sum(row.ticks for row in profile.rows)


def test_self_test_names_the_first_failing_vector(device: Device) -> None:
    result = device.self_test()  # the second vector's checksum is wrong on purpose
    assert (result.passed, result.total, result.first_failing) == (1, 2, 1)


def test_inference_without_new_input_is_refused(device: Device) -> None:
    device.infer(sample(3))
    infer = payloads.Infer(99, 0, 512).pack()
    for kind, payload in ((Type.INFER, infer), (Type.PROFILE, bytes(4))):
        with pytest.raises(DeviceError, match="has not been written") as refused:
            device._channel.request(kind, payload)
        assert refused.value.code == Code.NO_INPUT


def test_wrong_input_size(device: Device) -> None:
    with pytest.raises(InputError, match=r"1,300 \+ 1 bytes, given 1,299 \+ 1 bytes"):
        device.infer([np.zeros(1299, np.int8), np.zeros(1, np.int8)])


@pytest.mark.parametrize(
    "kind, payload, code",
    [
        (0x77, b"", Code.UNKNOWN_TYPE),
        (0x00, b"", Code.UNKNOWN_TYPE),
        (0x84, b"", Code.UNKNOWN_TYPE),
        (Type.HELLO, b"x", Code.BAD_LENGTH),
        (Type.WRITE_INPUT, b"\0\0\0\0\0", Code.BAD_LENGTH),
        (Type.WRITE_INPUT, b"\x02\0\0\0\0x", Code.BAD_INDEX),
        (Type.WRITE_INPUT, b"\0\x01\0\0\0x", Code.BAD_OFFSET),
        (Type.WRITE_INPUT, b"\0\xff\xff\xff\xffx", Code.BAD_OFFSET),
        (Type.WRITE_INPUT, b"\x01\0\0\0\0xy", Code.BAD_OFFSET),
        (Type.READ_OUTPUT, b"\x00\0\0\0\0\x01\0", Code.NO_OUTPUT),
        (Type.TENSOR_INFO, b"\x02\0", Code.BAD_INDEX),
        (Type.TENSOR_INFO, b"\0\x02", Code.BAD_INDEX),
        (Type.SET_ROUTE, b"\0", Code.BAD_LENGTH),
    ],
)
def test_refused_requests(device: Device, kind: int, payload: bytes, code: Code) -> None:
    device.link.write(encode(Frame(kind, 9, payload)))
    decoder, frames = Decoder(), []
    while not frames:
        frames = decoder.feed(device.link.read(999, 1.0))
    assert (frames[0].type, frames[0].seq, frames[0].payload[0]) == (Type.ERROR, 9, code)
    assert device.stats().frame_errors == 0


@pytest.mark.parametrize(
    "offset, count", [(700, 1), (0, 701), (0xFFFFFFFF, 2), (0, 513), (0x80000000, 0x8000)]
)
def test_reading_past_an_output(device: Device, offset: int, count: int) -> None:
    device.infer(sample(4))
    request = b"\0" + offset.to_bytes(4, "little") + count.to_bytes(2, "little")
    with pytest.raises(DeviceError) as refused:
        device._channel.request(Type.READ_OUTPUT, request)
    assert refused.value.code == Code.BAD_OFFSET


@pytest.mark.parametrize(
    "noise, code",
    [
        (b"\x03\x01\x02\0", Code.TRUNCATED),
        (encode(Frame(1, 5))[:4] + b"\0", Code.TRUNCATED),
        (encode(Frame(1, 5)).replace(b"\x05", b"\x06"), Code.BAD_CRC),
        (b"\x01" * 700 + b"\0", Code.TOO_LONG),
        (b"\xff" * 5000 + b"\0", Code.TOO_LONG),
    ],
)
def test_bad_frames_are_reported_and_the_link_goes_on(
    device: Device, noise: bytes, code: Code
) -> None:
    device.link.write(noise)
    decoder, frames = Decoder(), []
    while not frames:
        frames = decoder.feed(device.link.read(999, 1.0))
    assert (frames[0].type, frames[0].seq, frames[0].payload[0]) == (Type.ERROR, 0, code)
    assert device.stats().frame_errors == 1
    inputs = sample(5)
    assert device.infer(inputs).outputs == expected(*inputs)


def test_a_fault_names_its_layer_and_the_firmware_restarts(device: Device) -> None:
    device.name_layers(["first", "second", "third"])
    device.set_route(Router.ENTROPY, 1)
    with pytest.raises(DeviceFault, match="memory fault on the board in layer 1 'second'") as fault:
        device.infer(sample(6, bias=99))
    assert (fault.value.fault.pc, fault.value.fault.address) == (0x08001234, 0x20000000)
    device.connect()
    assert device.get_route().router == Router.LEARNED  # the build's own again


def test_a_failing_engine(device: Device) -> None:
    with pytest.raises(DeviceError, match="detail 2") as refused:
        device.infer(sample(6, bias=98))
    assert refused.value.code == Code.MODEL_ERROR
    assert device.infer(sample(6)).outputs == expected(*sample(6))


def test_reset(device: Device) -> None:
    device.infer(sample(7))
    device.reset()
    assert device.stats().inferences == 0


class LossyLink:
    """Flips, drops and doubles bytes in both directions."""

    def __init__(self, inner, rate: float, seed: int) -> None:
        self.url, self._inner, self._rate = inner.url, inner, rate
        self._random = random.Random(seed)
        self.hits = 0

    def on(self, rate: float) -> None:
        """From now on at this rate."""
        self._rate = rate

    def _spoil(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if self._random.random() >= self._rate:
                out.append(byte)
                continue
            self.hits += 1
            out += self._random.choice([b"", bytes([byte ^ 0x10]), bytes([byte, byte]), b"\0"])
        return bytes(out)

    def read(self, n: int, timeout: float) -> bytes:
        return self._spoil(self._inner.read(n, timeout))

    def write(self, data: bytes) -> None:
        self._inner.write(self._spoil(data))

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize("seed, window", [(1, 0), (2, 2048), (3, 2048)])
def test_lost_and_damaged_bytes_are_sent_again(program: Path, seed: int, window: int) -> None:
    link = LossyLink(open_link(f"child:{program}"), 5e-4, seed)
    with Device(link, patience_s=0.05) as device:
        device._hello = replace(device.hello(), rx_window=window)
        for number in range(20):
            inputs = sample(number)
            assert device.infer(inputs).outputs == expected(*inputs)
        assert link.hits > 10


def test_a_dead_program_is_named(tmp_path: Path) -> None:
    dead = tmp_path / "dead"
    dead.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    dead.chmod(0o755)
    with pytest.raises(LinkError, match=r"exit code 3\):\nbroken"):
        Device.open(f"child:{dead}")
