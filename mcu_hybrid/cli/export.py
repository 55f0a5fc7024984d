"""mcu-hybrid export: to int8 .tflite and ONNX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from mcu_hybrid.cli.build import router_line
from mcu_hybrid.cli.common import (
    input_shape_option,
    json_option,
    kib,
    out_option,
    print_json,
    print_remarks,
    progress,
)
from mcu_hybrid.cli.completion import ROUTER
from mcu_hybrid.cli.train import parse_size

if TYPE_CHECKING:
    from mcu_hybrid.artifacts.export import ExportFacts
    from mcu_hybrid.graph.pixels import PixelForm


def range_options(prefix: str, what: str) -> Callable[[Any], Any]:
    """--input-scale, --mean and --std of a network."""

    def add(command: Any) -> Any:
        for name, kind, text in (
            ("std", str, "One number, or one a channel: 0.229,0.224,0.225."),
            ("mean", str, "One number, or one a channel: 0.485,0.456,0.406."),
            ("input-scale", float, f"{what}, pixel in [0, 1]; 255 for raw pixels."),
        ):
            command = click.option(f"--{prefix}{name}", type=kind, help=text)(command)
        return command

    return add


@click.command("export")
@click.argument("source", type=click.Path(path_type=Path), default="runs/train")
@out_option("runs/export")
@click.option("--coverage", type=float, help="Of the deployed threshold; else the training's.")
@click.option(
    "--router",
    type=ROUTER,
    help="The deployed one; the firmware has every score.  [default: learned, of a file without "
    "one entropy]",
)
@click.option("--data", default="", help="For an .onnx or .tflite: images for ranges, thresholds.")
@click.option("--size", help="Resize images: 32 or 32x48 (height x width).")
@click.option(
    "--global-onnx", type=click.Path(path_type=Path), help="For an .onnx or .tflite: the cloud's."
)
@input_shape_option
@range_options("", "For an .onnx or .tflite: the network was trained on (pixel*scale-mean)/std")
@range_options("global-", "The same of --global-onnx")
@json_option
def command(
    source: Path,
    out: Path,
    coverage: float | None,
    router: str | None,
    data: str,
    size: str | None,
    global_onnx: Path | None,
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...],
    input_scale: float | None,
    mean: str | None,
    std: str | None,
    global_input_scale: float | None,
    global_mean: str | None,
    global_std: str | None,
    as_json: bool,
) -> None:
    """Export SOURCE: a train folder, an ONNX classifier, or a ready int8 .tflite.

    Base and router become one full-integer .tflite (class logits, route score), the global network
    ONNX. The report has float against int8: accuracy, noise per layer, the first layer that hurts.

    Example: mcu-hybrid export runs/train --out runs/export

    Example: mcu-hybrid export net.onnx --data photos.zip --out runs/export

    Example: mcu-hybrid export net.onnx --data photos.zip --mean 0.5 --std 0.5 --router margin
    """
    from mcu_hybrid.steps.export import ExportOptions, export_step

    options = ExportOptions(
        coverage,
        router or "",
        data,
        parse_size(size),
        global_onnx,
        input_shapes=input_shapes,
        pixels=pixels_of(input_scale, mean, std),
        global_pixels=pixels_of(global_input_scale, global_mean, global_std, "global-"),
    )
    with progress(as_json) as on_event:
        facts = export_step(source, out, options, on_event=on_event)
    for sentence in facts.warnings:
        click.echo(f"warning: {sentence}", err=True)
    if as_json:
        print_json({"out": str(out)} | facts.to_json())
        return
    if data:
        print_remarks(facts.data)
    click.echo(f"model.tflite  {facts.tflite_bytes:,} B = {kib(facts.tflite_bytes)}")
    for line in _accuracy_lines(facts):
        click.echo(line)
    if facts.compared and facts.compared.first_that_hurts:
        click.echo(f"first layer that hurts: {facts.compared.first_that_hurts}")
    if facts.routes:
        deployed = facts.routes.deployed
        click.echo(f"threshold     {deployed.threshold} for coverage {deployed.coverage:.0%}")
    for row in facts.routers:
        click.echo(router_line(row, None, None).strip())
    for sentence in facts.notes or ():
        click.echo(f"note          {sentence}")
    click.echo(f"in {out}")


def _accuracy_lines(facts: ExportFacts) -> Iterator[str]:
    """float and int8 on the same images, and the cloud's network."""
    if compared := facts.compared:
        int8, floats = compared.accuracy_int8, compared.accuracy_float
        parts = [f"int8 {int8:.1%}"] if int8 is not None else []
        parts += [f"float {floats:.1%}"] if floats is not None else []
        if parts:
            count = compared.images
            yield f"accuracy      {', '.join(parts)} of {count} images, calibration split"
    if facts.accuracy_global is not None:
        yield f"global        {facts.accuracy_global:.1%}, calibration split"


def pixels_of(
    scale: float | None, mean: str | None, std: str | None, prefix: str = ""
) -> PixelForm | None:
    """The range that the options say; None where none is given."""
    from mcu_hybrid.graph.pixels import PixelForm

    if scale is None and mean is None and std is None:
        return None
    form = PixelForm(
        1.0 if scale is None else scale,
        _numbers(mean, f"{prefix}mean") or (0.0,),
        _numbers(std, f"{prefix}std") or (1.0,),
    )
    return form.check(max(len(form.mean), len(form.std)))


def _numbers(text: str | None, option: str) -> tuple[float, ...]:
    """Comma-separated numbers; a usage error for anything else."""
    try:
        return tuple(float(part) for part in text.split(",")) if text is not None else ()
    except ValueError:
        raise click.BadParameter(
            f"'{text}' is no number, and no list of numbers like 0.485,0.456,0.406",
            param_hint=f"--{option}",
        ) from None
