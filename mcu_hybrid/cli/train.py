"""mcu-hybrid train: base, router and global network from a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

from mcu_hybrid.cli.common import (
    data_remarks,
    is_quiet,
    json_option,
    out_option,
    print_json,
    progress,
)

if TYPE_CHECKING:
    from mcu_hybrid.artifacts.train import Described, EpochTold

_NAMED = 12  # classes, on one line


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``32`` or ``32x48`` (height x width)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) not in (1, 2) or not all(part.isdecimal() and int(part) > 0 for part in parts):
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
@click.option("--size", help="Resize images, of any source: 32 or 32x48 (height x width).")
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
@click.option(
    "--router-inputs",
    type=click.Choice(["top_k", "features"]),
    default="top_k",
    show_default=True,
    help="Entropy and top probabilities, or also the base's features (ahead of its last layer).",
)
@click.option("--router-hidden", default=32, show_default=True, help="Hidden units of the router.")
@click.option(
    "--coverage",
    default=0.8,
    show_default=True,
    help="Share to answer on the device: of the coverage penalty and the deployed threshold.",
)
@click.option(
    "--parts",
    type=click.IntRange(1, 3),
    default=1,
    show_default=True,
    help="Trained in turns: 1 router; 2 router, base; 3 router, global, base.",
)
@click.option("--rounds", default=0, help="Of these turns; 0 = none with one part, else 6.")
@click.option(
    "--folds",
    default=1,
    show_default=True,
    help="Cross-fitting: the router learns from the fit split too, by networks that did not.",
)
@click.option(
    "--qat",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Quantisation-aware training; auto = where int8 loses more than 0.5 points.",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was ended; same options.")
@click.option("--restart", is_flag=True, help="Start anew, though an ended run could go on.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="TOML or JSON file of options; a history.json repeats its run.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other option (mcu_hybrid/training/config.py lists them); goes before the file.",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=0, help="CPU threads; 0 = torch's choice.")
@out_option("runs/train")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    data: str,
    size: str | None,
    out: Path,
    as_json: bool,
    resume: bool,
    restart: bool,
    config_file: Path | None,
    settings: tuple[str, ...],
    **values: Any,
) -> None:
    """Train base and global, then the router on the inputs that only the global gets right.

    The router is trained on a split that base and global have not seen; thresholds come from
    another one, and the test split is only ever measured.

    Example: mcu-hybrid train --data photos.zip --base mynets:small --parts 2 --out runs/train
    """
    from mcu_hybrid.steps.train import train_step
    from mcu_hybrid.training.options import build_config

    given = {
        k: v
        for k, v in values.items()
        if ctx.get_parameter_source(k) is not ParameterSource.DEFAULT
    }
    config = build_config(config_file, given, settings)

    if resume and restart:
        raise click.UsageError("give --resume or --restart, not both")
    height_width = parse_size(size)
    with progress(as_json) as on_event:
        facts = train_step(
            data,
            config,
            out,
            size=height_width,
            resume=resume,
            restart=restart,
            on_event=on_event,
            on_told=None if as_json or is_quiet() else _tell,
        )
    if as_json:
        print_json({"out": str(out)} | facts.to_json())
        return
    room = facts.calibration
    click.echo(f"base    {room.base_accuracy:.1%}   {facts.base_macs:,} MACs")
    click.echo(f"global  {room.global_accuracy:.1%}   {facts.global_macs:,} MACs")
    click.echo(
        f"router  {facts.router_macs:,} MACs; a query is worth it for {room.query_worth:.1%}"
    )
    click.echo(f"(float, calibration split)   {facts.seconds} s   in {out}")
    told = facts.losses
    click.echo(
        f"hybrid  {told.int8.hybrid_accuracy:.1%} at {told.coverage_target:.0%} coverage; "
        f"{_points(told.quantisation_loss.hybrid)} lost to int8, "
        f"{_points(told.routing_loss.int8)} to routing"
    )
    for warning in facts.warnings:
        click.echo(f"warning: {warning}", err=True)


def _tell(told: Described | EpochTold) -> None:
    """What is trained on, before it is; then a line an epoch, on stderr like all progress."""
    from mcu_hybrid.artifacts.train import EpochTold

    if isinstance(told, EpochTold):
        click.echo(epoch_line(told), err=True)
        return
    for line in data_lines(told):
        click.echo(line)


def data_lines(data: Described) -> list[str]:
    """Classes, splits, what was left out and what is worth knowing (training.data.describe)."""
    classes, images = data.classes, data.images
    named = [f"{name} {count}" for name, count in list(classes.items())[:_NAMED]]
    if len(classes) > _NAMED:
        named.append(f"... ({min(classes.values())} to {max(classes.values())} each)")
    height, width, channels = data.shape
    own = ", a test split of its own" if data.own_test_split else ""
    own += ", and one for thresholds" if data.own_calibration_split else ""
    lines = [
        f"data    {sum(classes.values()):,} images {height}x{width}x{channels}{own}",
        f"classes {len(classes)}: {', '.join(named)}",
        "splits  "
        + ", ".join(f"{name} {n:,} ({data.shares[name]:.0%})" for name, n in images.items()),
    ]
    lines = ["".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in lines]
    return lines + data_remarks(data)


def epoch_line(figures: EpochTold) -> str:
    """One epoch (or round) of one network."""
    minutes, seconds = divmod(round(figures.seconds_left), 60)
    return (
        f"  {figures.label:<8}{figures.epoch:>4}/{figures.epochs}  "
        f"loss {figures.loss:.4f}  accuracy {figures.accuracy:6.1%}  "
        f"{minutes}:{seconds:02} left"
    )


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"
