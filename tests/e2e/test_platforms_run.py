"""The ports of the virtual boards for real: bytes both ways, ticks, faults, reset, idle."""

from __future__ import annotations

import shutil
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import serial

from mcu_hybrid.board.load import Board, board_names, load_board
from mcu_hybrid.firmware.build import build
from mcu_hybrid.firmware.render import render_project
from mcu_hybrid.image.firmware import FirmwareImage
from mcu_hybrid.machines import machine_of, state
from mcu_hybrid.process import Tools

MAIN = Path(__file__).parent / "platform_rig" / "port_main.c"
VIRTUAL = [name for name in board_names() if load_board(name).is_virtual]
HARD, MEMORY, BUS, USAGE = range(4)


@dataclass
class Port:
    board: Board
    image: FirmwareImage
    line: serial.SerialBase
    pid: int

    def send(self, letter: str, n: int = 0, data: bytes = b"") -> None:
        self.line.write(letter.encode() + struct.pack("<I", n) + data)

    def take(self, n: int) -> bytes:
        got = bytes(self.line.read(n))
        assert len(got) == n, f"{len(got)} of {n} bytes came: {got!r}"
        return got

    def number(self) -> int:
        return int(struct.unpack("<I", self.take(4))[0])

    def fault(self, kind: int) -> tuple[int, int, int]:
        """(code, pc, address); the restart that follows is awaited."""
        self.send("F", kind)
        assert self.take(1) == b"!"
        found = (self.number(), self.number(), self.number())
        assert self.take(1) == b"H"
        return found


@pytest.fixture(scope="module", params=VIRTUAL)
def port(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Port]:
    board = load_board(request.param)
    for tool in ["gcc"] if board.is_host else ["arm-none-eabi-gcc", "qemu-system-arm"]:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp(board.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        image = _build(board, folder / "project")
        running = machine_of(board).start(board, image.elf, Tools())
        try:
            line = serial.serial_for_url(running.url, timeout=20)
            opened = Port(board, image, line, running.pid)
            _greet(opened)
            yield opened
            line.close()
        finally:
            assert state.stop(board.name)


def _build(board: Board, folder: Path) -> FirmwareImage:
    """The platform with our own main instead of the harness."""
    project = render_project(folder, board, {"port_main.c": MAIN.read_text()})
    app = Path("src/app")
    return build(
        replace(project, files=tuple(f for f in project.files if f.parent != app)), board, Tools()
    )


def _greet(opened: Port) -> None:
    """The H of the start-up may have gone to nobody: restart to see it.

    On a busy host the first start-up may still be going on: then its own H is read, and a restart
    follows that must be over before anything is sent.
    """
    opened.send("R")
    assert opened.line.read_until(b"H").endswith(b"H")
    opened.line.timeout = 1.0
    while opened.line.read(16):
        pass
    opened.line.timeout = 20


def test_every_byte_value_comes_back(port: Port) -> None:
    data = bytes(range(256))
    port.send("E", len(data), data)
    assert port.take(len(data)) == data


def test_a_long_input_arrives_whole(port: Port) -> None:
    # An emulated UART drops what a full ring cannot take, and a busy host lets it fill: there, as
    # the protocol does, no more is sent than the ring holds.
    count = 20_000 if port.board.is_host else 1_000
    data = bytes((i * 7 + i // 251) & 0xFF for i in range(count))
    expected = 0
    for byte in data:
        expected = (expected * 31 + byte) & 0xFFFFFFFF
    port.send("S", len(data), data)
    assert port.number() == expected


def test_ticks_count_instructions(port: Port) -> None:
    per_tick = port.board.chip.tick.instructions
    if not per_tick:
        pytest.skip("ticks are nanoseconds here")
    for turns in (400_000, 2_000_000):
        port.send("T", turns)
        taken = port.number()
        assert abs(taken - 2 * turns / per_tick) <= 1 + 20 / per_tick


def test_ticks_count_nanoseconds_on_a_host(port: Port) -> None:
    if port.board.chip.tick.instructions:
        pytest.skip("ticks are instructions here")
    before = time.monotonic_ns()
    port.send("T", 1_000_000)
    taken = port.number()
    assert 100_000 < taken <= time.monotonic_ns() - before


def test_idle_takes_no_processor_time(port: Port) -> None:
    before = _cpu_ticks(port.pid)
    time.sleep(0.5)
    assert _cpu_ticks(port.pid) - before <= 10, "of 50 in half a second"


def _cpu_ticks(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        pytest.skip("needs /proc")
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_stack_and_static_ram_are_measured(port: Port) -> None:
    port.send("U")
    used, static = port.number(), port.number()
    assert 32 <= used < (port.board.stack_bytes if not port.board.is_host else 65536)
    if port.board.is_host:
        assert static > 0
    else:
        assert static == port.image.ram_used


def test_a_wrong_address_is_named(port: Port) -> None:
    code, pc, address = port.fault(0)
    assert code == (MEMORY if port.board.is_host else BUS)
    assert address == 0xE2345678
    assert port.board.is_host or _inside(port, "fault", pc) or _inside(port, "command", pc)


def test_a_stack_overflow_is_a_memory_fault(port: Port) -> None:
    code, _, address = port.fault(1)
    if port.board.core.name == "cortex-m55":
        # ARMv8-M has a stack limit of its own: a usage fault, without an address.
        assert code == USAGE
        return
    assert code == MEMORY
    if not port.board.is_host:
        limit = port.board.placed("stack").start
        assert limit - 0x10000 <= address < limit


@pytest.mark.parametrize("kind", [2, 3], ids=["undefined", "division"])
def test_bad_instructions_are_usage_faults(port: Port, kind: int) -> None:
    code, pc, _ = port.fault(kind)
    assert code == USAGE
    assert port.board.is_host or port.board.placed("code").holds(pc)


def _inside(port: Port, function: str, pc: int) -> bool:
    """True where the function exists (it may be inlined) and holds the address."""
    start, size = port.image.symbols.get(function, (0, 0))
    return (start & ~1) <= pc < (start & ~1) + size if size else True


def test_reset_keeps_the_line(port: Port) -> None:
    port.send("R")
    assert port.take(1) == b"H"
    port.send("E", 1, b"z")
    assert port.take(1) == b"z"
