"""The command line: a lazy group; each verb is a short file that calls the library and prints.

Only this module catches McuHybridError (exit code 1; 2 is click's usage error).
A traceback is a bug.
"""

from __future__ import annotations

import errno
import importlib
import json
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import rich_click as click
from click.shell_completion import CompletionItem

from mcu_hybrid import __version__, extras
from mcu_hybrid.cli import common, console
from mcu_hybrid.errors import McuHybridError

# The machine's own limits, wherever they are met: no fault of the input, none of ours.
_MACHINE_LIMITS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
)

click.rich_click.TEXT_MARKUP = "ansi"
click.rich_click.MAX_WIDTH = 110
# Names in a column of their own width: none breaks in a terminal of 80 columns.
click.rich_click.OPTIONS_TABLE_COLUMN_TYPES = ["opt_all", "help"]
click.rich_click.OPTIONS_TABLE_HELP_SECTIONS = ["help", "metavar", "default", "required"]

# verb -> (module, one line for the group's help, so that the help imports nothing)
VERBS = {
    "demo": "The whole path on embedded data: train to report, on a virtual board.",
    "search": "Search architectures that fit a board and an expected cost.",
    "train": "Train base, router and global network.",
    "export": "Base + router to one int8 .tflite, global to ONNX.",
    "summarize": "What a model holds, and what would be refused, without compiling.",
    "build": "Compile a model into firmware for a board.",
    "flash": "Put firmware on a board (or start a virtual one).",
    "bench": "Measure a model on a board, and compare it with TFLM bit for bit.",
    "serve": "Serve an ONNX model over the Open Inference Protocol v2.",
    "predict": "What is on an image, and who says so: base or cloud.",
    "run": "Stream data through the board, query the cloud, print the table.",
    "tune": "Targets (accuracy, latency, energy, queries) to a threshold; set it on the board.",
    "report": "One self-contained HTML page from the steps' folders.",
    "boards": "List the boards and which virtual ones are running.",
    "doctor": "Check compiler, emulator, probes, ports; print what mends each.",
}


class LazyGroup(click.RichGroup):
    """Imports a verb's module only when that verb is called; its own help imports none."""

    only_names = False
    refused: click.UsageError | None = None  # what click tells on stderr, before it ends

    def invoke(self, ctx: click.Context) -> Any:
        """As click's; keeps what is wrong with the command line."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            self.refused = error
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        if self.only_names:
            return click.RichCommand(name=name, short_help=VERBS[name], help=VERBS[name])
        module = importlib.import_module(f"mcu_hybrid.cli.{name}")
        return common.with_common(module.command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's; a word that is no verb is answered with those that look like it."""
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            near = common.did_you_mean(name, VERBS)
            ctx.fail(f"No such command '{name}'.{near}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        self.only_names = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.only_names = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.only_names = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.only_names = False


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="mcu-hybrid")
def cli() -> None:
    """Hybrid inference on microcontrollers: the board answers what it can, the cloud the rest.

    Begin with: mcu-hybrid demo

    Completion of verbs, options, boards and values: eval "$(_MCU_HYBRID_COMPLETE=bash_source
    mcu-hybrid)" in ~/.bashrc (zsh_source, fish_source likewise).
    """


common.with_common(cli)


def main(argv: list[str] | None = None) -> None:
    """Entry point; maps our errors to exit code 1 and one clear message on stderr."""
    args = sys.argv[1:] if argv is None else argv
    _let_signals_clean_up()
    console.let_any_do()
    try:
        _run(args)
    except McuHybridError as error:
        _fail(error, as_json="--json" in args)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("", "mcu_hybrid"):
            raise
        _fail(extras.missing_module(str(error.name)), "--json" in args)
    except BrokenPipeError:
        console.drop(sys.stdout)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _MACHINE_LIMITS:
            raise
        fact = f"{error.filename or 'what was to be written'}: {error.strerror}"
        _fail(McuHybridError(fact, "make room, or choose another folder"), "--json" in args)


def _run(args: list[str]) -> NoReturn:
    """Run the command line and end with its exit code, once all that it printed is out."""
    assert isinstance(cli, LazyGroup)
    cli.refused = None
    try:
        cli.main(args=args, prog_name="mcu-hybrid", standalone_mode=True)
    except SystemExit:
        if cli.refused is not None and "--json" in args:
            print(json.dumps({"error": "UsageError", "message": cli.refused.format_message()}))
        # Python would flush after our error handling, and end a full disk in its own words.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        raise
    raise AssertionError("click ends with SystemExit")


def _fail(error: McuHybridError, as_json: bool) -> NoReturn:
    try:
        if as_json:
            kind = type(error).__name__
            print(json.dumps({"error": kind, "message": error.message, "hint": error.hint}))
        sys.stdout.flush()
    except OSError:
        console.drop(sys.stdout)
    try:
        if common.is_verbose():
            for cause in _causes(error):
                print(f"  led to by: {type(cause).__name__}: {cause}", file=sys.stderr)
        print(f"error: {error}", file=sys.stderr, flush=True)
    except OSError:
        console.drop(sys.stderr)
    sys.exit(1)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__
    if cause is not None:
        yield from _causes(cause)
        yield cause


def _let_signals_clean_up() -> None:
    """End on SIGTERM and SIGHUP as on Ctrl-C, so that emulators and half folders go too."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup's choice is left alone
            signal.signal(number, end)
