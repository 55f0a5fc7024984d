"""mcu-hybrid tune: targets instead of thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from mcu_hybrid.cli.common import (
    board_dirs_option,
    json_option,
    print_json,
    probe_option,
    progress,
    table,
)
from mcu_hybrid.cli.export import pixels_of, range_options

if TYPE_CHECKING:
    from mcu_hybrid.artifacts.tune import TuneResult

_TARGETS = (
    ("min-accuracy", "accuracy", "91% or 0.91; of the kept inputs with --setting abstain."),
    ("max-query-rate", "query_rate", "20% or 0.2; the share that abstains, likewise."),
    ("max-latency", "latency", "Mean per input, 400ms or 0.4s."),
    ("max-energy", "energy", "Mean per input, 5mJ."),
    ("max-bytes", "bytes", "Mean sent per input, 300B or 2KB (of 1,024)."),
    ("max-macs", "macs", "Mean per input on the same device, 112M."),
    ("max-instructions", "instructions", "Likewise, 3.5M."),
)


class _Value(click.ParamType):
    """Text with a unit; becomes a target of this metric, or (``bare``) its value."""

    name = "value"

    def __init__(self, metric: str, bare: bool = False) -> None:
        self.metric, self.bare = metric, bare

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from mcu_hybrid.errors import InputError
        from mcu_hybrid.routing.tune.units import CONFIDENCE, METRICS, Target

        metric = CONFIDENCE if self.metric == CONFIDENCE.name else METRICS[self.metric]
        try:
            found = metric.parse(str(value))
        except InputError as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)
        return found if self.bare else Target(metric, found)


class _Power(click.ParamType):
    """Two numbers of mW: computing,asleep."""

    name = "mW,mW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            active, idle = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"'{value}' is not computing,asleep in mW; give 400,100", param, ctx)
        return active, idle


def _with_targets(function: Any) -> Any:
    for option, metric, text in reversed(_TARGETS):
        function = click.option(f"--{option}", metric, type=_Value(metric), help=text)(function)
    return function


@click.command("tune")
@click.argument("source", type=click.Path(path_type=Path), default="runs/run")
@_with_targets
@click.option("--router", default="", help="Whose score decides.  [default: the deployed one's]")
@click.option(
    "--setting",
    type=click.Choice(["edge-cloud", "same-device", "abstain"]),
    default="edge-cloud",
    show_default=True,
    help="same-device: both networks on the board, no link. abstain: no answer instead of a query.",
)
@click.option(
    "--guarantee",
    type=click.Choice(["ltt", "crc", "none"]),
    default="ltt",
    show_default=True,
    help="Of an accuracy target. ltt: with --confidence (learn-then-test). crc: on average over "
    "calibrations (conformal risk control). none: the expected value.",
)
@click.option(
    "--confidence",
    default="95%",
    show_default=True,
    type=_Value("confidence", bare=True),
    help="Of all bounds together.",
)
@click.option(
    "--strict", is_flag=True, help="Budgets too hold with the confidence, not on average."
)
@click.option("--link", help="As in run; by default the run's own.")
@click.option(
    "--payload",
    default="",
    help="What a query sends: raw, png, jpeg, jpeg:60, features, logits.  [default: as the run "
    "measured it]",
)
@click.option("--power", type=_Power(), help="The board's mW computing,asleep.")
@click.option("--bench", type=click.Path(path_type=Path), help="Bench folder: the device's time.")
@click.option(
    "--global-bench",
    type=click.Path(path_type=Path),
    help="Likewise of the global network, for the same device.",
)
@click.option("--global-macs", type=_Value("macs", bare=True), help="Its MACs, 215M.")
@click.option("--export", type=click.Path(path_type=Path), help="Where the build's is gone.")
@click.option("--cloud", default="", help="Model server, where SOURCE is no run folder.")
@click.option("--model", "cloud_model", default="global", show_default=True)
@click.option("--token", envvar="MCU_HYBRID_TOKEN", help="Bearer token of the server.")
@range_options("cloud-", "A float model of --cloud was trained on (pixel*scale-mean)/std")
@click.option("--board", help="Must be the run's; for an export: whose power counts.")
@click.option("--apply", is_flag=True, help="Set the running board; until its next reset.")
@click.option("--port", default="", help="Serial port or link URL of the board.")
@probe_option
@click.option("--out", type=click.Path(path_type=Path), default="runs/tune", show_default=True)
@board_dirs_option
@json_option
def command(
    source: Path,
    router: str,
    guarantee: str,
    confidence: float,
    strict: bool,
    link: str | None,
    apply: bool,
    port: str,
    probe: str,
    out: Path,
    as_json: bool,
    **values: Any,
) -> None:
    """Find the threshold that meets the targets, on the calibration split of SOURCE.

    SOURCE is a run folder (the board's own answers), or a build or export folder (the int8
    reference answers, number for number the same). Budgets are used up on average; an accuracy is
    reached with as few queries as possible. What cannot be met names what can.

    Example: mcu-hybrid tune runs/run --min-accuracy 91% --max-latency 400ms --apply

    Example: mcu-hybrid tune runs/run --max-query-rate 20% --out runs/tune, then

    mcu-hybrid build runs/export --tuned runs/tune
    """
    from mcu_hybrid.routing.link_costs import link_model
    from mcu_hybrid.steps.tune import TuneOptions, tune_step
    from mcu_hybrid.steps.tune_inputs import CostOptions

    targets = [found for _, name, _ in _TARGETS if (found := values.pop(name)) is not None]
    if not targets:
        raise click.UsageError("give a target, for example --min-accuracy 91%")
    scale, mean, std = (values.pop(f"cloud_{name}") for name in ("input_scale", "mean", "std"))
    values["cloud_pixels"] = pixels_of(scale, mean, std, "cloud-")
    costs = CostOptions(link=link_model(link) if link else None, **values)
    options = TuneOptions(targets, router, guarantee, confidence, strict, apply, port, costs, probe)
    with progress(as_json) as on_event:
        result = tune_step(source, options, out=out, on_event=on_event)
    if as_json:
        print_json({"out": str(out)} | {k: v for k, v in result.to_json().items() if k != "curve"})
        _warn(result)
    else:
        print_tune(result, out)


def print_tune(result: TuneResult, out: Path) -> None:
    """The targets, everything else that the threshold brings, and what it rests on."""
    from mcu_hybrid.routing.tune.table import COLUMNS, table_rows

    where = f"{result.calibration_samples} calibration images, {result.answers_of}"
    table(f"{result.setting}: {where}", COLUMNS, table_rows(result))
    click.echo(
        f"threshold {result.threshold} of router {result.router}: keeps "
        f"{100 * result.coverage:.1f} % (accuracy is {result.accuracy_of})"
    )
    for note in result.notes:
        click.echo(f"note: {note}")
    if result.applied:
        click.echo(
            f"applied to {result.board} at {result.applied.url}, read back; until its next reset"
        )
    _warn(result)
    click.echo(f"in {out}; as the default at reset: mcu-hybrid build EXPORT --tuned {out}")


def _warn(result: TuneResult) -> None:
    for sentence in result.warnings:
        click.echo(f"warning: {sentence}", err=True)
