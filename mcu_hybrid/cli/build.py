"""mcu-hybrid build: a model to firmware for a board."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from mcu_hybrid.cli.common import (
    board_dirs_option,
    board_option,
    json_option,
    out_option,
    print_json,
    progress,
)

if TYPE_CHECKING:
    from mcu_hybrid.pipeline.build import EngineOptions

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
    click.option("--tflm-root", type=click.Path(path_type=Path), help="Your TFLM checkout."),
    click.option("--tflm-lib", type=click.Path(path_type=Path), help="Its static library (.a)."),
)


def with_engine(function: Callable[..., None]) -> Callable[..., None]:
    """Add the engine's options to a verb, which gets them as one EngineOptions ``engine``."""

    @functools.wraps(function)
    def verb(
        engine: str,
        kernels: str,
        fold_dead: bool,
        tflm_root: Path | None,
        tflm_lib: Path | None,
        **values: Any,
    ) -> None:
        from mcu_hybrid.pipeline.build import EngineOptions, tflm_tree_of

        tree = tflm_tree_of(tflm_root, tflm_lib)
        function(engine=EngineOptions(engine, tree, kernels, fold_dead), **values)

    for option in reversed(_ENGINE_OPTIONS):
        verb = option(verb)
    return verb


@click.command("build")
@click.argument("source", type=click.Path(path_type=Path))
@board_option()
@out_option("runs/build")
@with_engine
@board_dirs_option
@json_option
def command(
    source: Path,
    board_name: str,
    out: Path,
    engine: EngineOptions,
    board_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Compile SOURCE (an export folder or an int8 .tflite) into firmware for a board.

    The model must fit: arena, statics, stack, weights and code are compared with the board's
    memories before the compiler starts, and the linked ELF with the same plan after it.

    Example: mcu-hybrid build runs/export --board stm32h7
    """
    from mcu_hybrid.board import load_board
    from mcu_hybrid.pipeline.build import build_step

    board = load_board(board_name, board_dirs)
    with progress(as_json) as on_event:
        made = build_step(
            source,
            board,
            out,
            engine,
            board_dirs=board_dirs,
            on_event=on_event,
        )
    if as_json:
        print_json({"out": str(out)} | made.facts)
        return
    print_build(made.facts, out)


def print_build(facts: dict, out: Path) -> None:
    """What was built and how full the board is."""
    ram = facts["static_ram_bytes"] + facts["stack_bytes"]
    click.echo(f"{facts['model']} for {facts['board']} ({facts['core']}, engine {facts['engine']})")
    click.echo(
        f"  arena    {facts['arena_bytes']:>9,} B   (lower bound of this order of operators: "
        f"{facts['arena_lower_bound_bytes']:,} B)"
    )
    click.echo(f"  RAM      {ram:>9,} B   statics with arena + stack{_of(facts, 'ram')}")
    click.echo(
        f"  flash    {facts['flash_bytes']:>9,} B   code {facts['code_bytes']:,} + weights "
        f"{facts['weights_bytes']:,}{_of(facts, 'flash')}"
    )
    for note in facts["notes"]:
        click.echo(f"  note: {note}")
    click.echo(f"  build {facts['build_id']} in {out}")


def _of(facts: dict, what: str) -> str:
    have = facts[f"{what}_capacity_bytes"]
    return f", of {have:,}" if have else ""
