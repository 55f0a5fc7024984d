"""mcu-hybrid predict: what is on an image, and who says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from mcu_hybrid.cli.common import (
    board_dirs_option,
    input_shape_option,
    is_quiet,
    json_option,
    print_json,
    probe_option,
    progress,
    table,
    virtual_option,
)
from mcu_hybrid.cli.export import pixels_of, range_options

if TYPE_CHECKING:
    from mcu_hybrid.graph.pixels import PixelForm


@click.command("predict")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--cloud", default="", help="URL of a model server: it answers what the base sends.")
@click.option("--model", default="global", show_default=True, help="Its model's name.")
@click.option("--token", envvar="MCU_HYBRID_TOKEN", help="Bearer token of the server.")
@click.option(
    "--deadline",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds per query, in all.",
)
@click.option("--board", default="", help="Ask the board that SOURCE, a build, is for.")
@click.option("--port", default="", help="Likewise, at this serial port or link URL.")
@probe_option
@virtual_option
@input_shape_option
@range_options("", "A bare .tflite was trained on (pixel*scale-mean)/std")
@range_options("cloud-", "A float model of --cloud was trained on (pixel*scale-mean)/std")
@board_dirs_option
@json_option
def command(
    source: Path,
    images: tuple[Path, ...],
    cloud: str,
    model: str,
    token: str | None,
    deadline: float,
    board: str,
    port: str,
    probe: str,
    virtual: bool,
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...],
    board_dirs: tuple[Path, ...],
    as_json: bool,
    **ranges: Any,
) -> None:
    """Classify IMAGES with SOURCE: an export or build folder, or an int8 .tflite.

    IMAGES are image files (made the model's size), or .npy and .npz: uint8 images, or the model's
    own int8 input. The int8 reference answers on this machine, number for number as a board would,
    and a numpy pass of a large network takes seconds. With --cloud the server answers what the
    router gives up; without, the base's answer stands.

    Example: mcu-hybrid predict runs/export cat.jpg dog.jpg --cloud http://127.0.0.1:8080

    Example: mcu-hybrid predict runs/build cat.jpg --board mps2-an500
    """
    from mcu_hybrid.steps.attach import Way
    from mcu_hybrid.steps.predict import PredictOptions, predict_step

    options = PredictOptions(
        cloud=cloud,
        model=model,
        token=token,
        deadline_s=deadline,
        board=board,
        way=Way(port, probe, virtual=virtual),
        pixels=_range(ranges),
        input_shapes=input_shapes,
        cloud_pixels=_range(ranges, "cloud-"),
        board_dirs=board_dirs,
    )
    with progress(as_json) as on_event:
        found = predict_step(source, images, options, on_event=on_event)
    if as_json:
        print_json(found.to_json())
        return
    for note in () if is_quiet() else found.notes:
        click.echo(f"note: {note}", err=True)
    rows = [
        (row.input, row.label, row.name or "-", f"{row.score:.4g}", row.origin, row.reason)
        for row in found.predictions
    ]
    table(str(source), ("input", "class", "name", "score", "answered by", "why"), rows)
    click.echo(f"device: {found.device}; router: {found.router}")


def _range(ranges: Mapping[str, Any], prefix: str = "") -> PixelForm | None:
    """The range that the options of this prefix say."""
    scale, mean, std = (
        ranges[f"{prefix}{name}".replace("-", "_")] for name in ("input_scale", "mean", "std")
    )
    return pixels_of(scale, mean, std, prefix)
