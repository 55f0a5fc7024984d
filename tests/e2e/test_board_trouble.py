"""Boards in trouble: layers that do not end or write where they must not, firmware that faults in
start-up or whose flash has changed, a board that hangs, and a second host."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from mcu_hybrid.board.load import Board, load_board
from mcu_hybrid.device.channel import Exchange
from mcu_hybrid.device.client import Device
from mcu_hybrid.device.trouble import DeviceError, DeviceFault
from mcu_hybrid.errors import LinkError, LinkTimeout, MissingTool
from mcu_hybrid.image.firmware import FirmwareImage
from mcu_hybrid.image.parts import image_parts
from mcu_hybrid.machines import machine_of
from mcu_hybrid.process import Tools
from mcu_hybrid.wire.frames import Frame
from mcu_hybrid.wire.messages import NO_LAYER, Code, Fault, Type
from tests.support.board_rig import HERE, firmware, running

BOARDS = ("native", "mps2-an385", "mps2-an500", "mps3-an547", "netduinoplus2")
NAMES = ("a", "b", "c", "d")
WELL, ENDLESS, BEHIND, AHEAD = range(4)
HELLO_BUDGET_S = 1.5


def trouble(folder: Path, board: Board, start_up: str = "") -> FirmwareImage:
    text = (HERE / "trouble_model.c").read_text().replace("START_UP", start_up)
    return firmware(folder, board, {"model.c": text})


@pytest.fixture(scope="module", params=BOARDS)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Board, FirmwareImage]:
    board = load_board(request.param)
    return board, trouble(tmp_path_factory.mktemp(board.name), board)


@pytest.fixture(scope="module")
def device(made: tuple[Board, FirmwareImage]) -> Iterator[Device]:
    with running(*made) as found:
        found.name_layers(NAMES)
        yield found


def order(what: int, layer: int) -> list[np.ndarray]:
    return [np.array([what, layer], "<u4").view(np.int8)]


@pytest.mark.parametrize("what", [BEHIND, AHEAD])
@pytest.mark.parametrize("layer", [0, 2])
def test_an_overrun_of_four_bytes_names_its_layer(device: Device, what: int, layer: int) -> None:
    device.reset_stats()
    for ask in (device.infer, device.profile):
        with pytest.raises(DeviceError, match=f"in layer {layer} '{NAMES[layer]}'") as refused:
            ask(order(what, layer))
        assert "outside its arena" in str(refused.value)
        assert refused.value.code == Code.ARENA_OVERRUN
    # The guard took it: nothing else was hurt, and the next inference is right.
    assert device.stats().inferences == 0
    assert device.infer(order(WELL, 0)).outputs == (b"\x03\0\0\0",)
    assert device.profile(order(WELL, 0)).rows[2].layer == 2


def test_an_overrun_in_an_inference_alone_is_an_error_too(device: Device) -> None:
    """Without the profile that names the layer: no answer, no output to read."""
    device._write_all([order(BEHIND, 1)[0].tobytes()])
    with pytest.raises(DeviceError, match="in a layer that is not known") as refused:
        device._ask_to_run()
    assert refused.value.detail == NO_LAYER
    with pytest.raises(DeviceError) as gone:
        device._channel.request(Type.READ_OUTPUT, b"\0\0\0\0\0\x04\0")
    assert gone.value.code == Code.NO_OUTPUT


@pytest.mark.parametrize("name", ["native", "mps2-an500"])
def test_an_overrun_in_the_self_test_names_its_layer(tmp_path: Path, name: str) -> None:
    """It comes first: before any input of the user's."""
    board = load_board(name)
    text = (HERE / "trouble_model.c").read_text().replace("START_UP", "")
    text = text.replace("mh_kat_count = 0", "mh_kat_count = 1").replace("arena[1])", "2u)")
    text = text.replace("misbehave(arena[0])", f"misbehave({BEHIND}u)")
    with running(board, firmware(tmp_path, board, {"model.c": text})) as device:
        device.name_layers(NAMES)
        with pytest.raises(DeviceError, match=r"outside its arena .*in layer 2 'c'"):
            device.self_test()


@pytest.mark.parametrize("layer", [0, 3])
def test_a_layer_without_an_end_is_named(device: Device, layer: int) -> None:
    device._layer_limit_ms = lambda: 150  # type: ignore[method-assign]
    where = f"in layer {layer} '{NAMES[layer]}'"
    match = rf"watchdog: endless loop on the board {where}, at pc 0x\w+, for \d+ ms"
    for ask in (device.infer, device.profile):
        with pytest.raises(DeviceFault, match=match) as fault:
            ask(order(ENDLESS, layer))
        assert fault.value.fault.code == Fault.WATCHDOG
        assert fault.value.fault.address >= 150
        device.connect()
    assert device.infer(order(WELL, 0)).outputs == (b"\x03\0\0\0",)


@pytest.mark.parametrize("name", ["native", "mps2-an500"])
def test_a_run_that_is_longer_than_the_budget_is_waited_for(tmp_path: Path, name: str) -> None:
    """The board says that it goes on; only how long is not known."""
    board = load_board(name)
    image = firmware(tmp_path, board, {"model.c": (HERE / "loop_model.c").read_text()})
    with running(board, image) as device:
        channel = device._channel
        channel.budget_s, note = 0.6 if board.is_host else 6.0, channel._note
        heard: list[int] = []

        def noted(exchange: Exchange, frame: Frame, on_row: Any) -> None:
            heard.append(frame.type)
            note(exchange, frame, on_row)

        channel._note = noted  # type: ignore[method-assign]
        turns = 800_000_000 if board.is_host else 40_000_000
        result = device.infer([np.array([turns, turns, turns, 1], "<u4").view(np.int8)])
        assert result.outputs == (b"\x03\0\0\0",)
        assert heard.count(Type.ACK) >= 2  # taken, and at least once still at it
        if not board.is_host:  # what the watch took is taken off
            assert result.instructions == pytest.approx(6 * turns, abs=1e-5 * turns)


@pytest.mark.parametrize("name", ["native", "mps2-an500"])
def test_a_fault_in_start_up_is_told_as_one(tmp_path: Path, name: str) -> None:
    board = load_board(name)
    image = trouble(tmp_path, board, "__builtin_trap();")
    told = pytest.raises(DeviceFault, match=r"on the board while its firmware starts, at pc 0x")
    for _ in range(2):
        with told, running(board, image):
            pass


def test_a_fault_of_the_past_is_no_fault(made: tuple[Board, FirmwareImage]) -> None:
    """The frame may still lie in the serial port's buffer when the next host comes."""
    board, image = made
    with running(board, image) as device:
        device._layer_limit_ms = lambda: 100  # type: ignore[method-assign]
        device._write_all([order(ENDLESS, 0)[0].tobytes()])
        device._channel.begin(Type.INFER, b"\x01\0\0\0" + b"\x64\0\0\0" + b"\0\x02")
        assert device.connect().build_id == image.build_id


def test_a_second_host_is_told_that_the_port_is_in_use(made: tuple[Board, FirmwareImage]) -> None:
    with running(*made) as device:
        with pytest.raises(LinkError, match="is in use by another program") as told:
            Device.open(device.link.url, wait_s=HELLO_BUDGET_S)
        assert "flash" not in told.value.hint
        assert device.infer(order(WELL, 0)).outputs == (b"\x03\0\0\0",)


def test_a_board_that_is_alone_and_silent_is_not_in_use(
    made: tuple[Board, FirmwareImage],
) -> None:
    board, image = made
    try:
        with machine_of(board).private(board, image.elf, Tools(), image.build_id) as found:
            os.kill(found.pid, signal.SIGSTOP)
            try:
                with pytest.raises(LinkTimeout, match=r"no firmware of ours answers .*silent"):
                    Device.open(found.url, wait_s=HELLO_BUDGET_S)
            finally:
                os.kill(found.pid, signal.SIGCONT)
    except MissingTool as error:
        pytest.skip(error.message)


@pytest.mark.parametrize("name", ["native", "mps2-an500"])
def test_a_hung_board_is_named(tmp_path: Path, name: str) -> None:
    board = load_board(name)
    image = trouble(tmp_path, board)
    with (
        machine_of(board).private(board, image.elf, Tools(), image.build_id) as found,
        Device.open(found.url) as device,
    ):
        assert device._channel.budget_s * 4 / 3 + 1 < 10, "seconds until a hung board is named"
        device.infer(order(WELL, 0))
        device._channel.budget_s = 0.8
        os.kill(found.pid, signal.SIGSTOP)
        try:
            with pytest.raises(LinkTimeout, match=r"has said nothing for \d s \(it never began\)"):
                device.infer(order(WELL, 0))
        finally:
            os.kill(found.pid, signal.SIGCONT)


def test_a_board_that_hangs_in_a_run_is_named_with_its_layer(tmp_path: Path) -> None:
    board = load_board("mps2-an500")
    image = firmware(tmp_path, board, {"model.c": (HERE / "loop_model.c").read_text()})
    with (
        machine_of(board).private(board, image.elf, Tools(), image.build_id) as found,
        Device.open(found.url) as device,
    ):
        device.name_layers(NAMES)
        device._layer_limit_ms = lambda: 60_000  # type: ignore[method-assign]
        device._channel.budget_s, note = 0.9, device._channel._note

        def stop_in_the_second_layer(exchange: Exchange, frame: Frame, on_row: Any) -> None:
            note(exchange, frame, on_row)
            if exchange.layer == 1:
                os.kill(found.pid, signal.SIGSTOP)

        device._channel._note = stop_in_the_second_layer  # type: ignore[method-assign]
        turns = [np.array([1, 2_000_000_000, 1, 1], "<u4").view(np.int8)]
        with pytest.raises(LinkTimeout, match=r"said nothing .* \(it was last in layer 1 'b'\)"):
            device.infer(turns)
        os.kill(found.pid, signal.SIGCONT)


def test_every_part_of_the_image_is_compared(
    made: tuple[Board, FirmwareImage], device: Device
) -> None:
    board, image = made
    parts = image_parts(image.elf, board)
    assert sum(part.bytes for part in parts) > 5000
    for part in parts:
        assert device.image_crc(part.address, part.bytes) == part.crc32
        for address, size in ((part.address, 2**31), (0x6000_0000, 4), (part.address, 2**32 - 1)):
            with pytest.raises(DeviceError) as refused:
                device.image_crc(address, size)
            assert refused.value.code == Code.BAD_OFFSET


@pytest.mark.parametrize("symbol", ["weights", "mh_profile"])
def test_a_flipped_bit_is_seen(
    made: tuple[Board, FirmwareImage], tmp_path: Path, symbol: str
) -> None:
    """Under the right build id, in what no inference of the test reads."""
    board, image = made
    damaged = Path(shutil.copy(image.elf, tmp_path / "damaged.elf"))
    data = bytearray(damaged.read_bytes())
    data[file_offset(image, symbol) + 5] ^= 0x10
    damaged.write_bytes(data)
    parts = image_parts(image.elf, board)
    with running(board, replace(image, elf=damaged)) as device:
        found = [device.image_crc(part.address, part.bytes) for part in parts]
    assert sum(crc != part.crc32 for crc, part in zip(found, parts, strict=True)) == 1


def file_offset(image: FirmwareImage, symbol: str) -> int:
    """Where the ELF keeps the first byte of a symbol."""
    address = image.symbols[symbol][0] & ~1
    with image.elf.open("rb") as stream:
        for segment in ELFFile(stream).iter_segments("PT_LOAD"):
            into = address - segment["p_vaddr"]
            if 0 <= into < segment["p_filesz"]:
                return int(segment["p_offset"]) + into
    raise AssertionError(f"{symbol} is in no segment")
