"""mcu-hybrid export: to int8 .tflite and ONNX."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from mcu_hybrid.cli.build import router_line
from mcu_hybrid.cli.common import (
    ROUTER_NAMES,
    input_shape_option,
    json_option,
    kib,
    out_option,
    print_json,
    progress,
)
from mcu_hybrid.cli.train import parse_size


@click.command("export")
@click.argument("source", type=click.Path(path_type=Path), default="runs/train")
@out_option("runs/export")
@click.option("--coverage", type=float, help="Of the deployed threshold; else the training's.")
@click.option(
    "--router",
    type=click.Choice(ROUTER_NAMES),
    help="The deployed one; the firmware has every score.  [default: learned, of a file without "
    "one entropy]",
)
@click.option("--data", default="", help="For an .onnx or .tflite: images for ranges, thresholds.")
@click.option("--size", help="Resize images: 32 or 32x48 (height x width).")
@click.option(
    "--global-onnx", type=click.Path(path_type=Path), help="For an .onnx or .tflite: the cloud's."
)
@input_shape_option
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
    as_json: bool,
) -> None:
    """Export SOURCE: a train folder, an ONNX classifier, or a ready int8 .tflite.

    Base and router become one full-integer .tflite (class logits, route score), the global network
    ONNX. The report has float against int8: accuracy, noise per layer, the first layer that hurts.

    Example: mcu-hybrid export runs/train --out runs/export

    Example: mcu-hybrid export net.onnx --data photos.zip --out runs/export
    """
    from mcu_hybrid.pipeline.export import ExportOptions, export_step

    options = ExportOptions(
        coverage,
        router or "",
        data,
        parse_size(size),
        global_onnx,
        input_shapes=input_shapes,
    )
    with progress(as_json) as on_event:
        facts = export_step(source, out, options, on_event=on_event)
    if as_json:
        print_json({"out": str(out)} | facts)
        return
    click.echo(f"model.tflite  {facts['tflite_bytes']:,} B = {kib(facts['tflite_bytes'])}")
    if facts.get("accuracy_int8") is not None:
        lost = facts["accuracy_float"]
        text = f" (float {lost:.1%})" if lost is not None else ""
        click.echo(f"accuracy      int8 {facts['accuracy_int8']:.1%}{text}, calibration split")
    if facts.get("first_that_hurts"):
        click.echo(f"first layer that hurts: {facts['first_that_hurts']}")
    if facts.get("deployed"):
        deployed = facts["deployed"]
        click.echo(f"threshold     {deployed['threshold']} for coverage {deployed['coverage']:.0%}")
    for row in facts["routers"]:
        click.echo(router_line(row, None, None).strip())
    click.echo(f"in {out}")
