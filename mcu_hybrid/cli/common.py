"""What the verbs share: the --json switch, the progress bar, paths and tables."""

from __future__ import annotations

import difflib
import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import rich_click as click

from mcu_hybrid.cli.completion import complete_values
from mcu_hybrid.events import OnEvent

if TYPE_CHECKING:
    from mcu_hybrid.artifacts.train import Remarks

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
board_dirs_option = click.option(
    "--boards",
    "board_dirs",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of your own board files, searched first.",
)


class _Size(click.ParamType):
    """A number of bytes: 65536, 64K (of 1,024) or 1M."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes; a usage error for anything else, or less than 1."""
        found = re.fullmatch(r"(\d+)\s*([kKmM]?)[bB]?", str(value).strip())
        size = int(found[1]) * {"": 1, "k": 1024, "m": 1024**2}[found[2].lower()] if found else 0
        if size < 1:
            self.fail(f"'{value}' is no size; give bytes, as 65536 or 64K", param, ctx)
        return size


class _InputShape(click.ParamType):
    """A size as 1x96x96x3, or NAME=1x96x96x3 for one of several inputs."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return (name, shape), the name "" where there is none; a usage error for others."""
        if isinstance(value, tuple):
            return value
        name, _, text = str(value).rpartition("=")
        if not re.fullmatch(r"[1-9]\d{0,9}([xX,][1-9]\d{0,9}){0,7}", text.strip()):
            self.fail(f"'{value}' is no shape; give it as 1x96x96x3", param, ctx)
        return name, tuple(int(size) for size in re.split("[xX,]", text.strip()))


SIZE = _Size()
_QUIET = "mcu_hybrid.quiet"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean x?" for a word that is not known; "" where none is near."""
    near = difflib.get_close_matches(word, list(known), 3)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def with_common(command: click.Command) -> click.Command:
    """Give a command, once, what all verbs have: -v, -q, and the completion of values."""
    complete_values(command)
    if not any(option.name == "verbose" for option in command.params):
        command.params += [
            click.Option(
                ["-v", "--verbose"],
                is_flag=True,
                expose_value=False,
                callback=_verbose,
                help="Print every program that is started, and what led to an error.",
            ),
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_quiet,
                help="No progress: results, warnings and errors only.",
            ),
        ]
    return command


def _verbose(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        logging.basicConfig(format="%(message)s", stream=sys.stderr)
        logging.getLogger("mcu_hybrid").setLevel(logging.DEBUG)


def _quiet(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        ctx.meta[_QUIET] = True


def is_quiet() -> bool:
    """Whether -q is given."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.meta.get(_QUIET))


def is_verbose() -> bool:
    """Whether -v is given."""
    return logging.getLogger("mcu_hybrid").isEnabledFor(logging.DEBUG)


INPUT_SHAPE = _InputShape()


def input_shape_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The --input-shape option, once or more; gives pairs of name ("" for none) and shape."""
    return click.option(
        "--input-shape",
        "input_shapes",
        type=INPUT_SHAPE,
        multiple=True,
        metavar="[NAME=]1xHxWxC",
        help="Size of an input that SOURCE, a .tflite, leaves open, as 1x96x96x3.",
    )(function)


def board_option(default: str | None = "mps2-an500") -> Callable[..., Any]:
    """The --board option."""
    return click.option(
        "--board",
        "board_name",
        default=default,
        show_default=True,
        help="See: mcu-hybrid boards",
    )


def out_option(default: str) -> Callable[..., Any]:
    """The --out option: the folder that the step writes."""
    return click.option(
        "--out",
        default=default,
        show_default=True,
        type=click.Path(path_type=Path),
        help="Folder to write.",
    )


def kib(size_bytes: int) -> str:
    """A number of bytes as KiB (of 1,024), the one unit of all that is printed."""
    return f"{size_bytes / 1024:,.1f} KiB"


def data_remarks(data: Remarks | None) -> list[str]:
    """What of a data set was left out, and what is worth knowing (training.data.remarks)."""
    if data is None:
        return []
    lines = [f"left out: {count:,} {reason}" for reason, count in data.left_out.items()]
    lines += [f"note: {note}" for note in data.notes]
    return ["".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in lines]


def print_remarks(data: Remarks | None) -> None:
    """The remarks on a data set that --data named, on stderr; nothing with -q."""
    for line in () if is_quiet() else data_remarks(data):
        click.echo(f"data {line}", err=True)


def short(name: str, length: int = 18) -> str:
    """A layer's name for a column of a table: of fused ones the first, of each its end."""
    firsts = [part.split(";")[0] for part in name.split(" .. ")]  # a stream: first .. last
    return " .. ".join(n if len(n) <= length else f"..{n[2 - length :]}" for n in firsts)


def print_json(value: Any) -> None:
    """Print a result for programs, on stdout and nothing else."""
    click.echo(json.dumps(value, indent=1))


@contextmanager
def progress(as_json: bool = False) -> Iterator[OnEvent]:
    """Yield ``on_event(label, done, total)``; draws bars on stderr when it is a terminal.

    Without a terminal each new label is one line, so that logs tell where the time goes.
    """
    if as_json or is_quiet():
        yield lambda label, done, total: None
        return
    if not sys.stderr.isatty():
        seen: set[str] = set()

        def line(label: str, done: int, total: int) -> None:
            if label not in seen:
                seen.add(label)
                click.echo(f"  {label} ...", err=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )

    name = TextColumn("{task.description:<34}")
    columns = (name, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def draw(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total or None)
            bars.update(tasks[label], completed=done, total=total or None)

        yield draw


def probe_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--probe, of every verb that looks for a board."""
    text = "Serial number of the board's debug probe (see doctor).  [default: that of the port]"
    return click.option("--probe", default="", metavar="SERIAL", help=text)(command)


def virtual_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--virtual, of every verb that runs a build's image."""
    text = "Run the image on a machine (QEMU ...) in the board's place; virtual boards always do."
    return click.option("--virtual", is_flag=True, help=text)(command)


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    whole: Sequence[str] = (),
) -> None:
    """Print a table; columns whose cells look like numbers are right-aligned.

    No number is cut in a narrow terminal: names are broken there, then lines run on.

    Args:
        whole: columns that are never broken, beside the first and those with addresses.
    """
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for index, column in enumerate(columns):
        cells = [str(row[index]) for row in rows]
        numeric = all(c[:1].isdigit() or c[:1] in "-–+~" or c == "" for c in cells)
        # To be copied, so never broken: the row's name and addresses.
        keep = index == 0 or column in whole or any("://" in cell for cell in cells)
        words = cells if keep else " ".join([column, *cells]).split() if numeric else [column]
        justify: Literal["left", "right"] = "right" if numeric and cells else "left"
        grid.add_column(
            column,
            justify=justify,
            no_wrap=keep,
            overflow="fold",
            min_width=max(map(len, words), default=1),
        )
    for row in rows:
        grid.add_row(*[str(cell) for cell in row])
    width = None if sys.stdout.isatty() else 140
    Console(width=width).print(grid, crop=False)
