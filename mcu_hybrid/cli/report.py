"""mcu-hybrid report: one HTML page."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from mcu_hybrid.cli.common import board_dirs_option, json_option, out_option, print_json


@click.command("report")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@out_option("runs/report")
@click.option("--title", default="", help="Headline of the page.")
@board_dirs_option
@json_option
def command(
    folders: tuple[Path, ...], out: Path, title: str, board_dirs: tuple[Path, ...], as_json: bool
) -> None:
    """Make one self-contained HTML page of the steps' folders in FOLDERS (default: runs).

    Curves, the table, confusion matrix, pictures, per-layer bars, the memory map over time, float
    against int8, provenance. Steps are joined by build id and model: what belongs to different
    builds stands under its own heading. A single step's folder makes a page too.

    Example: mcu-hybrid report runs --out runs/report
    """
    from mcu_hybrid.steps.report import report_step

    page = report_step(folders or (Path("runs"),), out, title=title, board_dirs=board_dirs)
    if as_json:
        print_json({"report": str(page)})
    else:
        click.echo(f"report: {page}")
