"""mcu-hybrid build: a model to firmware for a board."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

from mcu_hybrid.cli.common import (
    SIZE,
    board_dirs_option,
    board_option,
    input_shape_option,
    json_option,
    kib,
    out_option,
    print_json,
    progress,
)
from mcu_hybrid.machines.price import text_of

if TYPE_CHECKING:
    from mcu_hybrid.artifacts.build import BuildFacts, Estimate, SchedulePoint
    from mcu_hybrid.artifacts.table import RouterSize
    from mcu_hybrid.steps.build import EngineOptions

_ENGINE_OPTIONS = (
    click.option(
        "--engine",
        type=click.Choice(["aot", "tflm"]),
        default="aot",
        show_default=True,
        help="aot: our own C. tflm: TensorFlow Lite Micro, linked from your checkout.",
    ),
    click.option(
        "--kernels",
        type=click.Choice(["fast", "ref"]),
        default="fast",
        show_default=True,
        help="ref: reference kernels and no passes, to compare with.",
    ),
    click.option(
        "--fold-dead/--no-fold-dead",
        default=True,
        show_default=True,
        help="Take out channels that are constant (exact).",
    ),
    click.option(
        "--optimize",
        type=click.Choice(["speed", "ram", "balanced"]),
        default="speed",
        show_default=True,
        help="speed: fewest instructions of all schedules that fit (within 0.2 %, the smaller "
        "arena). ram: smallest arena. balanced: smallest arena for at most 2 % more instructions.",
    ),
    click.option(
        "--ram-limit",
        type=SIZE,
        metavar="BYTES",
        help="RAM for arena and statics, as 65536 or 64K: the fastest schedule that fits is built.",
    ),
    click.option(
        "--code-budget",
        type=SIZE,
        metavar="BYTES",
        help="Flash for code without constants, as 16000 or 16K: the fastest kernels that fit "
        "together. Default: smaller code where it costs less than 1 % more instructions.",
    ),
    input_shape_option,
    click.option("--tflm-root", type=click.Path(path_type=Path), help="Your TFLM checkout."),
    click.option("--tflm-lib", type=click.Path(path_type=Path), help="Its static library (.a)."),
)


_OPTION_NAMES = ("kernels", "fold_dead", "optimize", "ram_limit", "code_budget")


def with_engine(function: Callable[..., None]) -> Callable[..., None]:
    """Add the engine's options to a verb, which gets them as one EngineOptions ``engine``."""

    @functools.wraps(function)
    def verb(
        engine: str,
        kernels: str,
        fold_dead: bool,
        optimize: str,
        ram_limit: int | None,
        code_budget: int | None,
        input_shapes: tuple[tuple[str, tuple[int, ...]], ...],
        tflm_root: Path | None,
        tflm_lib: Path | None,
        **values: Any,
    ) -> None:
        from mcu_hybrid.steps.build import EngineOptions, tflm_tree_of
        from mcu_hybrid.steps.engine import given_options

        tree = tflm_tree_of(tflm_root, tflm_lib)
        context = click.get_current_context()
        assert context is not None  # a verb is running
        source = context.get_parameter_source
        usual = ParameterSource.DEFAULT
        given = given_options({p: source(p) != usual for p in ("engine", *_OPTION_NAMES)})
        options = EngineOptions(
            engine,
            tree,
            kernels,
            fold_dead,
            optimize,
            ram_limit,
            code_budget,
            input_shapes=input_shapes,
            given=given,
        )
        function(engine=options, **values)

    for option in reversed(_ENGINE_OPTIONS):
        verb = option(verb)
    return verb


@click.command("build")
@click.argument("source", type=click.Path(path_type=Path))
@board_option()
@out_option("runs/build")
@click.option(
    "--tuned",
    type=click.Path(path_type=Path),
    help="Folder of tune: its router and threshold are those at reset.",
)
@with_engine
@board_dirs_option
@json_option
def command(
    source: Path,
    board_name: str,
    out: Path,
    tuned: Path | None,
    engine: EngineOptions,
    board_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Compile SOURCE (an export folder or an int8 .tflite) into firmware for a board.

    The model must fit: arena, statics, stack, weights and code are compared with the board's
    memories before the compiler starts, and the linked ELF with the same plan after it.

    Maps are computed in strips of rows where that is faster, or the fastest schedule does not fit,
    or --optimize or --ram-limit ask for it; what was compared is shown as RAM against instructions.

    Example: mcu-hybrid build runs/export --board stm32h7

    Example: mcu-hybrid build model.tflite --board nrf52840dk --ram-limit 64K
    """
    from mcu_hybrid.board.load import load_board
    from mcu_hybrid.steps.build import build_step

    board = load_board(board_name, board_dirs)
    with progress(as_json) as on_event:
        made = build_step(
            source,
            board,
            out,
            engine,
            tuned=tuned,
            board_dirs=board_dirs,
            on_event=on_event,
        )
    if as_json:
        print_json({"out": str(out)} | made.facts.to_json())
        return
    print_build(made.facts, out)


def print_build(facts: BuildFacts, out: Path) -> None:
    """What was built and how full the board is."""
    ram = facts.static_ram_bytes + facts.stack_bytes
    click.echo(f"{facts.model} for {facts.board} ({facts.core}, engine {facts.engine})")
    click.echo(
        f"  arena    {facts.arena_bytes:>9,} B   proved lower bound "
        f"{facts.arena_lower_bound_bytes:,} B (this order of operators)"
    )
    click.echo(
        f"  RAM      {ram:>9,} B = {kib(ram)} reserved: arena and statics "
        f"{facts.static_ram_bytes:,} + stack {facts.stack_bytes:,}{_of(facts.ram_capacity_bytes)}"
    )
    click.echo(
        f"  flash    {facts.flash_bytes:>9,} B = {kib(facts.flash_bytes)}: code "
        f"{facts.code_bytes:,} + weights {facts.weights_bytes:,}{_of(facts.flash_capacity_bytes)}"
    )
    click.echo(
        f"  MACs     {facts.macs:>9,}     of the model; {facts.macs_executed:,} executed, "
        "after folding"
    )
    if facts.aot is not None:
        _print_estimate(facts.aot.estimate)
    for row in facts.routers:
        click.echo(router_line(row, row.predicted_instructions, row.predicted_share))
    if facts.aot is not None:
        _print_front(facts.aot.front)
    for note in facts.notes:
        click.echo(f"  note: {note}")
    click.echo(f"  {answers_line(facts)}")
    click.echo(f"  build {facts.build_id} in {out}")


def answers_line(facts: BuildFacts) -> str:
    """Who made the answers that the board's self-test compares with."""
    reason = facts.known_answers_reason
    line = f"known answers by {facts.known_answers_by}"
    return f"{line} ({reason})" if reason else line


def router_line(row: RouterSize, instructions: int | None, share: float | None) -> str:
    """What a router costs, in a line."""
    line = f"  {row.router:<9}{row.macs:>9,} MACs, constants {row.constant_bytes:,} B"
    if instructions is not None and share is not None:
        line += f", {instructions:,} instructions = {100 * share:.2f} % of the base's"
    return line


def _print_estimate(estimate: Estimate | None) -> None:
    """What the cost model predicts of an inference; nothing where it does not know a layer."""
    if estimate is None:
        return
    click.echo(f"  speed    {estimate.instructions:>9,} instructions predicted")
    click.echo(f"  time     {text_of(estimate.time)}")


def _print_front(front: Sequence[SchedulePoint]) -> None:
    """The schedules that were compared: arena and instructions, the chosen one marked."""
    if not front:
        return
    click.echo("  schedules, fastest first:")
    for point in front:
        more = point.instructions / front[0].instructions - 1
        mark = "  <- built" if point.is_chosen else ""
        click.echo(
            f"    arena {point.arena_bytes:>9,} B  {point.instructions:>13,} instructions "
            f"(+{100 * more:.1f} %)  {point.streams} streams{mark}"
        )


def _of(capacity_bytes: int) -> str:
    return f", of {kib(capacity_bytes)}" if capacity_bytes else ""
