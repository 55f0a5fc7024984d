"""flash: put a build on its board, and read its build id back over the console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_hybrid.board.load import Board, list_boards, load_board
from mcu_hybrid.device.client import Device
from mcu_hybrid.errors import BoardError, InputError, LinkError, LinkTimeout, MissingTool
from mcu_hybrid.events import OnEvent
from mcu_hybrid.flashers import Attach, choose, flash
from mcu_hybrid.link import uart
from mcu_hybrid.machines import qemu, state
from mcu_hybrid.process import Tools
from mcu_hybrid.steps.attach import Attached, attach, is_url, probe_of, require_one_probe, uart_url
from mcu_hybrid.steps.build import Build, open_build
from mcu_hybrid.steps.trust import require_sound
from mcu_hybrid.wire.payloads import Hello

# A board that was just flashed or plugged in may still be starting.
ANSWER_WAIT_S = 8.0


@dataclass(frozen=True)
class Flashed:
    """What was started or written, its commands as run (or planned), and where its console is.

    ``probe`` is the debug probe's serial number ("" where it was left to the tool), ``clock_hz``
    what the board runs at (0 where nothing ran), ``notes`` what the user should know.
    """

    board: str
    flasher: str
    commands: tuple[tuple[str, ...], ...]
    url: str
    build_id: str
    verified: bool
    probe: str = ""
    clock_hz: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Way:
    """How the board is reached; all of it is found where it is not given.

    Args:
        port: serial port or link URL of the console.
        probe: serial number of the debug probe; "" takes that of the port.
        flasher: one of the board's; None takes the first whose tool is installed.
        recover: first unlock the chip, which erases all of it.
    """

    port: str = ""
    probe: str = ""
    flasher: str | None = None
    recover: bool = False


def flash_step(
    build: Build,
    *,
    port: str = "",
    probe: str = "",
    flasher: str | None = None,
    recover: bool = False,
    dry_run: bool = False,
    tools: Tools | None = None,
    on_event: OnEvent | None = None,
) -> Flashed:
    """Flash and verify; a virtual board is left running, like a board on the desk.

    Args:
        port: serial port or link URL; "" finds the board's own.
        probe: serial number of the debug probe; "" takes that of the port.
        flasher: one of the board's; None takes the first whose tool is installed.
        recover: first unlock the chip, which erases all of it.

    Raises:
        MissingTool: no tool of the board is installed.
        BoardError: another board is plugged in.
        LinkTimeout: the tool did its work, and the board does not answer.
        ProtocolError: the board answers with another build id.
    """
    way = Way(port, probe, flasher, recover)
    if not dry_run:
        choose(build.board, tools or Tools(), flasher)  # before a port is opened
    there = _find(build.board, way, dry_run)
    if dry_run:
        attach_by = Attach(there.probe, recover=recover)
        planned = flash(
            build.board, build.image, tools or Tools(True), flasher, dry_run=True, attach=attach_by
        )
        names = (build.board.name, planned.flasher, planned.argv)
        notes = _notes(build.board, there, way)
        return Flashed(*names, "", build.image.build_id, False, there.probe, notes=notes)
    if not build.board.is_virtual:
        return _flash_there(build, there, way, tools or Tools(), on_event)
    # Until it is verified: a second flash of this board waits, and then replaces it.
    with state.locked(build.board.name):
        return _flash_there(build, there, way, tools or Tools(), on_event)


def _flash_there(
    build: Build, there: Attached, way: Way, tools: Tools, on_event: OnEvent | None
) -> Flashed:
    board, build_id = build.board, build.image.build_id
    if not there.probe and not board.is_virtual:
        require_one_probe(board)
    notes = _notes(board, there, way)
    for note in notes:
        if on_event:
            on_event(note, 0, 1)
    attach_by = Attach(there.probe, recover=way.recover)
    done = flash(board, build.image, tools, way.flasher, on_event=on_event, attach=attach_by)
    url = done.url or there.url or console_url(board, way.port, way.probe)
    hello = _verified(build, url)
    notes += tuple(note for note in (slow_clock(board, hello),) if note)
    where = (url, build_id, True, there.probe, hello.clock_hz, notes)
    return Flashed(board.name, done.flasher, done.argv, *where)


def _find(board: Board, way: Way, dry_run: bool) -> Attached:
    """The board on the desk; without a URL where its probe brings no port (or is not there)."""
    if board.is_virtual:
        return Attached("", way.probe, None)
    if dry_run:
        return Attached("", way.probe or (probe_of(way.port) if way.port else ""), None)
    there = Attached("", way.probe, None)
    if way.port or uart.consoles(board.console.usb, way.probe, board.console.interface):
        there = attach(board, way.port, way.probe)
    return there


def _verified(build: Build, url: str) -> Hello:
    """What the board says of itself: this build, and its flash holds what was built."""
    board = build.board
    try:
        with Device.open(url, build_id=build.image.build_id, wait_s=ANSWER_WAIT_S) as device:
            require_sound(build, device)
            return device.hello()
    except LinkTimeout as error:
        if board.is_virtual:
            raise
        raise LinkTimeout(
            f"{board.name} was flashed, and does not answer at {url}",
            "is that its console? name another by --port; or press the board's reset button and "
            "run: mcu-hybrid bench DIR",
        ) from error


def _notes(board: Board, there: Attached, way: Way) -> tuple[str, ...]:
    """What is said before anything is written."""
    lost = f"unlocking erases all of {board.name}: its flash and UICR (pin reset, supply, keys)"
    return tuple(note for note in (there.note, lost if way.recover else "") if note)


def slow_clock(board: Board, hello: Hello) -> str:
    """What to say of a board that could not start its clock; "" where it did."""
    if board.is_virtual or hello.clock_hz == board.chip.clock_hz:
        return ""
    return (
        f"{board.name} runs at {hello.clock_hz / 1e6:g} MHz, not {board.chip.clock_hz / 1e6:g}: "
        "supply, crystal or PLL did not get ready, so it took its internal oscillator"
    )


def console_url(board: Board, port: str = "", probe: str = "") -> str:
    """The link URL of a board's console: that of the running virtual board, or its serial port."""
    if is_url(port):
        return port
    if port:
        return uart_url(board, port)
    if board.is_virtual:
        running = qemu.running(board.name)
        if running is None:
            raise LinkError(
                f"the virtual board {board.name} is not running",
                f"mcu-hybrid flash DIR --board {board.name}",
            )
        return running.url
    return uart_url(board, uart.find_port(board.console.usb, probe, board.console.interface))


def running_url(board: Board, port: str = "", probe: str = "") -> str:
    """The link URL of a board that shall run already: nothing is flashed.

    Raises:
        LinkError: none of these ids is there, several could be meant, or a virtual one stands.
        BoardError: another board answers there.
    """
    if board.is_virtual or _is_stream(port):
        return console_url(board, port)
    return attach(board, port, probe).url


def _is_stream(port: str) -> bool:
    """Whether it names something other than a serial port: nobody knows what is behind it."""
    return is_url(port) and not port.startswith("uart:")


@contextmanager
def on_board(
    build: Build, *, port: str = "", probe: str = "", on_event: OnEvent | None = None
) -> Iterator[Device]:
    """The build running on its board: as it is where it runs already, flashed otherwise.

    A virtual board that runs this build goes on running; otherwise one is started for the time of
    the ``with``, apart from any that runs another build. A virtual one that ``port`` names is taken
    as it is, and so is whatever answers behind a socket.

    Raises:
        LinkError: the port cannot be opened (said before anything is flashed).
        LinkTimeout: the board does not answer, and cannot be flashed from here.
        ProtocolError: the board answers with another build id.
    """
    board, build_id = build.board, build.image.build_id
    if port or not board.is_virtual:
        url = port
        if not board.is_virtual and not _is_stream(port):
            url = _running_at(build, Way(port, probe), on_event)
        url = console_url(board, url)
        with Device.open(url, build_id=build_id, wait_s=ANSWER_WAIT_S) as device:
            note = slow_clock(board, device.hello())
            if note and on_event:
                on_event(note, 0, 1)
            require_sound(build, device)
            yield device
        return
    running = qemu.running(board.name)
    with ExitStack() as stack:
        if running is None or running.build_id != build_id:
            running = stack.enter_context(qemu.private(board, build.image.elf, Tools(), build_id))
        device = stack.enter_context(Device.open(running.url, build_id=build_id))
        require_sound(build, device)
        yield device


def _running_at(build: Build, way: Way, on_event: OnEvent | None) -> str:
    """The console of the real board that runs this build, flashed where it does not yet."""
    there = attach(build.board, way.port, way.probe)
    hello = there.hello
    if hello is not None and hello.build_id == build.image.build_id:
        return there.url
    try:
        _flash_there(build, there, way, Tools(), on_event)
    except MissingTool as error:
        state = f"runs build {hello.build_id}" if hello else "does not answer"
        raise LinkTimeout(
            f"{build.board.name} {state} at {there.url}, and {error.message}",
            f"is it powered, and the port right? To flash it: {error.hint}",
        ) from error
    return there.url


def open_for(folder: Path, board_name: str | None, board_dirs: Sequence[Path] = ()) -> Build:
    """Open a build folder; raises InputError where it is for another board than ``board_name``."""
    build = open_build(folder, board_dirs)
    if board_name and load_board(board_name, board_dirs).name != build.board.name:
        raise InputError(
            f"was built for {build.board.name}, not for {board_name}",
            f"mcu-hybrid build MODEL --board {board_name}",
            path=folder,
        )
    return build


def board_to_stop(folder: Path, board_name: str | None, board_dirs: Sequence[Path] = ()) -> str:
    """The board named, else that of the build; raises InputError where there is neither."""
    if board_name is not None:
        return board_name
    if not (folder / "manifest.json").is_file():
        raise InputError(
            "is no build folder, and no board is named",
            "mcu-hybrid flash BUILD --stop, or: mcu-hybrid flash --board NAME --stop",
            path=folder,
        )
    return open_build(folder, board_dirs).board.name


def stop_board(name: str, board_dirs: Sequence[Path] = ()) -> bool:
    """Stop a virtual board; False where it was not running. Raises BoardError for a real one."""
    board = load_board(name, board_dirs)
    if not board.is_virtual:
        raise BoardError(
            f"{name} is a real board: only virtual ones can be stopped", "see: mcu-hybrid boards"
        )
    return qemu.stop(name)


def board_list(board_dirs: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """All boards as plain data, each with what is running on it (virtual ones) or None."""
    rows = []
    for board in list_boards(board_dirs):
        running = qemu.running(board.name) if board.is_virtual else None
        console = {"url": running.url, "build_id": running.build_id} if running else None
        rows.append(board.to_json() | {"running": console})
    return rows
