"""mcu-hybrid doctor: what is installed, and the command that mends what is not."""

from __future__ import annotations

import sys
from dataclasses import asdict

import rich_click as click

from mcu_hybrid.cli.common import json_option, print_json


@click.command("doctor")
@click.option("--strict", is_flag=True, help="Exit with 1 where anything is missing.")
@json_option
def command(strict: bool, as_json: bool) -> None:
    """Check compiler, emulator, flashing tools, Python packages, serial ports and permissions.

    Each thing that is missing comes with the exact command that mends it. Debug probes are listed
    with their serial numbers, ports and boards, and each board with the tools that can flash it.

    Example: mcu-hybrid doctor
    """
    from mcu_hybrid.doctor.checks import examine

    checks = examine()
    if as_json:
        print_json([asdict(check) for check in checks])
    for check in [] if as_json else checks:
        mark = click.style("ok  ", fg="green") if check.ok else click.style("miss", fg="yellow")
        click.echo(f"{mark}  {check.name:<26} {check.found}")
        if not check.ok and check.fix:
            click.echo(f"      mend: {check.fix}")
    if strict and not all(check.ok for check in checks):
        sys.exit(1)
