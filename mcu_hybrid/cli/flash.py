"""mcu-hybrid flash: firmware onto a board, or a virtual board started and stopped."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path

import rich_click as click

from mcu_hybrid.cli.build import answers_line
from mcu_hybrid.cli.common import board_dirs_option, json_option, print_json, progress


@click.command("flash")
@click.argument("build_dir", type=click.Path(path_type=Path), default="runs/build")
@click.option("--board", "board_name", help="Must be the board that the build is for.")
@click.option("--port", default="", help="Serial port or link URL; found by its USB id otherwise.")
@click.option("--flasher", help="openocd, pyocd, stlink ...; the first installed one otherwise.")
@click.option("--dry-run", is_flag=True, help="Print the commands, run nothing.")
@click.option("--stop", is_flag=True, help="Stop the virtual board --board.")
@board_dirs_option
@json_option
def command(
    build_dir: Path,
    board_name: str | None,
    port: str,
    flasher: str | None,
    dry_run: bool,
    stop: bool,
    board_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Put the firmware in BUILD_DIR on its board and verify its build id over serial.

    A virtual board is left running, like a board on the desk.

    Example: mcu-hybrid flash runs/build --board stm32h7 --dry-run

    Example: mcu-hybrid flash --board mps2-an500 --stop
    """
    from mcu_hybrid.pipeline.flash import flash_step, open_for, stop_board

    if stop:
        board_name = board_name or "mps2-an500"
        stopped = stop_board(board_name, board_dirs)
        if as_json:
            print_json({"board": board_name, "stopped": stopped})
        else:
            click.echo(f"{board_name}: {'stopped' if stopped else 'was not running'}")
        return
    build = open_for(build_dir, board_name, board_dirs)
    with progress(as_json) as on_event:
        done = flash_step(build, port=port, flasher=flasher, dry_run=dry_run, on_event=on_event)
    if as_json:
        keys = ("known_answers_by", "known_answers_reason")
        print_json(asdict(done) | {key: build.facts.get(key) for key in keys})
        return
    for argv in done.commands:
        click.echo(shlex.join(argv))
    if not dry_run:
        click.echo(f"{done.board} runs build {done.build_id} (verified); console {done.url}")
        click.echo(answers_line(build.facts))
