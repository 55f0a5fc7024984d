"""mcu-hybrid demo: everything once, on embedded data."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from mcu_hybrid.cli.common import board_option, json_option, out_option, print_json, progress


@click.command("demo")
@board_option()
@click.option("--seed", default=0, show_default=True)
@click.option("--link", default="wifi", show_default=True, help="As for run.")
@out_option("runs/demo")
@json_option
def command(board_name: str, seed: int, link: str, out: Path, as_json: bool) -> None:
    """Train, export, build, flash, bench, run and report on handwritten digits.

    Needs no board: mps2-an500 is a Cortex-M7 in QEMU. It is left running, like a board on the desk:
    mcu-hybrid flash --board mps2-an500 --stop ends it.

    Example: mcu-hybrid demo --out runs/demo
    """
    from mcu_hybrid.steps.demo import DemoOptions, demo_step

    options = DemoOptions(board=board_name, seed=seed, link=link)
    with progress(as_json) as on_event:
        result = demo_step(out, options, on_event=on_event)
    if as_json:
        print_json(result.told.to_json())
        return
    from mcu_hybrid.cli.bench import print_bench
    from mcu_hybrid.cli.run import print_run

    print_bench(result.bench)
    click.echo("")
    print_run(result.run)
    click.echo(f"\nreport: {result.told.report}")
    click.echo(
        f"the board is still running; to stop it: mcu-hybrid flash --board {board_name} --stop"
    )
