"""The whole firmware on virtual boards: a hybrid of its own, decisions, profile, clocks, faults."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcu_hybrid.bench.measure import bench
from mcu_hybrid.bench.model import BenchModel
from mcu_hybrid.bench.samples import default_inputs
from mcu_hybrid.board.load import Board, load_board
from mcu_hybrid.compiler import report
from mcu_hybrid.compiler.emit.model import emit
from mcu_hybrid.compiler.passes.link_route import link_route
from mcu_hybrid.compiler.program import program_of
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.device.client import Device
from mcu_hybrid.device.trouble import DeviceError, DeviceFault
from mcu_hybrid.errors import LinkError, ProtocolError
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.image.firmware import FirmwareImage
from mcu_hybrid.ops import route_features
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.judge import Judge
from mcu_hybrid.wire.frames import Decoder, Frame, encode
from mcu_hybrid.wire.messages import NO_OUTPUT, Code, Decision, Type
from tests.support.board_rig import HERE, firmware, running
from tests.support.routers import Router
from tests.support.tflite_builder import OpSpec, Spec
from tests.support.tflite_builder import build as build_tflite

BOARDS = ("native", "mps2-an500")
COUNTING = ("mps2-an500", "mps2-an386", "mps3-an547", "netduinoplus2")
PIXELS, CLASSES = 900, 10
FAULT = 0xFFFFFFFF


def tiny_hybrid() -> tuple[bytes, dict[str, Any]]:
    """image [900] -> fully connected -> logits [10]; route features [11] -> one -> score [1]."""
    random = np.random.default_rng(5)
    top = route_features.top_of(CLASSES)
    attrs = route_features.make_attrs(
        CLASSES, 0.1, [1.0] + [0.2] * top, [0.5] + [0.2] * top, 0.05, -3
    )
    weights = random.integers(-60, 60, (CLASSES, PIXELS)).astype(np.int8)
    gate = random.integers(-90, 90, (1, top + 1)).astype(np.int8)
    tensors = [
        Spec("image", (1, PIXELS), scale=0.02, zero=-1),
        Spec("weights", (CLASSES, PIXELS), scale=0.002, data=weights),
        Spec("bias", (CLASSES,), "int32", scale=0.02 * 0.002, data=np.arange(CLASSES, dtype="<i4")),
        Spec("logits", (1, CLASSES), scale=0.1, zero=4),
        Spec("route_features", (1, top + 1), scale=0.05, zero=-3),
        Spec("gate", (1, top + 1), scale=0.01, data=gate),
        Spec("gate_bias", (1,), "int32", scale=0.05 * 0.01, data=np.array([70], "<i4")),
        Spec("score", (1, 1), scale=0.05, zero=0),
    ]
    options = {"fused_activation_function": 0, "weights_format": 0, "keep_num_dims": False}
    ops = [
        OpSpec("FULLY_CONNECTED", (0, 1, 2), (3,), options),
        OpSpec("FULLY_CONNECTED", (4, 5, 6), (7,), options),
    ]
    metadata = {
        "version": 1,
        "logits": "logits",
        "route_features": "route_features",
        "route_score": "score",
        "features": attrs.to_json(),
        "deployed": {"router": 1, "coverage": 0.5, "threshold": -20},
    }
    entry = {"mcu_hybrid": json.dumps(metadata).encode()}
    return build_tflite(tensors, ops, (0, 4), (3, 7), metadata=entry), metadata


@dataclass
class Rig:
    """A running hybrid and everything that is known of it."""

    board: Board
    device: Device
    graph: Graph
    image: FirmwareImage
    tflite: bytes
    metadata: dict[str, Any]
    sha256: str


@pytest.fixture(scope="module", params=BOARDS)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    board = load_board(request.param)
    tflite, metadata = tiny_hybrid()
    model = read_tflite(tflite, "tiny.tflite")
    graph = link_route(model.graph, model.metadata)
    program = program_of(graph)
    files = emit(program, digest=bytes.fromhex(model.sha256), metadata=model.metadata)
    kernels = report.footprint(program).kernels
    image = firmware(tmp_path_factory.mktemp(board.name), board, files, kernels)
    with running(board, image) as device:
        yield Rig(board, device, graph, image, tflite, metadata, model.sha256)


def images(count: int) -> list[list[np.ndarray]]:
    return default_inputs([(1, PIXELS)], count)


def test_hello(rig: Rig) -> None:
    hello = rig.device.hello()
    assert (hello.board, hello.build_id) == (rig.board.name, rig.image.build_id)
    assert hello.model_sha256 == rig.sha256
    assert (hello.inputs, hello.outputs) == (1, 3)
    assert (hello.logits, hello.route, hello.scores) == (0, 1, 2)
    assert rig.device.input_bytes() == (PIXELS,)
    assert rig.device.output_bytes() == (CLASSES, 1, 12)
    with pytest.raises(ProtocolError, match=f"runs build {hello.build_id}, expected abc"):
        rig.device.require_build("abc")


def test_the_device_equals_interpreter_and_judge_and_decides(rig: Rig) -> None:
    judge = Judge(rig.tflite, rig.metadata)
    rig.device.reset()
    assert (rig.device.get_route().router, rig.device.get_route().threshold) == (
        Router.LEARNED,
        -20,
    )
    queried = 0
    for sample in images(40):
        result = rig.device.infer(sample)
        expected = [out.tobytes() for out in judge.run(sample)]
        assert list(result.outputs) == expected
        assert expected == [out.tobytes() for out in interp.run(rig.graph, sample)]
        scores = [int(result.int8(1)[0]), *np.frombuffer(result.outputs[2], "<i4").tolist()]
        assert list(result.scores.values()) == scores and result.score == scores[0]
        assert result.escalate == (result.score > -20)
        queried += result.escalate
    stats = rig.device.stats()
    assert (stats.inferences, stats.queried, stats.kept) == (40, queried, 40 - queried)
    assert 0 < queried < 40 and stats.frame_errors == 0
    assert 100 < stats.stack_used_bytes < 20_000


def test_every_route_decides_at_its_own_score(rig: Rig) -> None:
    sample = images(1)[0]
    scores = rig.device.infer(sample).scores
    assert set(scores) == set(Router) - {Router.NONE}
    for router, score in scores.items():
        rig.device.set_route(router, score)
        assert rig.device.infer(sample).decision == Decision.KEEP
        rig.device.set_route(router, score - 1)
        assert rig.device.infer(sample).decision == Decision.QUERY


def test_profile_checksums_are_the_interpreters(rig: Rig) -> None:
    sample = images(2)[1]
    profile = rig.device.profile(sample)
    kept = interp.run(rig.graph, sample, keep=True)
    crcs = [zlib.crc32(kept[op.outputs[0]].tobytes()) for op in rig.graph.ops]
    assert [row.crc32 for row in profile.rows] == crcs
    assert sum(row.ticks for row in profile.rows) == profile.ticks


def test_self_test(rig: Rig) -> None:
    result = rig.device.self_test()
    assert result.total > 0 and (result.passed, result.first_failing) == (result.total, None)


def test_noise_and_refusals_leave_the_link_in_step(rig: Rig) -> None:
    rig.device.reset_stats()
    noise = [b"\x01\x02\x03", encode(Frame(1, 9))[:-2] + b"\0", b"\x01" * 900 + b"\0"]
    for number, junk in enumerate(noise, 1):
        rig.device.link.write(junk + encode(Frame(0x70, 200)))
        decoder, frames = Decoder(), []
        while len(frames) < 2:
            data = rig.device.link.read(999, 2.0)
            assert data
            frames += decoder.feed(data)
        assert [f.type for f in frames] == [Type.ERROR, Type.ERROR]
        assert (frames[0].seq, frames[1].seq, frames[1].payload[0]) == (0, 200, Code.UNKNOWN_TYPE)
        assert rig.device.stats().frame_errors == number
    with pytest.raises(DeviceError) as refused:
        rig.device._channel.request(Type.INFER, bytes(10))
    assert refused.value.code == Code.NO_INPUT


def test_any_window_gives_the_same_bytes(rig: Rig) -> None:
    sample = images(3)[2]
    hello = rig.device.hello()
    outputs = []
    for window in (0, 600, hello.rx_window):
        rig.device._hello = replace(hello, rx_window=window)
        outputs.append(rig.device.infer(sample).outputs)
    assert outputs[0] == outputs[1] == outputs[2]


def test_bench(rig: Rig) -> None:
    rows = report.layer_rows(program_of(rig.graph))
    model = BenchModel(rig.sha256, rows, rig.image.code_bytes, rig.image.weights_bytes)
    judge = Judge(rig.tflite, rig.metadata)
    events: list[tuple[str, int, int]] = []
    result = bench(
        rig.device, rig.board, model, images(5), judge=judge, on_event=lambda *e: events.append(e)
    )
    data = json.loads(json.dumps(result.to_json()))
    assert (data["exact"], data["differing_outputs"], data["board"]) == (True, 0, rig.board.name)
    assert data["macs"] == PIXELS * CLASSES + 11
    assert [layer["op"] for layer in data["layers"]] == [op.kind for op in rig.graph.ops]
    assert sum(layer["share"] for layer in data["layers"]) == pytest.approx(1.0)
    assert data["sram_bytes"] > data["arena_bytes"] >= PIXELS
    assert ("inference", 5, 5) in events
    counted = rig.board.name in COUNTING
    assert data["latency_is_estimate"] == counted
    if not counted:  # the process's own time, which is no board's
        assert data["latency_us"] > 0 and data["latency_kind"] is None
    elif rig.board.core.cpi is not None:
        assert data["latency_low_us"] < data["latency_us"] < data["latency_high_us"]
    assert (data["instructions"] is not None) == counted
    if counted:
        by_layer = sum(layer["instructions"] for layer in data["layers"])
        assert by_layer == pytest.approx(data["instructions"], abs=200)
    with pytest.raises(ProtocolError, match="holds model"):
        bench(rig.device, rig.board, replace(model, sha256="0" * 64), images(1))


def test_a_board_that_answers_over_a_socket_is_not_measured(rig: Rig) -> None:
    """An emulator that runs a real board's image says what the board would say."""
    rows = report.layer_rows(program_of(rig.graph))
    model = BenchModel(rig.sha256, rows, rig.image.code_bytes, rig.image.weights_bytes)
    told = rig.device.hello()
    rig.device._hello = replace(told, board="stm32h7", tick_instructions=0)
    try:
        blind = bench(rig.device, load_board("stm32h7"), model, images(1))
        known = replace(model, predicted=[1000] * len(rows))
        seen = bench(rig.device, load_board("stm32h7"), known, images(1))
    finally:
        rig.device._hello = told
    assert (blind.time.latency_us, blind.time.latency_kind) == (None, None)
    assert "is no serial port" in blind.time.latency_basis
    assert seen.time.latency_kind == "estimate" and seen.instructions is None
    assert seen.time.latency_us is not None and seen.time.latency_us > len(rows) * 1000 * 1.13 / 480


def test_one_wrong_value_is_counted(rig: Rig) -> None:
    judge = Judge(rig.tflite, rig.metadata)
    right = judge.run

    def wrong(inputs: list[np.ndarray]) -> list[np.ndarray]:
        outputs = right(inputs)
        outputs[0][0, 3] ^= 1
        return outputs

    judge.run = wrong  # type: ignore[method-assign]
    rows = report.layer_rows(program_of(rig.graph))
    model = BenchModel(rig.sha256, rows, rig.image.code_bytes, rig.image.weights_bytes)
    result = bench(rig.device, rig.board, model, images(3), judge=judge)
    assert (result.exact, result.differing_outputs) == (False, 3)
    assert result.differing_inputs == (0, 1, 2)


def test_a_hybrid_whose_features_come_from_the_host(tmp_path: Path) -> None:
    """Two inputs in the firmware, as engine tflm has it: image, then image with features."""
    board = load_board("native")
    tflite, metadata = tiny_hybrid()
    model = read_tflite(tflite, "tiny.tflite")
    program = program_of(model.graph)
    files = emit(program, digest=bytes.fromhex(model.sha256), metadata=metadata)
    footprint = report.footprint(program)
    image = firmware(tmp_path, board, files, footprint.kernels)
    with running(board, image) as device:
        rows = report.layer_rows(program)
        what = BenchModel(model.sha256, rows, image.code_bytes, image.weights_bytes)
        result = bench(device, board, what, images(4), judge=Judge(tflite, metadata))
        assert result.exact and [len(part) for part in result.outputs[0]] == [CLASSES, 1]
        with pytest.raises(DeviceError) as refused:
            device.set_route(Router.ENTROPY, 0)
        assert refused.value.code == Code.BAD_INDEX


def loops(*turns: int) -> list[np.ndarray]:
    return [np.array(turns, "<u4").view(np.int8)]


def loop_device(name: str, folder: Path) -> tuple[Board, FirmwareImage]:
    board = load_board(name)
    files = {"model.c": (HERE / "loop_model.c").read_text()}
    return board, firmware(folder, board, files)


@pytest.mark.parametrize("name", COUNTING)
def test_instructions_of_a_known_loop(tmp_path: Path, name: str) -> None:
    board, image = loop_device(name, tmp_path)
    with running(board, image) as device:
        rest = device.infer(loops(1, 1, 1, 1)).instructions - 2 * 4
        assert 0 < rest < 150  # calls, the layer's number, the status
        for turns in ((100, 1, 1, 1), (101, 2, 3, 5), (1, 117, 1, 1000), (1_000_000, 1, 1, 1)):
            result = device.infer(loops(*turns))
            assert result.instructions == pytest.approx(2 * sum(turns) + rest, abs=8)
            per_tick = device.hello().tick_instructions
            assert result.ticks == (result.instructions + per_tick // 2) // per_tick
            profile = device.profile(loops(*turns))
            for row, n in zip(profile.rows, turns, strict=True):
                assert 0 <= row.instructions - 2 * n <= 40
            again = device.infer(loops(*turns)).instructions
            assert again == pytest.approx(result.instructions, abs=8)


@pytest.mark.parametrize("name", [*BOARDS, "netduinoplus2"])
def test_faults_name_the_layer_and_the_board_comes_back(tmp_path: Path, name: str) -> None:
    board, image = loop_device(name, tmp_path)
    with running(board, image) as device:
        device.name_layers(["a", "b", "c", "d"])
        assert device.hello().logits == NO_OUTPUT
        for turns, layer in (((FAULT, 1, 1, 1), "0 'a'"), ((1, 1, FAULT, 1), "2 'c'")):
            with pytest.raises(DeviceFault, match=f"on the board in layer {layer}, at pc 0x"):
                device.infer(loops(*turns))
            device.connect()
            assert device.stats().inferences == 0
        assert device.infer(loops(1, 2, 3, 4)).outputs == (b"\x03\0\0\0",)


def test_pyserial_opens_the_console(tmp_path: Path) -> None:
    """A user's own terminal or script can open the same socket."""
    import serial

    board, image = loop_device("mps2-an500", tmp_path)
    with running(board, image) as device:
        url = device.link.url
        device.close()
        with serial.serial_for_url(url, timeout=2.0) as port:
            port.write(encode(Frame(Type.HELLO, 1)))
            frames: list[Any] = []
            decoder = Decoder()
            while not frames:
                data = port.read(1)
                assert data
                frames = decoder.feed(data)
        assert frames[0].type == 0x81


def test_nobody_listens() -> None:
    with pytest.raises(LinkError, match=r"nothing answers at socket://127\.0\.0\.1:1"):
        Device.open("socket://127.0.0.1:1")
