"""mcu-hybrid search: architectures of base (and global) that fit a board and an expected cost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from mcu_hybrid.cli.common import (
    SIZE,
    board_dirs_option,
    board_option,
    json_option,
    out_option,
    print_json,
    print_remarks,
    progress,
    table,
)
from mcu_hybrid.cli.train import parse_size
from mcu_hybrid.machines.price import MODELLED, milliseconds

if TYPE_CHECKING:
    from mcu_hybrid.artifacts.search import Figures, SearchResult
    from mcu_hybrid.search.score import Budget
    from mcu_hybrid.steps.search import SearchOptions


Values = dict[str, Any]  # the command line's, by the names of their parameters


class _Scaled(click.ParamType):
    """A positive number with one of some units behind it; converted to the smallest unit."""

    def __init__(self, name: str, units: dict[str, float], example: str) -> None:
        self.name, self.units, self.example = name, units, example

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number in the smallest unit; a usage error for anything else."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", str(value).strip())
        factor = self.units.get(found[2].lower()) if found else None
        if found is None or factor is None or float(found[1]) <= 0:
            self.fail(f"'{value}' is no {self.name}; for example {self.example}", param, ctx)
        return float(found[1]) * factor


TIME = _Scaled("time", {"us": 1, "ms": 1e3, "s": 1e6}, "100ms")
COUNT = _Scaled("count", {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}, "12M")
_FILE = click.Path(path_type=Path)


@click.command("search")
@click.option("--data", default="digits", show_default=True, help="As for train.")
@click.option("--size", help="Resize images: 32 or 32x48 (height x width).")
@board_option("stm32f7")
@click.option(
    "--trials",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Candidates to train, in all processes together; infeasible ones are extra.",
)
@click.option(
    "--epochs",
    default=2,
    show_default=True,
    type=click.IntRange(min=1),
    help="Of a candidate's short training.",
)
@click.option(
    "--global-epochs",
    default=0,
    type=click.IntRange(min=0),
    help="0 = as --epochs for searched globals, four times that for a fixed one.",
)
@click.option(
    "--images",
    default=0,
    type=click.IntRange(min=0),
    help="Train on so many images of the fit split; 0 = all.",
)
@click.option("--max-latency", type=TIME, help="Of base and router on the board: 100ms.")
@click.option("--max-sram", type=SIZE, help="Arena, statics and stack.  [default: the board's]")
@click.option("--max-flash", type=SIZE, help="Code and weights.  [default: the board's]")
@click.option("--expected-macs", type=COUNT, help="Budget per input, queries included: 12M.")
@click.option("--expected-latency", type=TIME, help="Likewise as a time (see --link): 60ms.")
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1),
    help="Instead of a budget: share answered on the device.  [default: 0.8]",
)
@click.option("--link", default="wifi", show_default=True, help="Prices a query, as for run.")
@click.option("--cloud-latency", type=TIME, help="Of the global in the cloud, per query.")
@click.option("--space", type=_FILE, help="JSON of the base's space.  [default: by the data]")
@click.option(
    "--global",
    "global_",
    default="reference",
    show_default=True,
    help="Fixed: a train folder, a hybrid.pt, search:FILE.json or module:function.",
)
@click.option("--global-space", default="", help="Search the global too: auto, or a JSON file.")
@click.option(
    "--storage",
    default="",
    help="File or database URL that several processes share.  [default: OUT/study.log]",
)
@click.option("--study", default="search", show_default=True, help="Its name in the storage.")
@click.option(
    "--cache",
    type=_FILE,
    help="Folder of predictions and weights, may be shared.  [default: OUT/cache]",
)
@click.option("--ray", default="", help="Spread trials: host:port, auto, or local.")
@click.option("--workers", default=0, help="CPUs of --ray local; 0 = the machine's.")
@click.option("--resume", is_flag=True, help="Go on with the study in OUT.")
@click.option(
    "--calibrate-on-board",
    is_flag=True,
    help="Export the winner and measure it on a virtual board of this core.",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=0, help="CPU threads; 0 = torch's choice.")
@out_option("runs/search")
@board_dirs_option
@json_option
def command(as_json: bool, calibrate_on_board: bool, **values: Any) -> None:
    """Search architectures that fit a board, by what base and global reach together at a cost.

    RAM, flash and latency come from the memory planner, the code generator and the cost model that
    build and bench use. A candidate that fits is trained for a few epochs; its score is the
    accuracy of the hybrid at the coverage that the budget implies. See docs/search.md.

    Example: mcu-hybrid search --data photos.zip --board stm32f7 --max-latency 100ms
    --expected-latency 300ms --trials 20, then: mcu-hybrid train --data photos.zip
    --base search:runs/search/best.json
    """
    from mcu_hybrid import extras

    extras.require("search", "search", *(("ray",) if values["ray"] else ()))
    if calibrate_on_board:
        extras.require("search --calibrate-on-board", "search", "export", "bench")
    from mcu_hybrid.artifacts.codec import to_json
    from mcu_hybrid.steps.calibrate import calibrate_step
    from mcu_hybrid.steps.search import search_step

    options = _options(values)
    with progress(as_json) as on_event:
        found = search_step(options, on_event)
        measure = calibrate_on_board and found.best is not None
        measured = calibrate_step(options, found, on_event) if measure else None
    if as_json:
        told = found.to_json() | {"measured": to_json(measured)}
        print_json({"out": str(options.out)} | told)
        return
    print_remarks(found.data)
    _print(found, options.out)
    if measured is not None:
        click.echo(
            f"counted on {measured.board}: {measured.instructions:,} instructions, "
            f"predicted {measured.predicted:,} from the genome ({measured.error:+.1%}); "
            f"arena {measured.arena_bytes:,} B, predicted {measured.predicted_arena:,} B"
        )


def _options(values: Values) -> SearchOptions:
    """SearchOptions of the command line's values."""
    from mcu_hybrid.artifacts.search import Limits
    from mcu_hybrid.search.evaluate import Short
    from mcu_hybrid.steps.search import SearchOptions

    take = values.pop
    short = Short(
        take("epochs"), take("global_epochs"), take("images"), take("seed"), take("threads")
    )
    limits = Limits(
        sram_bytes=take("max_sram"), flash_bytes=take("max_flash"), latency_us=take("max_latency")
    )
    return SearchOptions(
        board=take("board_name"),
        size=parse_size(take("size")),
        short=short,
        limits=limits,
        budget=_budget(values),
        cloud_us=take("cloud_latency") or 0.0,
        **values,
    )


def _budget(values: Values) -> Budget:
    """The one budget that is given; the usual coverage where none is."""
    from mcu_hybrid.search.score import Budget

    kinds = {"macs": "expected_macs", "latency": "expected_latency", "coverage": "coverage"}
    given = {kind: values.pop(name) for kind, name in kinds.items()}
    named = [kind for kind, value in given.items() if value is not None]
    if len(named) > 1:
        raise click.UsageError("give one of --expected-macs, --expected-latency and --coverage")
    kind = named[0] if named else "coverage"
    return Budget(kind, given[kind] if named else 0.8)


def _print(found: SearchResult, out: Path) -> None:
    """The front, what became of the proposals, and what to do next."""
    from mcu_hybrid.nets.genome import from_json

    rows = [
        (
            pair.trial,
            pair.base.describe,
            f"{pair.scores.margin:.1%}",
            f"{pair.scores.oracle:.1%}",
            f"{pair.scores.base_accuracy:.1%}",
            f"{pair.scores.coverage:.0%}",
            _latency(pair.base.figures),
            f"{pair.base.figures.sram_bytes:,}",
            f"{pair.base.figures.flash_bytes:,}",
        )
        for pair in found.pareto
    ]
    columns = ("trial", "base", "hybrid", "oracle", "base acc.", "coverage", "ms, estimate")
    table(f"best for {found.board}", (*columns, "SRAM B", "flash B"), rows)
    click.echo(", ".join(f"{n} {what.replace('_', ' ')}" for what, n in vars(found.counts).items()))
    if found.best is None:  # other processes have all places
        click.echo(f"nothing is trained yet; run it again with --resume to see more, in {out}")
        return
    if found.best.base.figures.latency_us is not None:
        click.echo(f"times are estimates with a range, {MODELLED}")
    height, width = from_json(found.best.base.genome).size
    click.echo(
        f"in {out}; train it: mcu-hybrid train --data ... --size {height}x{width} "
        f"--base search:{out / 'best.json'}"
    )


def _latency(figures: Figures) -> str:
    if figures.latency_us is None:
        return "-"
    ends = figures.latency_low_us, figures.latency_high_us
    return milliseconds(figures.latency_us, *ends, unit=False)
