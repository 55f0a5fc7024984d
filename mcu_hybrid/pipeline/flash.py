"""flash: put a build on its board, and read its build id back over the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_hybrid.board import Board, list_boards, load_board
from mcu_hybrid.emulate import qemu, state
from mcu_hybrid.errors import BoardError, InputError, LinkError, LinkTimeout, ProtocolError
from mcu_hybrid.flashers import flash
from mcu_hybrid.harness.device import Device
from mcu_hybrid.link.uart import find_port
from mcu_hybrid.pipeline.build import Build, open_build
from mcu_hybrid.process import Tools

OnEvent = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Flashed:
    """What was started or written, its commands as run (or planned), and where its console is."""

    board: str
    flasher: str
    commands: tuple[tuple[str, ...], ...]
    url: str
    build_id: str
    verified: bool


def flash_step(
    build: Build,
    *,
    port: str = "",
    flasher: str | None = None,
    dry_run: bool = False,
    tools: Tools | None = None,
    on_event: OnEvent | None = None,
) -> Flashed:
    """Flash and verify; a virtual board is left running, like a board on the desk.

    Args:
        port: serial port or link URL; "" finds the board's own.
        flasher: one of the board's; None takes the first whose tool is installed.

    Raises:
        MissingTool: no tool of the board is installed.
        ProtocolError: the board answers with another build id.
    """
    board = build.board
    if board.is_virtual and not dry_run:
        # Until it is verified: a second flash of this board waits, and then replaces it.
        with state.locked(board.name):
            return _flash(build, port, flasher, dry_run, tools, on_event)
    return _flash(build, port, flasher, dry_run, tools, on_event)


def _flash(
    build: Build,
    port: str,
    flasher: str | None,
    dry_run: bool,
    tools: Tools | None,
    on_event: OnEvent | None,
) -> Flashed:
    board = build.board
    done = flash(
        board, build.image, tools or Tools(dry_run), flasher, dry_run=dry_run, on_event=on_event
    )
    if dry_run:
        return Flashed(board.name, done.flasher, done.argv, "", build.image.build_id, False)
    url = done.url or console_url(board, port)
    with Device.open(url, build_id=build.image.build_id):
        pass
    return Flashed(board.name, done.flasher, done.argv, url, build.image.build_id, True)


def console_url(board: Board, port: str = "") -> str:
    """The link URL of a board's console: that of the running virtual board, or its serial port."""
    if "://" in port or port.startswith(("uart:", "child:")):
        return port
    if port:
        return f"uart:{port}?baud={board.console.baud}"
    if board.is_virtual:
        running = qemu.running(board.name)
        if running is None:
            raise LinkError(
                f"the virtual board {board.name} is not running",
                f"mcu-hybrid flash DIR --board {board.name}",
            )
        return running.url
    return f"uart:{find_port(board.console.usb)}?baud={board.console.baud}"


@contextmanager
def on_board(build: Build, *, port: str = "", on_event: OnEvent | None = None) -> Iterator[Device]:
    """The build running on its board: as it is where it runs already, flashed otherwise.

    A virtual board that runs this build goes on running; otherwise one is started for the time of
    the ``with``, apart from any that runs another build. A virtual one that ``port`` names is taken
    as it is.

    Raises:
        LinkError: the port cannot be opened (said before anything is flashed).
        ProtocolError: the board answers with another build id.
    """
    board, build_id = build.board, build.image.build_id
    if port or not board.is_virtual:
        if not board.is_virtual and not _runs_already(build, port):
            flash_step(build, port=port, on_event=on_event)
        with Device.open(console_url(board, port), build_id=build_id) as device:
            yield device
        return
    running = qemu.running(board.name)
    with ExitStack() as stack:
        if running is None or running.build_id != build_id:
            running = stack.enter_context(qemu.private(board, build.image.elf, Tools(), build_id))
        yield stack.enter_context(Device.open(running.url, build_id=build_id))


def _runs_already(build: Build, port: str) -> bool:
    """False where the board is silent or runs another build; LinkError where the port is bad."""
    try:
        with Device.open(console_url(build.board, port), wait_s=1.0) as device:
            return device.hello().build_id == build.image.build_id
    except (LinkTimeout, ProtocolError):
        return False


def open_for(folder: Path, board_name: str | None, board_dirs: Sequence[Path] = ()) -> Build:
    """Open a build folder; raises InputError where it is for another board than ``board_name``."""
    build = open_build(folder, board_dirs)
    if board_name not in (None, build.board.name):
        raise InputError(
            f"was built for {build.board.name}, not for {board_name}",
            f"mcu-hybrid build MODEL --board {board_name}",
            path=folder,
        )
    return build


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
