"""Which serial port and which debug probe are the board that is meant, and what runs on it.

Boards share USB ids, and a probe may bring several ports: where ids cannot tell, the firmware that
answers HELLO does; where it cannot either, that is said. Nothing is flashed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcu_hybrid.board.load import Board, list_boards
from mcu_hybrid.device.client import Device
from mcu_hybrid.errors import BoardError, LinkError, LinkTimeout, McuHybridError, ProtocolError
from mcu_hybrid.link import uart
from mcu_hybrid.link.usb import Port, port_named, probe_kind, probes
from mcu_hybrid.wire.payloads import Hello

HELLO_WAIT_S = 2.0  # of each port that may be the board's: one that runs answers in milliseconds


@dataclass(frozen=True)
class Attached:
    """A board's console, its probe's serial number ("" unknown), and what answered there.

    ``hello`` is None where nothing of ours answered; ``note`` is what the user should know.
    """

    url: str
    probe: str
    hello: Hello | None
    note: str = ""


@dataclass(frozen=True)
class Way:
    """How the board is reached; all of it is found where it is not given.

    Args:
        port: serial port or link URL of the console.
        probe: serial number of the debug probe; "" takes that of the port.
        flasher: one of the board's; None takes the first whose tool is installed.
        recover: first unlock the chip, which erases all of it.
        virtual: a machine runs the image in the board's place.
        machine: which one, and then ``virtual`` goes without saying; "" takes the first.
    """

    port: str = ""
    probe: str = ""
    flasher: str | None = None
    recover: bool = False
    virtual: bool = False
    machine: str = ""


HERE = Way()


def attach(board: Board, port: str = "", probe: str = "") -> Attached:
    """Find a real board by ``port``, by ``probe``, by its USB ids, and by its answer to HELLO.

    Raises:
        LinkError: no such port, several boards, or port and probe are not of one board.
        BoardError: another board answers there, and no probe was named.
    """
    if port:
        url, serial = _of_port(board, port, probe)
        return _checked(board, Attached(url, probe or serial, ask(url)), is_sure=bool(probe))
    found = uart.consoles(board.console.usb, probe, board.console.interface)
    if not found:
        raise uart.no_port(board.console.usb, probe)
    if len(found) > 1:
        return _by_answer(board, found)
    url = uart_url(board, found[0].device)
    there = Attached(url, probe or _serial(found[0]), ask(url))
    return _checked(board, there, is_sure=bool(probe), port=found[0])


def uart_url(board: Board, device: str) -> str:
    """The link URL of a serial port at the board's speed."""
    return f"uart:{device}?baud={board.console.baud}"


def is_url(port: str) -> bool:
    """True for a link URL, False for the name of a serial port."""
    return "://" in port or port.startswith(("uart:", "child:"))


def ask(url: str) -> Hello | None:
    """What the firmware there says about itself; None where it is silent or speaks otherwise."""
    try:
        with Device.open(url, wait_s=HELLO_WAIT_S) as device:
            return device.hello()
    except (LinkTimeout, ProtocolError):
        return None


def probe_of(port: str) -> str:
    """The serial number of the debug probe that brings this port; "" where none does."""
    device = port.removeprefix("uart:").partition("?")[0]
    known = None if is_url(device) else port_named(device)
    return _serial(known) if known else ""


def require_one_probe(board: Board) -> None:
    """Raise LinkError where several probes could be the board's: a tool would take any of them."""
    vendors = {vid for vid, pid in board.console.usb if probe_kind(vid, pid)}
    found = [probe for probe in probes() if probe.vid in vendors or not vendors]
    if len(found) < 2:
        return
    said = ", ".join(
        f"{probe.name} ({', '.join(port.device for port in probe.ports) or 'no serial port'})"
        for probe in found
    )
    serial = next((probe.serial for probe in found if probe.serial), "SERIAL")
    raise LinkError(f"several debug probes are plugged in: {said}", f"choose: --probe {serial}")


def _serial(port: Port) -> str:
    """Not that of a plain USB-to-serial adapter: no tool knows it."""
    return port.serial if probe_kind(port.vid, port.pid, port.description) else ""


def _of_port(board: Board, port: str, probe: str) -> tuple[str, str]:
    url = port if is_url(port) else uart_url(board, port)
    serial = probe_of(port)
    if probe and serial and not uart.same_serial(serial, probe):
        raise LinkError(
            f"{port} belongs to probe {serial}, not to {probe}",
            f"leave --probe out, or give --probe {serial}",
        )
    return url, serial


def _by_answer(board: Board, found: Sequence[Port]) -> Attached:
    """The one of several boards of these USB ids that says it is ours."""
    answers = [(port, _ask_if_free(uart_url(board, port.device))) for port in found]
    ours = [(port, hello) for port, hello in answers if hello and _is_ours(board, hello)]
    if len(ours) == 1:
        port, hello = ours[0]
        return Attached(uart_url(board, port.device), _serial(port), hello)
    said = ", ".join(
        f"{uart.named(port)} {f'is {hello.board}' if hello else 'does not answer'}"
        for port, hello in answers
    )
    raise LinkError(f"several boards are plugged in: {said}", uart.choose_hint(found))


def _ask_if_free(url: str) -> Hello | None:
    """None too where another program holds the port: it is not the one that is looked for."""
    try:
        return ask(url)
    except LinkError:
        return None


def _checked(board: Board, there: Attached, *, is_sure: bool, port: Port | None = None) -> Attached:
    """Refuse another board; note where nothing but a shared USB id speaks for this one."""
    hello = there.hello
    if is_sure:
        return there
    if hello is not None and not _is_ours(board, hello):
        raise BoardError(
            f"the board at {there.url} says it is {hello.board} (chip {hello.chip}), not "
            f"{board.name} (chip {board.chip.name})",
            "plug the right one in or choose it by --port; if it is the right one all the same: "
            f"--probe {there.probe or 'SERIAL'}",
        )
    shared = _sharing(board, port) if port is not None and hello is None else []
    if not shared:
        return there
    note = (
        f"{there.url} does not answer: taken for {board.name} by its USB id, "
        f"which {', '.join(shared)} has too"
    )
    return Attached(there.url, there.probe, None, note)


def _is_ours(board: Board, hello: Hello) -> bool:
    """The chip counts: the same hardware may be known under another board's name."""
    return hello.board == board.name or hello.chip == board.chip.name


def _sharing(board: Board, port: Port) -> list[str]:
    """Other known boards whose adapters have this USB id."""
    try:
        others = list_boards()
    except McuHybridError:
        return []
    ids = (port.vid, port.pid)
    return [b.name for b in others if b.name != board.name and ids in b.console.usb]
