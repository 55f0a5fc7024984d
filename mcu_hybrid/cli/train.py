"""mcu-hybrid train: base, router and global network from a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from mcu_hybrid.cli.common import json_option, out_option, print_json, progress


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``32`` or ``32x48`` (height x width)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) not in (1, 2) or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise click.BadParameter("give one number, or height x width: 32x48", param_hint="--size")
    return int(parts[0]), int(parts[-1])


@click.command("train")
@click.option(
    "--data",
    default="digits",
    show_default=True,
    help="digits, an image folder (one folder per class), a zip of one, an .npz with x and y, "
    "or module:function.",
)
@click.option("--size", help="Resize images: 32 or 32x48 (height x width).")
@click.option(
    "--base", default="reference", show_default=True, help="module:function -> nn.Module."
)
@click.option("--base-weights", default="", help="State dict of the base; it is not trained then.")
@click.option("--global", "global_", default="reference", show_default=True, help="Likewise.")
@click.option("--global-weights", default="", help="State dict of the global network.")
@click.option("--base-width", default=0, help="Channels of the reference base; 0 = by the data.")
@click.option("--global-width", default=0, help="Channels of the reference global network.")
@click.option("--base-epochs", default=0, help="0 = by the data.")
@click.option("--global-epochs", default=0, help="0 = by the data.")
@click.option("--router-hidden", default=32, show_default=True, help="Hidden units of the router.")
@click.option(
    "--coverage",
    default=0.8,
    show_default=True,
    help="Share to answer on the device: of the coverage penalty and the deployed threshold.",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=0, help="CPU threads; 0 = torch's choice.")
@out_option("runs/train")
@json_option
def command(data: str, size: str | None, out: Path, as_json: bool, **values: Any) -> None:
    """Train base and global, then the router on the inputs that only the global gets right.

    The router is trained on a split that base and global have not seen; thresholds come from
    another one, and the test split is only ever measured.

    Example: mcu-hybrid train --data photos.zip --base mynets:small --out runs/train
    """
    from mcu_hybrid.pipeline.train import train_step
    from mcu_hybrid.training.config import HybridConfig

    height_width = parse_size(size)
    with progress(as_json) as on_event:
        facts = train_step(data, HybridConfig(**values), out, size=height_width, on_event=on_event)
    if as_json:
        print_json({"out": str(out)} | facts)
        return
    room = facts["calibration"]
    click.echo(f"base    {room['base_accuracy']:.1%}   {facts['base_macs']:,} MACs")
    click.echo(f"global  {room['global_accuracy']:.1%}   {facts['global_macs']:,} MACs")
    click.echo(
        f"router  {facts['router_macs']:,} MACs; a query is worth it for {room['query_worth']:.1%}"
    )
    click.echo(f"(float, calibration split)   {facts['seconds']} s   in {out}")
