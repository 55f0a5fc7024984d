"""mcu-hybrid doctor: what is installed, and the command that mends what is not."""

from __future__ import annotations

from dataclasses import asdict

import rich_click as click

from mcu_hybrid.cli.common import json_option, print_json


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Check compiler, emulator, flashing tools, Python packages, serial ports and permissions.

    Each thing that is missing comes with the exact command that mends it.

    Example: mcu-hybrid doctor
    """
    from mcu_hybrid.harness.doctor import examine

    checks = examine()
    if as_json:
        print_json([asdict(check) for check in checks])
        return
    for check in checks:
        mark = click.style("ok  ", fg="green") if check.ok else click.style("miss", fg="yellow")
        click.echo(f"{mark}  {check.name:<26} {check.found}")
        if not check.ok and check.fix:
            click.echo(f"      mend: {check.fix}")
