"""flash: put a build on its board, and read its build id back over the console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from mcu_hybrid.board.load import Board
from mcu_hybrid.device.client import Device
from mcu_hybrid.errors import BoardError, LinkError, LinkTimeout, MissingTool
from mcu_hybrid.events import OnEvent
from mcu_hybrid.flashers import Attach, choose, flash, not_flashed_with
from mcu_hybrid.link import uart
from mcu_hybrid.machines import Machine, machine_of, state
from mcu_hybrid.machines.program import free_port
from mcu_hybrid.process import Tools
from mcu_hybrid.steps.attach import (
    HERE,
    Attached,
    Way,
    attach,
    is_url,
    probe_of,
    require_one_probe,
    uart_url,
)
from mcu_hybrid.steps.build import Build
from mcu_hybrid.steps.trust import require_sound
from mcu_hybrid.wire.payloads import Hello

# A board that was just flashed or plugged in may still be starting, and its port come up.
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


def flash_step(
    build: Build,
    way: Way = HERE,
    *,
    dry_run: bool = False,
    tools: Tools | None = None,
    on_event: OnEvent | None = None,
) -> Flashed:
    """Flash and verify; what runs on a machine is left running, like a board on the desk.

    Raises:
        MissingTool: no tool of the board, or not the machine's program, is installed.
        BoardError: another board is plugged in, or no machine runs this one.
        LinkTimeout: the tool did its work, and the board does not answer.
        ProtocolError: the board answers with another build id.
    """
    tools = tools or Tools(dry_run)
    machine = machine_for(build.board, way, tools)
    if machine is not None:
        return _start_on(machine, build, dry_run, tools, on_event)
    if dry_run:
        there = Attached("", way.probe or (probe_of(way.port) if way.port else ""), None)
        by = Attach(there.probe, recover=way.recover)
        planned = flash(build.board, build.image, tools, way.flasher, dry_run=True, attach=by)
        names = (build.board.name, planned.flasher, planned.argv)
        notes = _notes(build.board, there, way)
        return Flashed(*names, "", build.image.build_id, False, there.probe, notes=notes)
    choose(build.board, tools, way.flasher)  # before a port is opened
    return _flash_there(build, _find(build.board, way), way, tools, on_event)


def require_tools(board: Board, way: Way = HERE) -> None:
    """Raise MissingTool where nothing that gets an image to run there is installed."""
    tools = Tools()
    machine = machine_for(board, way, tools)
    if machine is None:
        choose(board, tools, way.flasher)
    elif machine.tool:
        tools.require(machine.tool)


def machine_for(board: Board, way: Way, tools: Tools) -> Machine | None:
    """What runs the image in the board's place; None where a real board itself is meant.

    Raises:
        BoardError: no machine runs it, or ``way`` has what only a real board has.
    """
    if not (board.is_virtual or way.virtual or way.machine):
        return None
    if way.flasher is not None and way.flasher not in board.flashers:
        raise not_flashed_with(board, way.flasher)
    who = board.name if board.is_virtual else f"{board.name} on a machine"
    if way.recover:
        raise BoardError(f"{who} has no lock that --recover could open", "leave --recover out")
    if way.probe and board.is_virtual:
        raise BoardError(f"{board.name} is a virtual board: it has no probe", "leave --probe out")
    for option in () if board.is_virtual else ("port", "probe", "flasher"):
        if getattr(way, option):
            raise BoardError(f"{who} has no {option}", f"leave --{option} out, or --virtual")
    return machine_of(board, tools, way.machine or way.flasher or "")


def _start_on(
    machine: Machine, build: Build, dry_run: bool, tools: Tools, on_event: OnEvent | None
) -> Flashed:
    board, elf, build_id = build.board, build.image.elf, build.image.build_id
    if dry_run:
        planned = (machine.command(board, elf, free_port()).line,)
        return Flashed(board.name, machine.name, planned, "", build_id, False)
    build.image.check_fits(board)
    # Until it is verified: a second flash of this board waits, and then replaces it.
    with state.locked(board.name):
        running = machine.start(board, elf, tools, build_id)
        if on_event:
            on_event(machine.name, 1, 1)
        hello = _ask(build, running.url)
    lines = (machine.command(board, elf, running.port).line,)
    where = (running.url, build_id, True, "", hello.clock_hz)
    return Flashed(board.name, machine.name, lines, *where)


def _flash_there(
    build: Build, there: Attached, way: Way, tools: Tools, on_event: OnEvent | None
) -> Flashed:
    board, build_id = build.board, build.image.build_id
    if not there.probe:
        require_one_probe(board)
    notes = _notes(board, there, way)
    for note in notes:
        if on_event:
            on_event(note, 0, 1)
    attach_by = Attach(there.probe, recover=way.recover)
    done = flash(board, build.image, tools, way.flasher, on_event=on_event, attach=attach_by)
    url = there.url or console_url(board, way.port, way.probe)
    hello = _verified(build, url)
    notes += tuple(note for note in (slow_clock(board, hello),) if note)
    where = (url, build_id, True, there.probe, hello.clock_hz, notes)
    return Flashed(board.name, done.flasher, done.argv, *where)


def _find(board: Board, way: Way) -> Attached:
    """The board on the desk; without a URL where its probe brings no port (or is not there)."""
    if way.port or uart.consoles(board.console.usb, way.probe, board.console.interface):
        return attach(board, way.port, way.probe)
    return Attached("", way.probe, None)


def _ask(build: Build, url: str) -> Hello:
    """What the board says of itself: this build, and its flash holds what was built."""
    with Device.open(url, build_id=build.image.build_id, wait_s=ANSWER_WAIT_S) as device:
        require_sound(build, device)
        return device.hello()


def _verified(build: Build, url: str) -> Hello:
    """The same of a real board, whose silence has other reasons."""
    try:
        return _ask(build, url)
    except LinkTimeout as error:
        raise LinkTimeout(
            f"{build.board.name} was flashed, and does not answer at {url}",
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
        running = state.running(board.name)
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
def on_board(build: Build, way: Way = HERE, *, on_event: OnEvent | None = None) -> Iterator[Device]:
    """The build running on its board: as it is where it runs already, flashed otherwise.

    A machine that runs this build goes on running; otherwise one is started for the time of the
    ``with``, apart from any that runs another build. A virtual board that ``way.port`` names is
    taken as it is, and so is whatever answers behind a socket.

    Raises:
        BoardError: no machine runs it.
        LinkError: the port cannot be opened (said before anything is flashed).
        LinkTimeout: the board does not answer, and cannot be flashed from here.
        ProtocolError: the board answers with another build id.
    """
    board, build_id, tools = build.board, build.image.build_id, Tools()
    if board.is_virtual:
        way = replace(way, probe="")  # of no use there
    machine = None if board.is_virtual and way.port else machine_for(board, way, tools)
    if machine is None:
        url = way.port
        if not board.is_virtual and not _is_stream(url):
            url = _running_at(build, way, on_event)
        url = console_url(board, url)
        with Device.open(url, build_id=build_id, wait_s=ANSWER_WAIT_S) as device:
            note = slow_clock(board, device.hello())
            if note and on_event:
                on_event(note, 0, 1)
            require_sound(build, device)
            yield device
        return
    running = state.running(board.name)
    with ExitStack() as stack:
        if running is None or running.build_id != build_id:
            running = stack.enter_context(machine.private(board, build.image.elf, tools, build_id))
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
