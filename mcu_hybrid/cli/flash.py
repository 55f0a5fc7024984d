"""mcu-hybrid flash: firmware onto a board, or a virtual board started and stopped."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path

import rich_click as click

from mcu_hybrid.cli.build import answers_line
from mcu_hybrid.cli.common import (
    board_dirs_option,
    json_option,
    print_json,
    probe_option,
    progress,
    virtual_option,
)


@click.command("flash")
@click.argument("build_dir", type=click.Path(path_type=Path), default="runs/build")
@click.option("--board", "board_name", help="Must be the board that the build is for.")
@click.option("--port", default="", help="Serial port or link URL; found by its USB id otherwise.")
@probe_option
@click.option("--flasher", help="openocd, pyocd, stlink ...; the first installed one otherwise.")
@click.option(
    "--recover", is_flag=True, help="Unlock a locked chip first: erases all of its flash and UICR."
)
@virtual_option
@click.option("--machine", default="", help="Run it on this machine: qemu, native, your own.")
@click.option("--dry-run", is_flag=True, help="Print the commands, run nothing.")
@click.option("--stop", is_flag=True, help="Stop the virtual board, --board or that of BUILD_DIR.")
@board_dirs_option
@json_option
def command(
    build_dir: Path,
    board_name: str | None,
    port: str,
    probe: str,
    flasher: str | None,
    recover: bool,
    virtual: bool,
    machine: str,
    dry_run: bool,
    stop: bool,
    board_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Put the firmware in BUILD_DIR on its board and verify its build id over serial.

    A virtual board, or a real one's image on a machine (--virtual), is left running, like a board
    on the desk.

    Example: mcu-hybrid flash runs/build --board stm32h7 --dry-run

    Example: mcu-hybrid flash runs/build --probe 0669FF303430484257142935

    Example: mcu-hybrid flash runs/build --stop
    """
    from mcu_hybrid.steps.attach import Way
    from mcu_hybrid.steps.boards import board_to_stop, open_for, stop_board
    from mcu_hybrid.steps.flash import flash_step

    if stop:
        name = board_to_stop(build_dir, board_name, board_dirs)
        stopped = stop_board(name, board_dirs)
        if as_json:
            print_json({"board": name, "stopped": stopped})
        else:
            click.echo(f"{name}: {'stopped' if stopped else 'was not running'}")
        return
    build = open_for(build_dir, board_name, board_dirs)
    with progress(as_json) as on_event:
        way = Way(port, probe, flasher, recover, virtual, machine)
        done = flash_step(build, way, dry_run=dry_run, on_event=on_event)
    if as_json:
        by, reason = build.facts.known_answers_by, build.facts.known_answers_reason
        print_json(asdict(done) | {"known_answers_by": by, "known_answers_reason": reason})
        return
    for argv in done.commands:
        click.echo(shlex.join(argv))
    for note in done.notes:
        click.echo(f"note: {note}", err=True)
    if not dry_run:
        click.echo(f"{done.board} runs build {done.build_id} (verified); console {done.url}")
        click.echo(answers_line(build.facts))
