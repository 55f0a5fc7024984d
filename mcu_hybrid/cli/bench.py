"""mcu-hybrid bench: measure a model on a board and compare it with TFLM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from mcu_hybrid.cli.build import with_engine
from mcu_hybrid.cli.common import board_dirs_option, json_option, print_json, progress, table

if TYPE_CHECKING:
    from mcu_hybrid.pipeline.build import EngineOptions


@click.command("bench")
@click.argument("source", type=click.Path(path_type=Path), default="runs/build")
@click.option(
    "--board", "board_name", help="Where SOURCE is no build folder.  [default: mps2-an500]"
)
@click.option(
    "--runs",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="Inferences with different inputs.",
)
@click.option(
    "--input",
    "inputs",
    type=click.Path(path_type=Path),
    help="Raw int8: one or several inputs, one behind the other.",
)
@click.option(
    "--output", "outputs", type=click.Path(path_type=Path), help="Write all outputs, raw int8."
)
@click.option("--port", default="", help="Serial port or link URL of the board.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to keep bench.json in.")
@with_engine
@board_dirs_option
@json_option
def command(
    source: Path,
    board_name: str | None,
    runs: int,
    inputs: Path | None,
    outputs: Path | None,
    port: str,
    out: Path | None,
    engine: EngineOptions,
    board_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Measure SOURCE (any int8 .tflite, an export or a build folder) on a board, over serial.

    Builds and flashes where needed. Every output is compared with TFLM's host interpreter, bit for
    bit; the figures are those of the second inference.

    Example: mcu-hybrid bench model.tflite --board mps2-an500 --runs 20
    """
    from mcu_hybrid.pipeline.bench import BenchOptions, bench_step

    options = BenchOptions(runs, inputs, outputs, port, engine, board_dirs)
    with progress(as_json) as on_event:
        result = bench_step(source, board_name, options, out=out, on_event=on_event)
    data = result.to_json()
    if as_json:
        print_json(data)
    else:
        print_bench(data)


def print_bench(data: dict) -> None:
    """The figures, then one row per layer."""
    counted = data["instructions"] is not None
    unit = "instructions" if counted else "ticks"
    rows = [
        (
            number,
            row["op"],
            row["name"],
            f"{row['macs']:,}",
            f"{row[unit]:,}",
            f"{row[unit] / row['macs']:.2f}" if row["macs"] else "",
            f"{100 * row['share']:.1f} %",
        )
        for number, row in enumerate(data["layers"])
    ]
    columns = ("#", "operator", "layer", "MACs", unit, "per MAC", "share")
    table(f"{data['board']} ({data['core']}), engine {data['engine']}", columns, rows)
    total = data[unit]
    click.echo(f"{unit:<14}{total:>14,}   ({data['ticks']:,} ticks at {data['tick_hz']:,} Hz)")
    if data["macs"]:
        click.echo(f"MACs          {data['macs']:>14,}   {total / data['macs']:.2f} {unit} per MAC")
    if data["latency_us"] is not None:
        click.echo(
            f"latency       {data['latency_us'] / 1000:>11,.2f} ms   {data['latency_basis']}"
        )
    else:
        click.echo(f"latency                    -   {data['latency_basis']}")
    click.echo(
        f"RAM           {data['sram_bytes']:>12,} B   arena {data['arena_bytes']:,}, stack used "
        f"{data['stack_bytes']:,}"
    )
    flash = data["flash"]
    click.echo(
        f"flash         {sum(flash.values()):>12,} B   code {flash['code_bytes']:,}, weights "
        f"{flash['weights_bytes']:,}"
    )
    click.echo(f"exact         {_exact(data):>14}")


def _exact(data: dict) -> str:
    if data["exact"] is None:
        return "not compared"
    runs = data["runs"] - 1
    if data["exact"]:
        return f"yes, {runs} inputs equal TFLM bit for bit"
    return f"NO: {data['differing_outputs']:,} values differ from TFLM over {runs} inputs"
