"""mcu-hybrid bench: measure a model on a board and compare it with TFLM."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import rich_click as click

from mcu_hybrid.cli.build import router_line, with_engine
from mcu_hybrid.cli.common import (
    board_dirs_option,
    json_option,
    kib,
    print_json,
    probe_option,
    progress,
    short,
    table,
    virtual_option,
)
from mcu_hybrid.errors import McuHybridError
from mcu_hybrid.machines.price import milliseconds, text_of

if TYPE_CHECKING:
    from mcu_hybrid.artifacts.bench import BenchResult, ModelMix
    from mcu_hybrid.steps.build import EngineOptions


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
@probe_option
@virtual_option
@click.option("--out", type=click.Path(path_type=Path), help="Folder to keep bench.json in.")
@click.option(
    "--mix/--no-mix",
    default=None,
    help="Count the executed instructions by class.  [default: where QEMU runs the board]",
)
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
    probe: str,
    virtual: bool,
    out: Path | None,
    mix: bool | None,
    engine: EngineOptions,
    board_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Measure SOURCE (any int8 .tflite, an export or a build folder) on a board, over serial.

    Builds and flashes where needed. Every output is compared with TFLM's host interpreter, bit for
    bit; the figures are those of the second inference. Exit code 1 where an output differs. Where
    TFLM refuses the model or dies of it, "exact" says "not compared" and why (exit code 0).

    Example: mcu-hybrid bench model.tflite --board mps2-an500 --runs 20
    """
    from mcu_hybrid.steps.bench import BenchOptions, bench_step

    options = BenchOptions(runs, inputs, outputs, port, engine, board_dirs, mix, probe, virtual)
    with progress(as_json) as on_event:
        result = bench_step(source, board_name, options, out=out, on_event=on_event)
    if as_json:
        print_json(result.to_json())
    else:
        print_bench(result)
    if result.exact is False:  # None: not compared
        _end_inexact(result)


def _end_inexact(data: BenchResult) -> NoReturn:
    """The result is out already, as JSON too: so the error goes to stderr alone."""
    error = McuHybridError(
        f"{data.differing_outputs:,} output values differ from TFLM's "
        f"({len(data.differing_inputs)} of {data.runs - 1} inputs)",
        "compare with the reference kernels: --kernels ref; if those agree, a fast kernel is wrong",
    )
    click.echo(f"error: {error}", err=True)
    sys.exit(1)


def _print_layers(data: BenchResult, unit: str) -> None:
    """One row per layer."""
    times, cycles = _layer_times(data), _layer_cycles(data)
    cost = [row.ticks if row.instructions is None else row.instructions for row in data.layers]
    rows = [
        (
            number,
            row.op,
            short(row.name),
            f"{row.macs:,}",
            f"{cost[number]:,}",
            f"{cost[number] / row.macs:.2f}" if row.macs else "",
            f"{100 * row.share:.1f} %",
            *times[number : number + 1],
            *cycles[number : number + 1],
        )
        for number, row in enumerate(data.layers)
    ]
    columns = ["#", "operator", "layer", "MACs", unit, "per MAC", "share"]
    if times:
        columns.append("ms" if data.time.latency_kind == "measured" else "ms, estimate (range)")
    columns += ["M4 cycles"] if cycles else []
    table(f"{data.board} ({data.core}), engine {data.engine}", columns, rows)


def print_bench(data: BenchResult) -> None:
    """The layers, the figures, and the instruction mix where there is one."""
    unit = "instructions" if data.instructions is not None else "ticks"
    _print_layers(data, unit)
    total = data.ticks if data.instructions is None else data.instructions
    click.echo(f"{unit:<14}{total:>14,}   ({data.ticks:,} ticks at {data.tick_hz:,} Hz)")
    for name, macs, what in (
        ("MACs", data.macs, "of the model"),
        ("MACs executed", data.macs_executed, "executed, after folding"),
    ):
        if macs:
            click.echo(f"{name:<14}{macs:>14,}   {total / macs:.2f} {unit} per MAC {what}")
    click.echo(f"latency       {text_of(data.time)}")
    click.echo(
        f"RAM           {data.sram_bytes:>12,} B = {kib(data.sram_bytes)} used: arena "
        f"{data.arena_bytes:,}, stack used {data.stack_bytes:,} (measured), other statics "
        f"{data.sram_bytes - data.arena_bytes - data.stack_bytes:,}"
    )
    flash = data.flash
    used = flash.code_bytes + flash.weights_bytes
    click.echo(
        f"flash         {used:>12,} B = {kib(used)}: code "
        f"{flash.code_bytes:,}, weights {flash.weights_bytes:,}"
    )
    for row in data.routers:
        click.echo(router_line(row, row.instructions, row.share).strip())
    click.echo(f"exact         {_exact(data):>14}")
    if data.mix is not None:
        print_mix(data.mix)


def _layer_times(data: BenchResult) -> list[str]:
    """Milliseconds of each layer with the range of an estimate; nothing where there are none."""
    spans = [row.time for row in data.layers]
    if data.time.latency_kind is None:
        return []
    texts = [
        milliseconds(s.latency_us, s.latency_low_us, s.latency_high_us, unit=False)
        for s in spans
        if s.latency_us is not None
    ]
    return texts if len(texts) == len(spans) else []


def _layer_cycles(data: BenchResult) -> list[str]:
    """Cycles per layer by the Cortex-M4's table; nothing where they are not known."""
    layers = (data.mix and data.mix.layers) or ()
    cycles = [layer.mix.m4_cycles for layer in layers]
    return [f"{known.estimate:,}" for known in cycles if known]


def print_mix(mix: ModelMix) -> None:
    """What one inference executes, class by class, and its cycles by the Cortex-M4's table."""
    total = mix.total
    rows = [
        (
            name.replace("_", " "),
            f"{count:,}",
            f"{100 * count / total.instructions:.1f} %",
            f"{total.registers[name]:,}" if name in total.registers else "",
        )
        for name, count in total.classes.items()
        if count
    ]
    click.echo("")
    table("instruction mix", ("class", "instructions", "share", "registers"), rows)
    cycles = total.m4_cycles
    if cycles is not None:
        click.echo(
            f"M4 cycles     {cycles.estimate:>14,}   {cycles.low:,} to {cycles.high:,}, "
            f"{cycles.estimate / total.instructions:.2f} per instruction: {mix.m4_basis}"
        )


def _exact(data: BenchResult) -> str:
    if data.exact is None:
        return f"not compared: {data.not_compared or 'there was no judge'}"
    runs = data.runs - 1
    if data.exact:
        return f"yes, {runs} inputs equal TFLM bit for bit"
    return f"NO: {data.differing_outputs:,} values differ from TFLM over {runs} inputs"
