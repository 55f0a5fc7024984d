"""Links that lose bytes and boards that restart, with the firmware's own application.

Whatever happens on the way, an inference has the right outputs, decided by the route that was set,
and is counted once; or it is an error that says what happened.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_harness_c import IMAGE, LossyLink, expected, lcg, sample

from mcu_hybrid.device.client import Device
from mcu_hybrid.errors import LinkError, LinkTimeout, ProtocolError
from mcu_hybrid.link import MemoryLink, open_link
from mcu_hybrid.wire import payloads
from mcu_hybrid.wire.frames import Decoder, Frame, encode
from mcu_hybrid.wire.messages import RESPONSE, Decision, Type
from tests.support.routers import Router
from tests.support.wire_rig import HERE, app_sources, build

RESET = encode(Frame(Type.RESET, 222))
LONGEST_STALL_S = 5.0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = np.frombuffer(lcg(1, IMAGE + 1), np.int8)
    crc = zlib.crc32(b"".join(expected(data[:IMAGE], data[IMAGE:])))
    sources = [*app_sources(), HERE / "port.c", HERE / "model.c"]
    return build(tmp_path_factory.mktemp("rig"), sources, f"-DKAT_CRC={crc}u")


class Meddler:
    """A link whose bytes go through functions of the test; ``None`` sends them as they are."""

    def __init__(self, program: Path) -> None:
        self._inner = open_link(f"child:{program}")
        self.url = self._inner.url
        self.on_write: Callable[[bytes], bytes] | None = None
        self.on_read: Callable[[bytes], bytes] | None = None
        self.requests: list[int] = []
        self._decoder = Decoder()

    def write(self, data: bytes) -> None:
        found = self._decoder.feed(data)
        self.requests += [f.type for f in found if isinstance(f, Frame)]
        self._inner.write(self.on_write(data) if self.on_write else data)

    def read(self, n: int, timeout: float) -> bytes:
        data = self._inner.read(n, timeout)
        return self.on_read(data) if self.on_read and data else data

    def close(self) -> None:
        self._inner.close()


@pytest.fixture
def link(program: Path) -> Meddler:
    return Meddler(program)


@pytest.fixture
def device(link: Meddler) -> Iterator[Device]:
    with Device(link, patience_s=0.1) as opened:
        opened.connect()
        opened.input_bytes()
        opened.output_bytes()
        yield opened


def once(kind: int, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Changes the first frame of this type, once."""
    done: list[int] = []
    decoder = Decoder()

    def meddle(data: bytes) -> bytes:
        found = any(isinstance(f, Frame) and f.type == kind for f in decoder.feed(data))
        if not found or done:
            return data
        done.append(1)
        return change(data)

    return meddle


# -- bytes are lost


@pytest.mark.parametrize("rate, queries, seed", [(1e-3, 60, 1), (1e-3, 60, 2), (1e-2, 3, 3)])
def test_no_inference_is_lost_or_wrong(program: Path, rate: float, queries: int, seed: int) -> None:
    link = LossyLink(open_link(f"child:{program}"), 0.0, seed)
    longest_s = 0.0
    with Device(link) as device:
        device.connect()
        device.input_bytes()
        device.output_bytes()
        link.on(rate)
        for number in range(queries):
            inputs, begun = sample(number), time.monotonic()
            result = device.infer(inputs)
            longest_s = max(longest_s, time.monotonic() - begun)
            assert result.outputs == expected(*inputs)
            assert result.escalate == (inputs[0][0] > 5)
        link.on(0.0)
        assert link.hits > 100
        assert device.disagreement() == "" and device.stats().inferences == queries
    if rate <= 1e-3:
        assert longest_s < LONGEST_STALL_S


def test_a_profile_over_a_lossy_link_has_every_row(program: Path) -> None:
    link = LossyLink(open_link(f"child:{program}"), 0.0, 4)
    with Device(link) as device:
        device.connect()
        link.on(1e-3)
        for number in range(12):
            inputs = sample(number)
            crcs = [row.crc32 for row in device.profile(inputs).rows]
            assert crcs == [zlib.crc32(out) for out in expected(*inputs)]


@pytest.mark.parametrize("drop", [lambda data: data[:-1], lambda data: b""], ids=["end", "all"])
@pytest.mark.parametrize("kind", [Type.WRITE_INPUT, Type.INFER, Type.READ_OUTPUT])
def test_a_request_that_is_lost_is_sent_again_at_once(
    device: Device, link: Meddler, kind: Type, drop: Callable[[bytes], bytes]
) -> None:
    device.infer(sample(1))
    link.requests.clear()
    link.on_write = once(kind, drop)
    begun = time.monotonic()
    assert device.infer(sample(2)).outputs == expected(*sample(2))
    assert time.monotonic() - begun < 1.0, "was 120 s"
    assert link.requests.count(Type.INFER) <= 2
    stats = device.stats()
    assert (stats.inferences, stats.repeats) == (2, 0)


@pytest.mark.parametrize("drop", [lambda data: data[:-1], lambda data: b""], ids=["end", "all"])
def test_an_answer_that_is_lost_is_answered_again_without_another_run(
    device: Device, link: Meddler, drop: Callable[[bytes], bytes]
) -> None:
    device.infer(sample(1))
    link.on_read = once(Type.INFER | RESPONSE, drop)
    first = device.infer(sample(2))
    assert first.outputs == expected(*sample(2))
    link.on_read = None
    assert (device.stats().inferences, device.stats().repeats) == (2, 0)
    assert device.disagreement() == ""


def test_an_inference_that_had_to_run_again_is_a_repeat(device: Device) -> None:
    device.infer(sample(1))
    device._run -= 1  # the same number once more, from its input on
    device.infer(sample(1))
    stats = device.stats()
    assert (stats.inferences, stats.repeats) == (1, 1)
    assert stats.kept + stats.queried == 1


def test_another_hosts_numbers_are_not_this_ones(program: Path) -> None:
    """Its first inference has a number that the board has seen, with outputs that are there."""
    link = open_link(f"child:{program}")
    first, second = Device(link), Device(link)
    first.connect()
    first.infer(sample(1))
    second.connect()
    assert second.infer(sample(2)).outputs == expected(*sample(2))
    assert (second.stats().inferences, second.stats().repeats) == (2, 0)
    link.close()


# -- the board restarts


@pytest.mark.parametrize("kind", [Type.WRITE_INPUT, Type.INFER, Type.READ_OUTPUT])
@pytest.mark.parametrize("is_before", [True, False])
def test_a_restart_is_noticed_mended_and_counted(
    device: Device, link: Meddler, kind: Type, is_before: bool
) -> None:
    device.set_route(Router.ENTROPY, 3000)
    device.reset_stats()
    device.infer(sample(1))
    reset = (lambda data: RESET + data) if is_before else (lambda data: data + RESET)
    link.on_write = once(kind, reset)
    for seed in range(2, 8):
        inputs = sample(seed)
        result = device.infer(inputs)
        assert result.outputs == expected(*inputs)
        assert (result.router, result.threshold) == (Router.ENTROPY, 3000)
        assert result.escalate == (1000 * int(inputs[0][1]) > 3000)
    assert device.restarts == 1
    assert device.disagreement() == ""
    assert device.answered.inferences == 7
    assert device.get_route().router == Router.ENTROPY


def test_restarts_at_any_time(program: Path) -> None:
    randomly = random.Random(5)
    link = Meddler(program)
    with Device(link, patience_s=0.1) as device:
        device.connect()
        device.set_route(Router.MARGIN, 0)
        link.on_write = lambda data: data + RESET if randomly.random() < 0.02 else data
        for seed in range(60):
            inputs = sample(seed)
            result = device.infer(inputs)
            assert result.outputs == expected(*inputs)
            wanted = Decision.QUERY if inputs[0][1] > 0 else Decision.KEEP
            assert (result.router, result.decision) == (Router.MARGIN, wanted)
        link.on_write = None
        assert device.restarts >= 3 and device.answered.inferences == 60


def test_a_restart_behind_the_last_answer_is_no_agreement(device: Device, link: Meddler) -> None:
    device.infer(sample(1))
    link.write(RESET)
    assert "has restarted since its last answer" in device.disagreement()


def test_counters_that_differ_are_told(device: Device) -> None:
    device.infer(sample(1))
    device.tally.kept += 1
    assert "the board counted 1 inferences" in device.disagreement()


def test_a_board_that_always_restarts_is_an_error(device: Device, link: Meddler) -> None:
    decoder = Decoder()

    def reset_behind_the_last_input(data: bytes) -> bytes:
        frames = [f for f in decoder.feed(data) if isinstance(f, Frame)]
        last = any(f.type == Type.WRITE_INPUT and f.payload[0] == 1 for f in frames)
        return data + RESET if last else data

    link.on_write = reset_behind_the_last_input
    with pytest.raises(LinkError, match="restarted 4 times in one inference") as told:
        device.infer(sample(1))
    assert "power supply" in told.value.hint


def test_another_route_than_was_set_is_an_error(device: Device) -> None:
    """As another host would set it, on a port that both have open."""
    device.set_route(Router.ENTROPY, 3000)
    device._channel.request(Type.SET_ROUTE, payloads.Route(Router.LEARNED, 1).pack())
    with pytest.raises(ProtocolError, match="decided by learned at 1, and was told"):
        device.infer(sample(1))


def test_another_build_after_the_restart_is_an_error(device: Device, link: Meddler) -> None:
    device._hello = replace(device.hello(), build_id="ab" * 16)
    link.on_write = once(Type.INFER, lambda data: RESET + data)
    with pytest.raises(ProtocolError, match=r"restarted with build .* instead of abab"):
        device.infer(sample(1))


# -- it says nothing


def test_silence_and_noise_are_told_apart() -> None:
    for answer, said in ((b"", "it is silent"), (b"boot: ok\r\n", "none of our frames")):
        link = MemoryLink(lambda data, answer=answer: answer)  # type: ignore[misc]
        with pytest.raises(LinkTimeout, match=f"no firmware of ours answers at memory:: .*{said}"):
            Device(link).connect(0.3)


def test_who_tidies_up_behind_a_hung_board_does_not_wait_again(
    device: Device, link: Meddler
) -> None:
    device._channel.budget_s = 1.0
    link.on_write = lambda data: b""
    with pytest.raises(LinkTimeout, match=r"the board has said nothing for \d s"):
        device.infer(sample(1))
    begun = time.monotonic()
    with pytest.raises(LinkTimeout):
        device.set_route(Router.NONE, 0)
    assert time.monotonic() - begun < 0.8
    link.on_write = None  # it is back
    assert device.infer(sample(1)).outputs == expected(*sample(1))


def test_hello_gets_through_a_link_that_loses_every_hundredth_byte(program: Path) -> None:
    link = LossyLink(open_link(f"child:{program}"), 1e-2, 7)
    with Device(link) as device:
        for _ in range(5):
            assert device.connect(6.0).outputs == 3
