"""mcu-hybrid run: the board answers, the cloud helps, the table shows what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from mcu_hybrid.artifacts.times import Latency
from mcu_hybrid.cli.common import (
    board_dirs_option,
    json_option,
    print_json,
    print_remarks,
    probe_option,
    progress,
    table,
    virtual_option,
)
from mcu_hybrid.cli.completion import ROUTER
from mcu_hybrid.cli.export import pixels_of, range_options
from mcu_hybrid.cli.train import parse_size
from mcu_hybrid.machines.price import text_of

if TYPE_CHECKING:
    from mcu_hybrid.artifacts.run import RunResult


@click.command("run")
@click.argument("build_dir", type=click.Path(path_type=Path), default="runs/build")
@click.option("--data", help="Another data set; by default the test split of the training's own.")
@click.option("--size", help="Resize its images: 32 or 32x48; by default as in training.")
@click.option(
    "--export", "export_dir", type=click.Path(path_type=Path), help="Where the build's is gone."
)
@click.option("--cloud", default="", help="URL of an Open Inference Protocol v2 server.")
@click.option("--model", default="global", show_default=True, help="Its model's name.")
@click.option("--token", envvar="MCU_HYBRID_TOKEN", help="Bearer token of the server.")
@range_options("cloud-", "A float model of --cloud was trained on (pixel*scale-mean)/std")
@click.option(
    "--deadline",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds per query, in all.",
)
@click.option(
    "--link",
    default="wifi",
    show_default=True,
    help="uart, ble, wifi, lte, lora, paper; or rtt=50,up=1e6,down=5e6 (ms, bit/s).",
)
@click.option(
    "--limit", default=0, type=click.IntRange(min=0), help="Only the first N inputs; 0 = all."
)
@click.option("--check/--no-check", default=True, help="Compare every output with TFLM.")
@click.option(
    "--router",
    type=ROUTER,
    help="Decides on the board, at the build's coverage.  [default: the build's own]",
)
@click.option(
    "--calibration/--no-calibration",
    default=True,
    help="Stream the calibration split too and keep its answers, for tune.",
)
@click.option("--port", default="", help="Serial port or link URL of the board.")
@probe_option
@virtual_option
@click.option("--resume", is_flag=True, help="Go on with a run that was ended; same options.")
@click.option("--restart", is_flag=True, help="Start anew, though an ended run could go on.")
@click.option("--out", type=click.Path(path_type=Path), default="runs/run", show_default=True)
@board_dirs_option
@json_option
def command(
    build_dir: Path,
    data: str | None,
    size: str | None,
    export_dir: Path | None,
    cloud: str,
    model: str,
    token: str | None,
    cloud_input_scale: float | None,
    cloud_mean: str | None,
    cloud_std: str | None,
    deadline: float,
    link: str,
    limit: int,
    check: bool,
    router: str | None,
    calibration: bool,
    port: str,
    probe: str,
    virtual: bool,
    resume: bool,
    restart: bool,
    out: Path,
    board_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Stream a test split through the board in BUILD_DIR and send what it queries to the cloud.

    Without --cloud the export's global model is served for the time of the run (as serve does).
    The decision is made on the board; thresholds come from the calibration split.

    Answers are kept as they come, so a run that was ended (a pulled cable, a kill) goes on with
    --resume. Where the cloud does not answer, the board's own answer stands and the reason is
    counted; --resume then asks for what is missing.

    Example: mcu-hybrid run runs/build --cloud http://127.0.0.1:8080 --model global --link lte
    """
    from mcu_hybrid import extras
    from mcu_hybrid.manifest import check_target
    from mcu_hybrid.routing.link_costs import link_model
    from mcu_hybrid.steps.build import open_build
    from mcu_hybrid.steps.cloud import RunOptions, cloud_for
    from mcu_hybrid.steps.journal import check_ended_run
    from mcu_hybrid.steps.run import require_hybrid, run_step
    from mcu_hybrid.steps.split import calibration_split, export_of, test_split

    if resume and restart:
        raise click.UsageError("give --resume or --restart, not both")
    height_width = parse_size(size)
    options = RunOptions(
        link_model(link),
        cloud,
        model,
        token,
        deadline,
        limit,
        check,
        port,
        router or "",
        probe,
        pixels_of(cloud_input_scale, cloud_mean, cloud_std, "cloud-"),
        virtual,
    )
    extras.require("run", *(["bench"] if check else []), *([] if cloud else ["cloud"]))
    check_target(out, "run")
    check_ended_run(out, resume, restart)
    build = open_build(build_dir, board_dirs)
    require_hybrid(build)
    export = export_dir or export_of(build)
    split, calibrated = test_split(export, data, height_width)
    with (
        _said_what_is_kept(out),
        progress(as_json) as on_event,
        cloud_for(options, export) as client,
    ):
        result = run_step(
            build,
            split,
            client,
            options,
            calibration_samples=calibrated,
            calibration=calibration_split(export) if calibration else None,
            out=out,
            resume=resume,
            restart=restart,
            on_event=on_event,
        )
    if as_json:
        print_json({k: v for k, v in result.to_json().items() if k not in ("curves", "oracles")})
        _warn(result)
    else:
        print_remarks(result.data.remarks)
        print_run(result)


@contextmanager
def _said_what_is_kept(out: Path) -> Iterator[None]:
    """Ctrl-C and a signal end a run without an error's text, and lose as little."""
    from mcu_hybrid.steps.journal import journal_file

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if journal_file(out).exists():
            kept = f"the answers so far are kept in {journal_file(out)}"
            click.echo(f"{kept}; go on with the same command and --resume", err=True)
        raise


def print_run(result: RunResult) -> None:
    """The table, and what it rests on; without a time of the board the latencies are empty."""
    missing = result.cloud_missing
    rows = [
        (
            row.method,
            f"{row.coverage_target:.0%}",
            f"{row.coverage:.1%}",
            f"{row.coverage_ci[0]:.1%} .. {row.coverage_ci[1]:.1%}",
            "-" if row.accuracy is None else f"{row.accuracy:.1%}",
            f"{row.accuracy_ci[0]:.1%} .. {row.accuracy_ci[1]:.1%}",
            "-" if row.latency_ms is None else f"{row.latency_ms:,.2f}",
            f"{row.bytes_sent:,}",
            *([f"{row.cloud_missing:,}"] if missing else []),
        )
        for row in result.rows
    ]
    columns = (
        "method",
        "coverage: target",
        "on test",
        "95 % interval",
        "accuracy",
        "95 % interval",
        "mean ms, estimate" if result.rests.latency_kind == "estimate" else "mean ms",
        "bytes sent",
        *(["no answer"] if missing else []),
    )
    table(f"{result.dataset}: {result.samples} test inputs on {result.board}", columns, rows)
    link, deployed = result.link, result.deployed
    query = "a query's time, which is not known: the cloud never answered"
    if result.query_ms is not None:
        query = f"{result.query_ms:.2f} ms per query over {link.title}"
    if result.edge_ms is None:
        click.echo(f"latency: none ({result.rests.latency_basis}); {query}")
    else:
        edge = f"edge {result.edge_ms:.2f} ms{_mark(result)}"
        click.echo(f"latency = {edge} + (1 - coverage) x {query}")
        click.echo(f"edge: {text_of(_edge(result))}")
    counters = result.counters
    click.echo(
        f"live: {result.router} at its {deployed.coverage:.0%} threshold kept "
        f"{counters.kept}, "
        f"queried "
        f"{counters.queried}, fell back {_counts(counters.fallbacks)}"
    )
    if counters.device and counters.device.device_restarts:
        click.echo(
            f"the board restarted {counters.device.device_restarts} times: its route was set "
            "again, and what it was asked then was asked again"
        )
    if result.exact is not None:
        verdict = "equal TFLM bit for bit" if result.exact else "DIFFER from TFLM"
        click.echo(f"exact: the board's outputs {verdict} on all {result.samples} inputs")
    _warn(result)


def _warn(result: RunResult) -> None:
    """What a reader of the table must know, on stderr."""
    counters, samples = result.counters, result.samples
    for sentence in result.warnings:
        click.echo(f"warning: {sentence}", err=True)
    if counters.device and counters.device.device_disagrees:
        click.echo(f"warning: {counters.device.device_disagrees}", err=True)
    if missing := result.cloud_missing:
        click.echo(
            f"warning: the cloud answered {samples - missing:,} of {samples:,} inputs (else: "
            f"{_reasons(result.cloud_failed)}); in the other {missing:,} the board's own answer "
            "stands, and 'cloud only' is without them; the same command with --resume asks again",
            err=True,
        )
    if missing := result.calibration_missing:
        click.echo(
            f"warning: the cloud gave no answer on {missing:,} calibration inputs: tune leaves "
            "them out; the same command with --resume asks again",
            err=True,
        )
    if result.unjudged:
        click.echo(f"warning: not compared with TFLM: {result.unjudged}", err=True)


def _counts(reasons: Mapping[str, int]) -> str:
    """A sum with its parts: 12 (8 timeout, 4 resting)."""
    return f"{sum(reasons.values()):,}" + (f" ({_reasons(reasons)})" if reasons else "")


def _reasons(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())


def _edge(result: RunResult) -> Latency:
    """The device's time in a run, with the keys of a bench."""
    us, low, high = (
        None if ms is None else 1e3 * ms
        for ms in (result.edge_ms, result.edge_low_ms, result.edge_high_ms)
    )
    return Latency(
        latency_us=us,
        latency_low_us=low,
        latency_high_us=high,
        latency_kind=result.rests.latency_kind,
        latency_basis=result.rests.latency_basis,
    )


def _mark(result: RunResult) -> str:
    return " (estimate)" if result.rests.latency_kind == "estimate" else ""
