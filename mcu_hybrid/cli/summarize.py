"""mcu-hybrid summarize: layers, parameters, MACs and memory of a model, without compiling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from mcu_hybrid.cli.common import json_option, kib, print_json, short, table

if TYPE_CHECKING:
    from mcu_hybrid.compiler.summary import Summary


@click.command("summarize")
@click.argument("model", type=click.Path(path_type=Path))
@json_option
def command(model: Path, as_json: bool) -> None:
    """Tell what MODEL (a .tflite, or the folder of an export) holds, layer by layer.

    Shapes, parameters, MACs, the memory of its tensors, and everything that build would refuse:
    all layers, not only the first. Nothing is compiled, and the exit code is 0 either way.

    Example: mcu-hybrid summarize model.tflite
    """
    from mcu_hybrid.steps.summarize import summarize_step

    found = summarize_step(model)
    if as_json:
        print_json(found.to_json())
        return
    _print(found)


def _print(found: Summary) -> None:
    refuses = any(layer.refused for layer in found.layers)
    rows = [
        (
            layer.number,
            layer.op,
            short(layer.name),
            _shapes(layer.inputs),
            _shapes(layer.outputs),
            f"{layer.parameters:,}",
            "" if layer.macs is None else f"{layer.macs:,}",
            f"{layer.live_bytes:,}",
            *(["refused" if layer.refused else ""] if refuses else []),
        )
        for layer in found.layers
    ]
    columns = ["#", "operator", "layer", "in", "out", "params", "MACs", "live B"]
    columns += [""] if refuses else []
    size = f"{found.bytes:,} B = {kib(found.bytes)}"
    table(f"{found.model}, {size}", columns, rows, whole=("in", "out"))
    macs = "not known (layers are refused)" if found.macs is None else f"{found.macs:,}"
    click.echo("shapes       of int8 tensors where no type stands")
    click.echo(f"inputs       {'; '.join(found.inputs)}")
    click.echo(f"outputs      {'; '.join(found.outputs)}")
    click.echo(f"parameters   {found.parameters:,}   constants {found.constant_bytes:,} B")
    click.echo(f"MACs         {macs}")
    peak = f"{found.peak_tensor_bytes:,} B = {kib(found.peak_tensor_bytes)}"
    click.echo(
        f"memory       {peak} of tensors at most, in layer {found.peak_layer}; "
        "build overwrites and splits maps, and often takes less"
    )
    for note in found.notes:
        click.echo(f"note         {note}")
    if found.runs:
        click.echo("refused      nothing: mcu-hybrid build takes it")
    for refusal in found.refusals:
        click.echo(f"refused      {refusal}")
    for hint in dict.fromkeys([*(layer.hint for layer in found.layers), found.hint]):
        if hint:
            click.echo(f"next step    {hint}")


def _shapes(tensors: Sequence[str]) -> str:
    return "\n".join(tensor.removesuffix(" int8") for tensor in tensors)
