"""The command line: a lazy group; each verb is a short file that calls the library and prints.

Only this module catches McuHybridError (exit code 1; 2 is click's usage error).
A traceback is a bug.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import sys
from typing import Any, NoReturn

import rich_click as click

from mcu_hybrid import __version__
from mcu_hybrid.errors import McuHybridError

# The machine's own limits, wherever they are met: no fault of the input, none of ours.
_MACHINE_LIMITS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

click.rich_click.TEXT_MARKUP = "ansi"
click.rich_click.MAX_WIDTH = 110

# verb -> (module, one line for the group's help, so that the help imports nothing)
VERBS = {
    "demo": "The whole path on embedded data: train to report, on a virtual board.",
    "search": "Search architectures that fit a board and an expected cost.",
    "train": "Train base, router and global network.",
    "export": "Base + router to one int8 .tflite, global to ONNX.",
    "build": "Compile a model into firmware for a board.",
    "flash": "Put firmware on a board (or start a virtual one).",
    "bench": "Measure a model on a board, and compare it with TFLM bit for bit.",
    "serve": "Serve an ONNX model over the Open Inference Protocol v2.",
    "run": "Stream data through the board, query the cloud, print the table.",
    "tune": "Targets (accuracy, latency, energy, queries) to a threshold; set it on the board.",
    "report": "One self-contained HTML page from the steps' folders.",
    "boards": "List the boards and which virtual ones are running.",
    "doctor": "Check compiler, emulator, probes, ports; print what mends each.",
}


class LazyGroup(click.RichGroup):
    """Imports a verb's module only when that verb is called; its own help imports none."""

    only_names = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        if self.only_names or ctx.resilient_parsing:
            return click.RichCommand(name=name, short_help=VERBS[name], help=VERBS[name])
        module = importlib.import_module(f"mcu_hybrid.cli.{name}")
        command: click.Command = module.command
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.only_names = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.only_names = False


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mcu-hybrid")
def cli() -> None:
    """Hybrid inference on microcontrollers: the board answers what it can, the cloud the rest.

    Begin with: mcu-hybrid demo
    """


def main(argv: list[str] | None = None) -> None:
    """Entry point; maps our errors to exit code 1 and one clear message on stderr."""
    args = sys.argv[1:] if argv is None else argv
    _let_signals_clean_up()
    try:
        cli.main(args=args, prog_name="mcu-hybrid", standalone_mode=True)
    except McuHybridError as error:
        _fail(error, as_json="--json" in args)
    except BrokenPipeError:
        # Python flushes stdout once more at its end; there is nobody to read it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in _MACHINE_LIMITS:
            raise
        fact = f"{error.filename or 'the machine'}: {error.strerror}"
        _fail(McuHybridError(fact, "make room, or choose another folder"), "--json" in args)


def _fail(error: McuHybridError, as_json: bool) -> NoReturn:
    if as_json:
        kind = type(error).__name__
        print(json.dumps({"error": kind, "message": error.message, "hint": error.hint}))
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def _let_signals_clean_up() -> None:
    """End on SIGTERM and SIGHUP as on Ctrl-C, so that emulators and half folders go too."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup's choice is left alone
            signal.signal(number, end)
