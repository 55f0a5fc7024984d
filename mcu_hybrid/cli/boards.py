"""mcu-hybrid boards: what there is, and what is running."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from mcu_hybrid.cli.common import board_dirs_option, json_option, print_json, table


@click.command("boards")
@board_dirs_option
@json_option
def command(board_dirs: tuple[Path, ...], as_json: bool) -> None:
    """List the boards: core, clock, memories, flashers, and which virtual ones are running.

    Your own boards: put NAME.toml (and chips/CHIP.toml) into a folder and give it as --boards.

    Example: mcu-hybrid boards --json
    """
    from mcu_hybrid.steps.boards import board_list

    boards = board_list(board_dirs)
    if as_json:
        print_json([one.to_json() for one in boards])
        return
    rows = [
        (
            b.name,
            b.title,
            " + ".join(core.name for core in b.chip.cores),
            "" if b.is_host else f"{b.chip.clock_hz / 1e6:g} MHz",
            f"{b.ram_bytes / 1024:,.0f} KiB" if b.ram_bytes else "",
            f"{b.flash_bytes / 1024:,.0f} KiB" if b.flash_bytes else "",
            ", ".join(b.flashers),
            "virtual" if b.virtual else "real",
            one.url,
        )
        for one in boards
        for b in [one.board]
    ]
    columns = ("board", "title", "core", "clock", "RAM", "flash", "flashers", "kind", "running at")
    table("Boards", columns, rows)
