"""Which port and probe are the board: several ports, several boards, shared USB ids, no answer."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from mcu_hybrid.board.load import load_board
from mcu_hybrid.errors import BoardError, LinkError
from mcu_hybrid.link import uart, usb
from mcu_hybrid.steps import attach as attaching
from mcu_hybrid.steps.attach import attach, probe_of, require_one_probe
from mcu_hybrid.steps.flash import running_url

F4 = "0669FF303430484257142935"
F7 = "066BFF485550755187102030"


@dataclass(order=True)
class FakePort:
    """What pyserial tells of a port."""

    device: str
    vid: int | None = 0x0483
    pid: int | None = 0x374B
    serial_number: str | None = F4
    location: str | None = None
    description: str = "STM32 STLink"


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plug ports in; ``answers`` maps a device to the (board, chip) of its firmware."""
    from serial.tools import list_ports

    def plug_in(*ports: FakePort, answers: dict[str, tuple[str, str]] | None = None) -> None:
        def ask(url: str) -> Any:
            known = (answers or {}).get(url.removeprefix("uart:").partition("?")[0])
            return SimpleNamespace(board=known[0], chip=known[1]) if known else None

        monkeypatch.setattr(list_ports, "comports", lambda: list(ports))
        monkeypatch.setattr(attaching, "ask", ask)

    monkeypatch.setattr(usb, "SYSFS", usb.Path("/nowhere"))
    return plug_in


STM32F4 = ("stm32f4", "stm32f446re")
STM32F7 = ("stm32f7", "stm32f746zg")


def test_two_ports_of_one_probe_are_one_board(plug: Any) -> None:
    two = [
        FakePort("/dev/ttyACM1", 0x1366, 0x1051, "001050288888", "1-2:1.2"),
        FakePort("/dev/ttyACM0", 0x1366, 0x1051, "001050288888", "1-2:1.0"),
    ]
    plug(*two)
    board = load_board("nrf52840dk")
    there = attach(board)
    assert there.url == "uart:/dev/ttyACM0?baud=460800"
    assert there.probe == "001050288888"
    assert uart.find_port(board.console.usb) == "/dev/ttyACM0"
    assert uart.find_port(board.console.usb, interface=1) == "/dev/ttyACM1"
    # Without a place on the bus the names decide, and 10 comes after 9.
    plug(*(FakePort(f"/dev/ttyACM{n}", 0x1366, 0x1051, "1") for n in (10, 9)))
    assert uart.find_port(board.console.usb) == "/dev/ttyACM9"


def test_two_boards_without_serial_numbers_are_two(plug: Any) -> None:
    plug(*(FakePort(f"/dev/ttyACM{n}", serial_number=None) for n in (0, 1)))
    with pytest.raises(LinkError, match=r"several boards.*ttyACM0.*ttyACM1[\s\S]*--port /dev/ttyA"):
        uart.find_port(load_board("stm32f4").console.usb)


def test_the_firmware_tells_boards_of_one_usb_id_apart(plug: Any) -> None:
    ports = (FakePort("/dev/ttyACM0"), FakePort("/dev/ttyACM1", serial_number=F7))
    plug(*ports, answers={"/dev/ttyACM0": STM32F4, "/dev/ttyACM1": STM32F7})
    assert attach(load_board("stm32f7")).probe == F7
    assert attach(load_board("stm32f4")).probe == F4
    plug(*ports, answers={"/dev/ttyACM1": STM32F7})
    assert attach(load_board("stm32f7")).url.startswith("uart:/dev/ttyACM1?")
    with pytest.raises(LinkError) as caught:
        attach(load_board("stm32f4"))
    text = str(caught.value)
    assert f"/dev/ttyACM0 (probe {F4}) does not answer" in text
    assert f"/dev/ttyACM1 (probe {F7}) is stm32f7" in text
    assert f"--probe {F4}" in text


def test_another_board_is_refused_unless_its_probe_is_named(plug: Any) -> None:
    plug(FakePort("/dev/ttyACM0"), answers={"/dev/ttyACM0": STM32F4})
    for port in ("", "/dev/ttyACM0"):
        with pytest.raises(BoardError) as caught:
            attach(load_board("stm32f7"), port)
        assert "says it is stm32f4 (chip stm32f446re), not stm32f7" in str(caught.value)
        assert f"--probe {F4}" in caught.value.hint
    assert attach(load_board("stm32f7"), probe=F4).probe == F4


def test_the_same_chip_under_another_name_is_the_board(plug: Any) -> None:
    plug(FakePort("/dev/ttyACM0"), answers={"/dev/ttyACM0": ("my-nucleo", "stm32f446re")})
    assert attach(load_board("stm32f4")).hello is not None


def test_a_silent_board_of_a_shared_id_is_taken_and_told(plug: Any) -> None:
    plug(FakePort("/dev/ttyACM0"))
    there = attach(load_board("stm32f7"))
    assert there.hello is None
    assert "does not answer: taken for stm32f7 by its USB id, which stm32f4 has too" in there.note
    plug(FakePort("/dev/ttyACM0", pid=0x374E))
    assert attach(load_board("stm32h7")).note == ""


def test_the_probe_follows_from_the_port(plug: Any, tmp_path: usb.Path) -> None:
    plug(FakePort("/dev/ttyACM0"), FakePort("/dev/ttyACM1", serial_number=F7))
    board = load_board("stm32f4")
    assert attach(board, "/dev/ttyACM1").probe == F7
    assert attach(board, "uart:/dev/ttyACM0?baud=115200").probe == F4
    assert attach(board, "uart:/dev/ttyACM0?baud=115200").url == "uart:/dev/ttyACM0?baud=115200"
    with pytest.raises(LinkError, match=f"/dev/ttyACM1 belongs to probe {F7}, not to {F4}"):
        attach(board, "/dev/ttyACM1", F4)
    target = tmp_path / "ttyACM9"
    target.touch()
    (tmp_path / "by-id").symlink_to(target)
    plug(FakePort(str(target), serial_number="99"))
    assert probe_of(str(tmp_path / "by-id")) == "99"
    assert probe_of("socket://127.0.0.1:1") == probe_of("/dev/ttyS0") == ""


def test_the_port_follows_from_the_probe(plug: Any) -> None:
    plug(FakePort("/dev/ttyACM0"), FakePort("/dev/ttyACM1", serial_number=F7))
    board = load_board("stm32f4")
    assert attach(board, probe=F7.lower()).url.startswith("uart:/dev/ttyACM1?")
    with pytest.raises(LinkError) as caught:
        attach(board, probe="1234")
    assert "no serial port of probe 1234" in str(caught.value)
    assert f"/dev/ttyACM0 (probe {F4})" in str(caught.value)


def test_a_j_link_is_found_with_and_without_leading_zeros(plug: Any) -> None:
    plug(FakePort("/dev/ttyACM0", 0x1366, 0x1015, "000683123456"))
    assert attach(load_board("nrf52840dk"), probe="683123456").url.startswith("uart:/dev/ttyACM0")


def test_an_adapters_serial_number_is_no_probes(plug: Any) -> None:
    plug(FakePort("/dev/ttyUSB0", 0x0403, 0x6001, "A50285BI", description="FT232R USB UART"))
    assert attach(load_board("stm32f4"), "/dev/ttyUSB0").probe == ""


def test_several_probes_are_listed_with_their_serials(plug: Any) -> None:
    board = load_board("stm32f4")
    plug(FakePort("/dev/ttyACM0"), FakePort("/dev/ttyACM1", 0x1366, 0x0105, "77"))
    require_one_probe(board)  # the other is a J-Link
    plug(FakePort("/dev/ttyACM0"), FakePort("/dev/ttyACM1", serial_number=F7))
    with pytest.raises(LinkError) as caught:
        require_one_probe(board)
    for text in (f"ST-LINK {F4} (/dev/ttyACM0)", f"ST-LINK {F7} (/dev/ttyACM1)", "--probe"):
        assert text in str(caught.value)


def test_ids_of_probes() -> None:
    ids = {(0x0483, 0x3754), (0x0483, 0x3757), (0x0483, 0x374E)}
    assert ids <= set(load_board("stm32h7").console.usb)
    assert {(0x1366, 0x0105), (0x1366, 0x1061)} <= set(load_board("nrf52840dk").console.usb)
    assert usb.probe_kind(0x0483, 0x374B) == "ST-LINK"
    assert usb.probe_kind(0x0483, 0x5740) == usb.probe_kind(0x0483, 0xDF11) == ""
    assert usb.probe_kind(0x2E8A, 0x000C) == usb.probe_kind(0x0D28, 0x0204) == "CMSIS-DAP"
    assert usb.probe_kind(0x1FC9, 0x0143, "MCU-LINK CMSIS-DAP V3") == "CMSIS-DAP"
    assert usb.probe_kind(0x2E8A, 0x000A, "Pico") == ""


def test_a_board_to_be_set_is_found_as_one_to_be_measured(plug: Any) -> None:
    """What tune --apply does: the same ports, probes and greetings as bench and run."""
    ports = (FakePort("/dev/ttyACM0"), FakePort("/dev/ttyACM1", serial_number=F7))
    plug(*ports, answers={"/dev/ttyACM0": STM32F4, "/dev/ttyACM1": STM32F7})
    board = load_board("stm32f7")
    assert running_url(board).startswith("uart:/dev/ttyACM1?")
    assert running_url(board, probe=F7).startswith("uart:/dev/ttyACM1?")
    assert running_url(board, "socket://127.0.0.1:1") == "socket://127.0.0.1:1"
    with pytest.raises(BoardError, match="says it is stm32f4"):
        running_url(board, "/dev/ttyACM0")
    with pytest.raises(LinkError, match=f"belongs to probe {F7}"):
        running_url(board, "/dev/ttyACM1", F4)
